"""The kernel alone: hashes, what it reads, and why it leaves what it leaves."""

from __future__ import annotations

import ctypes
import hashlib
import random
import threading
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given as given_any
from hypothesis import settings
from hypothesis import strategies as st

from penstock.layout import Layout
from penstock.native import cutting
from penstock.native.kernel import SWITCH, built, kernel
from penstock.native.messages import message_identities
from penstock.native.plan import Given, Left, Plan
from penstock.records import splitters
from penstock.schema import Column, Schema
from penstock.shape import identity
from penstock.shape.lanes import Form
from penstock.shape.lanes.native import given
from penstock.spec import StreamSpec
from tests.support.examples import examples
from tests.support.kernels import without_kernel

TYPES = {"a": "text", "i": "bigint", "d": "double", "b": "boolean", "at": "timestamp", "u": "uuid", "j": "json"}
SCHEMA = Schema(version=1, columns=tuple(Column(field=f, name=f, type=t) for f, t in TYPES.items()))
FLAT = StreamSpec(stream="s", layout=Layout(flatten=True))


def _library() -> ctypes.CDLL:
    library = kernel()
    assert library is not None, "the kernel is not built: these tests need a C compiler, and make .venv/dev.stamp"
    return library


def _shaped(bodies: list[bytes], spec: StreamSpec, schema: Schema = SCHEMA) -> tuple[list[dict[str, Any]], list[Left]]:
    plan = Plan(_library(), given(spec, Form(schema=schema)))
    shaped = plan.shape(pa.array(bodies, pa.binary()), np.arange(len(bodies)))
    assert shaped is not None
    rows, left = shaped
    rows.validate(full=True)
    names = [c.name for c in schema.columns] + rows.schema.names[len(schema.columns) :]
    return [dict(zip(names, row.values(), strict=True)) for row in rows.to_pylist()], [Left(reason) for reason in left]


@pytest.mark.parametrize("portable", [False, True])
def test_hashes(portable: bool) -> None:
    """The first 128 bits of SHA-256, of messages around every length of block, by instructions and in plain C."""
    draw = random.Random(1)
    for length in [*range(260), 1_000, 65_537]:
        message = draw.randbytes(length)
        digest = (ctypes.c_uint8 * 16)()
        _library().penstock_sha256(message, length, portable, digest)
        assert bytes(digest) == hashlib.sha256(message).digest()[:16]


@pytest.mark.parametrize("portable", [False, True])
def test_hashes_side_by_side(portable: bool) -> None:
    """Records of very different lengths get their own hash each, whichever is hashed beside them."""
    form = Form(schema=Schema(version=1, columns=(Column(field="a", name="a", type="text"),)))
    plain = given(StreamSpec(stream="s"), form)
    plan = Plan(_library(), Given(**{f: getattr(plain, f) for f in plain.__slots__} | {"portable": portable}))
    bodies = [b'{"a":"%s"}' % (b"x" * length) for length in (0, 300, 1, 55, 56, 64, 5_000, 3, 119)]
    shaped = plan.shape(pa.array(bodies, pa.binary()), np.arange(len(bodies)))
    assert shaped is not None
    assert shaped[0].column(2).to_pylist() == [hashlib.sha256(body).digest()[:16] for body in bodies]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Left.SYNTAX),
        (b"[]", Left.SYNTAX),
        (b'{"a":1,}', Left.SYNTAX),
        (b'{"a":1', Left.SYNTAX),
        (b'{"a":"x', Left.SYNTAX),
        (b'{"a":"x\\', Left.SYNTAX),
        (b'{"a":"\\u12', Left.SYNTAX),
        (b'{"a":"\\x"}', Left.SYNTAX),
        (b'{"a":"\n"}', Left.SYNTAX),
        (b'{"a" 1}', Left.SYNTAX),
        (b"{'a':1}", Left.SYNTAX),
        (b'{"a":1}{"a":2}', Left.SYNTAX),
        (b'{"a":nul}', Left.SYNTAX),
        (b'{"d":01}', Left.SYNTAX),
        (b'{"d":1.}', Left.SYNTAX),
        (b'{"d":-}', Left.SYNTAX),
        (b'{"a":1,"a":1}', Left.TWICE),
        (b'{"a":1,"\\u0061":1}', Left.TWICE),
        (b'{"z":null,"z":null}', Left.TWICE),
        (b'{"j":{"x":1,"y":2,"x":3}}', Left.TWICE),
        (b'{"a":"\\u0000"}', Left.CHARACTER),
        (b'{"a":"\\ud800"}', Left.CHARACTER),
        (b'{"a":"\\ud800\\u0041"}', Left.CHARACTER),
        (b'{"a":"\\udc00"}', Left.CHARACTER),
        (b'{"a":"\xff"}', Left.UTF8),
        (b'{"a":"\xed\xa0\x80"}', Left.UTF8),
        (b'{"a":"\xc0\x80"}', Left.UTF8),
        (b'{"a":"\xe2\x82"}', Left.UTF8),
        (b'{"d":1e5}', Left.NUMBER),
        (b'{"i":-0}', Left.NUMBER),
        (b'{"d":0.000001}', Left.NUMBER),
        (b'{"j":[0.1234567890123456789]}', Left.NUMBER),
        (b'{"z":1}', Left.UNKNOWN),
        (b'{"i":"1"}', Left.MISFIT),
        (b'{"i":9223372036854775808}', Left.MISFIT),
        (b'{"d":9007199254740993}', Left.MISFIT),
        (b'{"at":"2020-02-30"}', Left.MISFIT),
        (b'{"at":"2020-12-07T01:02:03.1234567"}', Left.MISFIT),
        (b'{"u":"x"}', Left.MISFIT),
        (b'{"a":{}}', Left.MISFIT),
        (b'{"j":' + b"[" * 100 + b"]" * 100 + b"}", Left.TAKEN),
        (b'{"j":' + b"[" * 101 + b"]" * 101 + b"}", Left.DEPTH),
        (b'{"a":"' + b"x" * 200 + b'"}', Left.SIZE),
    ],
)
def test_what_is_left_of_plain_records(body: bytes, reason: Left) -> None:
    """What another reader might understand differently is left with its reason; the record after it is not."""
    spec = StreamSpec(stream="s", max_record_bytes=210 if reason is not Left.SIZE else 200)
    rows, left = _shaped([body, b'{"a":"next"}'], spec)
    assert left == [reason, Left.TAKEN]
    assert rows[-1]["a"] == "next"
    assert rows[-1]["_pen_o"] == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"a":{"b":1},"a_b":null}', Left.UNKNOWN),
        (b'{"a":{"i":null},"a_i":null}', Left.TWICE),
        (b'{"a":1,"a":{}}', Left.TWICE),
        (b'{"a":{},"a":1}', Left.TWICE),
        (b'{"o":{},"o":{}}', Left.TWICE),
        (b'{"o":null,"o":{}}', Left.TWICE),
        (b'{"a":{"b":1}', Left.UNKNOWN),
        (b'{"o":{}', Left.SYNTAX),
        (b'{"o":{}}}', Left.SYNTAX),
        (b'{"o":' * 99 + b"{}" + b"}" * 99, Left.SIZE),
    ],
)
def test_what_is_left_of_nested_records(body: bytes, reason: Left) -> None:
    """Names that meet, braces that do not."""
    assert _shaped([body], FLAT)[1] == [reason]


def test_values_at_every_edge() -> None:
    """The least and the greatest of each type, and each way to write a text."""
    bodies = [
        b'{"i":9223372036854775807,"d":9007199254740992,"at":"9999-12-31 23:59:59.999999","b":true}',
        b'{"i":-9223372036854775808,"d":-0.0,"at":"0001-01-01","b":false}',
        b' { "i" : 7.0 , "d" : 0.30000000000000004 , "at" : "2000-02-29T12:00" , "a" : null } \r\n',
        '{"a":"\\u00e9\\ud83d\\ude00\\/\\n€","j":{"b":[1.50,"\\u000a"],"a":{}},"u":"00000000-0000-0000-0000-00000000000F"}'.encode(),
    ]
    rows, left = _shaped(bodies, StreamSpec(stream="s"))
    assert left == [Left.TAKEN] * 4
    assert [row["i"] for row in rows] == [2**63 - 1, -(2**63), 7, None]
    assert [row["d"] for row in rows] == [2.0**53, 0.0, 0.30000000000000004, None]
    assert [str(row["at"]) for row in rows[:3]] == [
        "9999-12-31 23:59:59.999999",
        "0001-01-01 00:00:00",
        "2000-02-29 12:00:00",
    ]
    assert [row["b"] for row in rows] == [True, False, None, None]
    assert rows[3]["a"] == "é😀/\n€"
    assert rows[3]["j"] == '{"a":{},"b":[1.5,"\\n"]}'
    assert rows[3]["u"] == bytes(15) + b"\x0f"
    canonical = '{"a":"é😀/\\n€","j":{"a":{},"b":[1.5,"\\n"]},"u":"00000000-0000-0000-0000-00000000000F"}'
    assert rows[3]["_pen_id"] == hashlib.sha256(canonical.encode()).digest()[:16]


def test_bodies_of_any_kind() -> None:
    """Slices of arrays, and those with 64-bit offsets, are read where they are."""
    plan = Plan(_library(), given(StreamSpec(stream="s"), Form(schema=SCHEMA)))
    bodies = [b'{"i":%d}' % i for i in range(20)]
    for type_ in (pa.binary(), pa.large_binary()):
        shaped = plan.shape(pa.array(bodies, type_).slice(3, 10), np.arange(100, 110))
        assert shaped is not None
        assert shaped[0].column(1).to_pylist() == list(range(3, 13))
    empty = plan.shape(pa.array([], pa.binary()), np.arange(0))
    assert empty is not None
    assert empty[0].num_rows == 0


def test_many_threads_share_a_plan() -> None:
    """A plan is never changed, so shaping side by side gives what one after the other gives."""
    plan = Plan(_library(), given(StreamSpec(stream="s"), Form(schema=SCHEMA)))
    bodies = pa.array([b'{"a":"x%d","j":[%d,{"k":null}],"i":%d}' % (i, i, i) for i in range(5_000)], pa.binary())
    orders = np.arange(5_000)
    expected = plan.shape(bodies, orders)
    assert expected is not None
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(plan.shape(bodies, orders))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(rows.equals(expected[0]) for rows, _ in answers)
    assert len(answers) == 6


def test_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    """PENSTOCK_NATIVE=0 hides the kernel from those who ask, and not whether it was built."""
    assert kernel() is not None
    monkeypatch.setenv(SWITCH, "0")
    assert kernel() is None
    assert built()


@settings(max_examples=examples(200), deadline=None)
@given_any(block=st.text(st.sampled_from('[]{},:"\\x\n'), max_size=60).map(str.encode), times=st.integers(1, 3))
def test_records_end_where_numpy_finds_their_ends(block: bytes, times: int) -> None:
    """Whatever the bytes, quotes and backslashes out of place among them."""
    block *= times
    with without_kernel():
        elements, closed = splitters.element_ends(block)
        values, lines = splitters._value_ends(block), splitters._line_ends(block, 10)
    ends, closed_too = cutting.element_ends(_library(), block)
    assert (ends.tolist(), closed_too) == (elements.tolist(), closed)
    assert cutting.value_ends(_library(), block).tolist() == values.tolist()
    assert cutting.line_ends(_library(), block, 10).tolist() == lines.tolist()


def test_identities_of_messages() -> None:
    """Of any id, also with quotes, control characters and none at all, those that SQL gives; of slices too."""
    ids = ["a", 'q"\\/', "\x01\n\x7f", "é😀", "", "x" * 500, "a", None]
    parts = np.array([0, 0, 1, 20, 0, 3, 1, 0], np.int64)
    with duckdb.connect(":memory:") as connection:
        expected = identity._message_identities(connection, np.arange(8), pa.array(ids), parts)
    found = message_identities(_library(), pa.array(["z", *ids]).slice(1), parts)
    assert found.to_pylist()[:7] == expected.to_pylist()[:7]
