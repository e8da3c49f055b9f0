"""The native lane gives the rows that the other lanes give, and takes what it says it takes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any
from unittest.mock import patch

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.layout import Layout
from penstock.ports import Batch, Segment, Shaped, Window
from penstock.schema import Column, Schema
from penstock.shape.lanes.parsed import Parsed
from penstock.shape.shaper import Shaper
from penstock.spec import StreamSpec
from tests.support.examples import examples
from tests.support.kernels import without_kernel

_TYPES = {"id": "bigint", "at": "timestamp", "name": "text", "price": "double", "paid": "boolean", "any": "json"}
SCHEMA = Schema(version=1, columns=tuple(Column(field=f, name=f, type=t) for f, t in _TYPES.items()))
RULES = [
    StreamSpec(stream="s"),
    StreamSpec(stream="s", identity=("id",)),
    StreamSpec(stream="s", identity=("id", "name"), version="at", disposition="merge"),
    StreamSpec(stream="s", declared=(("id", "bigint"), ("at", "timestamp"), ("paid", "boolean"))),
    StreamSpec(stream="s", types="evolve"),
    StreamSpec(stream="s", types="reject", columns="reject"),
    StreamSpec(stream="s", event_time="at", max_record_bytes=70),
]
_TEXTS = st.sampled_from(
    ["", "x", "é 😀", "a/b", "2020-12-07", "2020-12-07 01:02:03", "1", "true", "NaN", "\x7f", "{}", ","]
)
_NUMBERS = st.sampled_from([0, -1, 7, 12.5, -0.0, 1e22, 1e-7, 2**53 + 1, 2**63, 2**64 - 1, 0.1])
_VALUES = {
    "id": st.integers(-3, 3) | _NUMBERS,
    "at": st.sampled_from(["2020-12-07", "2020-12-08T01:02:03.5", "2020-12-09 00:00", "2020-02-30", ""]) | st.none(),
    "name": _TEXTS | st.none(),
    "price": _NUMBERS | st.none(),
    "paid": st.booleans() | st.none(),
    "any": _TEXTS | _NUMBERS | st.booleans() | st.none(),
}
_RECORDS = st.lists(st.fixed_dictionaries(_VALUES), min_size=1, max_size=12)
_SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " : ")])
_PIECES = ['"', "\\", ",", "{", "}", "[", "]", ":", "\n", "\x00", "\x01", "\\u0000", "\\ud800", "\\n"]
_PIECES += ["9", "e", ".", "-", " ", "NaN", "-Infinity", "1e400", "9" * 25, "0.12345678901234567890", "null", "é"]
_PIECES += ['"id":1,', '"é":[1,{"a":1,"a":2}]']
_DAMAGE = st.lists(
    st.tuples(st.integers(0, 11), st.integers(0, 200), st.integers(0, 3), st.sampled_from(_PIECES)), max_size=6
)


def _shaped(bodies: list[bytes], rules: StreamSpec, window: Window | None, *, untyped: bool = False) -> Shaped:
    shaper = Shaper(rules, threads=1)
    try:
        batch = Batch(
            bodies=pa.array(bodies, pa.binary()),
            segments=[Segment(start=0, place="f", number=1)],
            untyped=untyped,
            replays=[f"entry {i}" for i in range(len(bodies))],
        )
        return shaper.shape(batch, SCHEMA, window)
    finally:
        shaper.close()


def _seen(shaped: Shaped) -> tuple[Any, ...]:
    rows = sorted((dict(r) for r in shaped.rows.select(sorted(shaped.rows.column_names)).to_pylist()), key=str)
    rejects = sorted(shaped.rejects, key=lambda r: (r.origin, r.body))
    return rows, shaped.schema, rejects, shaped.read, shaped.duplicates, sorted(shaped.replayed)


@settings(max_examples=examples(300), deadline=None)
@given(
    found=_RECORDS,
    separators=_SEPARATORS,
    damage=_DAMAGE,
    end=st.sampled_from(["", "\n", "\r\n"]),
    rules=st.sampled_from(RULES),
    windowed=st.booleans(),
    untyped=st.booleans(),
)
def test_the_native_lane_gives_the_rows_of_the_others(
    found: list[dict[str, Any]],
    separators: tuple[str, str],
    damage: list[tuple[int, int, int, str]],
    end: str,
    rules: StreamSpec,
    windowed: bool,
    untyped: bool,
) -> None:
    """Records written one like the other, some of them damaged anywhere: rows, schema, rejects and counts are equal."""
    bodies = [json.dumps(r, ensure_ascii=False, separators=separators) + end for r in found]
    for n, place, cut, piece in damage:
        body = bodies[n % len(bodies)]
        bodies[n % len(bodies)] = body[:place] + piece + body[place + cut :]
    raw = [b.encode() for b in bodies]
    window = Window(start=datetime(2020, 12, 7), end=datetime(2020, 12, 9)) if windowed else None
    rules = replace(rules, event_time="at") if windowed else rules
    fast = _shaped(raw, rules, window, untyped=untyped)
    with without_kernel():
        slow = _shaped(raw, rules, window, untyped=untyped)
    assert _seen(fast) == _seen(slow)


def test_the_native_lane_takes_uniform_records() -> None:
    """No SQL is run when all records fit, nulls and all."""
    bodies = [
        json.dumps({"id": i, "at": None if i % 3 else "2020-12-07", "name": f"n{i}", "price": i / 8, "paid": None})
        for i in range(100)
    ]
    with patch.object(Parsed, "take", side_effect=AssertionError):
        shaped = _shaped([b.encode() for b in bodies], StreamSpec(stream="s"), None)
    assert shaped.rows.num_rows == 100


def test_flat_names_leave_no_more_room_than_there_is() -> None:
    """A record whose flat names take nearly all the kernel's room is shaped as by the other lanes: the names repeat the
    long name of the object that holds them, and a text with escapes follows."""
    objects: dict[str, dict[str, dict[str, int]]] = {letter: {"k0": {}, "k1": {}} for letter in "abcdefghijklmno"}
    rules = StreamSpec(stream="s", layout=Layout(flatten=True))
    for length in (25_264, *range(24_500, 26_000, 250)):
        bodies = [json.dumps({"L" * length: objects, "p": {}, "s": "\n" * 60_000}, separators=(",", ":")).encode()]
        native = _shaped(bodies, rules, None)
        with without_kernel():
            other = _shaped(bodies, rules, None)
        assert native.read == 1 and _seen(native) == _seen(other)


def test_new_columns_do_not_depend_on_the_kernel() -> None:
    """Types come from the same sample, and columns in the order of first values, whichever lane takes the rest."""
    bodies = [json.dumps({"id": i}).encode() for i in range(4_000)]
    bodies[1] = b'{"id":1,"zz":null}'
    bodies[10] = b'{"id":10,"n":5,"b":1,"zz":1}'
    bodies[3_000] = b'{"id":3000,"n":7.0}'
    native = _shaped(bodies, RULES[0], None)
    with without_kernel():
        other = _shaped(bodies, RULES[0], None)
    assert native.schema.columns[len(SCHEMA.columns) :] == other.schema.columns[len(SCHEMA.columns) :]
    assert [(c.name, c.type) for c in native.schema.columns[len(SCHEMA.columns) :]] == [
        ("n", "bigint"),
        ("b", "bigint"),
        ("zz", "bigint"),
    ]
