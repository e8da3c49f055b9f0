"""The properties of AMQP 0-9-1 messages: each type is kept, fit for JSON, and one odd value costs no other."""

from __future__ import annotations

import base64
import datetime as dt
import json
import struct
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penstock.sources.rabbitmq.message_headers import headers_of

Field = tuple[bytes, Any]
"""A field as RabbitMQ writes it, its type first, and what is kept of it."""


def _packed(kind: bytes, form: str) -> Any:
    return lambda value: (kind + struct.pack(form, value), value)


def _encoded(raw: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(raw).decode()}


def _text(raw: bytes) -> Any:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return _encoded(raw)
    return _encoded(raw) if "\0" in text else text


def _long(kind: bytes, raw: bytes) -> bytes:
    return kind + struct.pack(">I", len(raw)) + raw


def _moment(seconds: int) -> Any:
    try:
        moment = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=seconds)
    except OverflowError:
        return seconds
    return moment.isoformat() + "Z"


def _double(value: float) -> Any:
    return value if abs(value) < float("inf") else str(value)


def _table(fields: dict[str, Field]) -> Field:
    parts = b"".join(bytes([len(name.encode())]) + name.encode() + raw for name, (raw, _) in fields.items())
    return _long(b"F", parts), {name: kept for name, (_, kept) in fields.items()}


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
scalars: st.SearchStrategy[Field] = st.one_of(
    st.just((b"V", None)),
    st.booleans().map(_packed(b"t", ">?")),
    st.integers(-(2**7), 2**7 - 1).map(_packed(b"b", ">b")),
    st.integers(0, 2**8 - 1).map(_packed(b"B", ">B")),
    st.integers(-(2**15), 2**15 - 1).map(_packed(b"s", ">h")),
    st.integers(0, 2**16 - 1).map(_packed(b"u", ">H")),
    st.integers(-(2**31), 2**31 - 1).map(_packed(b"I", ">i")),
    st.integers(0, 2**32 - 1).map(_packed(b"i", ">I")),
    st.integers(-(2**63), 2**63 - 1).map(_packed(b"l", ">q")),
    st.floats(width=32).map(lambda v: (b"f" + struct.pack(">f", v), _double(v))),
    st.floats().map(lambda v: (b"d" + struct.pack(">d", v), _double(v))),
    st.integers(-(2**31), 2**31 - 1).map(lambda v: (b"D\x02" + struct.pack(">i", v), f"{v / 100:.2f}")),
    st.binary(max_size=9).map(lambda v: (_long(b"S", v), _text(v))),
    st.binary(max_size=9).map(lambda v: (_long(b"x", v), _encoded(v))),
    (st.integers(0, 2**64 - 1) | st.integers(0, 2**31)).map(lambda v: (b"T" + struct.pack(">Q", v), _moment(v))),
)
fields: st.SearchStrategy[Field] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(
            lambda items: (_long(b"A", b"".join(raw for raw, _ in items)), [kept for _, kept in items])
        )
        | st.dictionaries(names, inner, max_size=3).map(_table)
    ),
    max_leaves=5,
)


@given(headers=st.dictionaries(names, fields, min_size=1, max_size=4))
def test_every_type(headers: dict[str, Field]) -> None:
    """Headers of each type are kept with their values, and JSON holds them."""
    table, expected = _table(headers)
    kept = headers_of(b"\x20\x00" + table[1:])
    assert json.loads(json.dumps(kept, allow_nan=False)) == json.loads(json.dumps({"headers": expected}))


@given(head=st.binary(max_size=40))
def test_what_cannot_be_decoded(head: bytes) -> None:
    """Properties that are none are kept as their bytes."""
    kept = headers_of(head)
    json.dumps(kept, allow_nan=False)
    assert "properties" not in kept or base64.b64decode(kept["base64"]) == head
