"""Dropped fields and flat records: the three lanes agree, and nothing of what is dropped is left."""

from __future__ import annotations

import json
import random
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.layout import Layout
from penstock.ports import Batch, Segment, Shaped
from penstock.schema import Schema
from penstock.shape.lanes import laying, select
from penstock.shape.lanes.parsed import Parsed
from penstock.shape.shaper import Shaper
from penstock.spec import StreamSpec
from tests.support.examples import examples
from tests.support.kernels import without_kernel

FLAT = Layout(flatten=True)
KEYS = st.sampled_from(["a", "b", "a_b", "a.b", "B", "secret", "secret_x", 'q"/~', "é"])
SCALARS = st.sampled_from(
    [None, True, 0, -7, 1.5, 0.1, 2**63, 1e22, "", "x", "2020-12-07", 'say "no"', "line\n", "[", "{", "hush"]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.dictionaries(KEYS, inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=8,
)
RECORDS = st.lists(st.dictionaries(KEYS, VALUES, max_size=4), min_size=1, max_size=6)
LAYOUTS = [
    FLAT,
    Layout(flatten=True, drop=("secret",)),
    Layout(flatten=True, drop=("a_b", "b_secret")),
    Layout(drop=("secret",)),
    Layout(drop=("secret", "a.b", "a.secret", "b.a.secret")),
]
SAME = st.fixed_dictionaries(
    {
        "id": st.integers(0, 3),
        "name": st.fixed_dictionaries({"first": st.sampled_from(["x", "é", "", None]), "secret": SCALARS}),
        "at": st.fixed_dictionaries({"geo": st.fixed_dictionaries({"lat": st.sampled_from(["1.5", None, 2])})}),
        "secret": SCALARS,
    }
)


def _shaped(bodies: list[bytes], rules: StreamSpec) -> Shaped:
    shaper = Shaper(rules, threads=1)
    try:
        batch = Batch(bodies=pa.array(bodies, pa.binary()), segments=[Segment(start=0, place="f", number=1)])
        return shaper.shape(batch, Schema())
    finally:
        shaper.close()


def _seen(shaped: Shaped) -> tuple[Any, ...]:
    rows = sorted((dict(r) for r in shaped.rows.to_pylist()), key=str)
    return rows, shaped.schema, list(shaped.rejects), shaped.read, shaped.duplicates


def _row(record: Any, layout: Layout, **rules: Any) -> dict[str, Any]:
    [row] = _shaped([json.dumps(record).encode()], StreamSpec(stream="s", layout=layout, **rules)).rows.to_pylist()
    return {k: v for k, v in row.items() if k != "_pen_origin"}


@settings(max_examples=examples(15), deadline=None)
@given(found=RECORDS, ascii_=st.booleans(), layout=st.sampled_from(LAYOUTS))
@example(found=[{"a": 1, "b": {}}, {"B": [], "c": 2, "b": [{}]}], ascii_=True, layout=Layout(flatten=True))
@example(found=[{'q"/~': 0, "a": {"b": 1, "é": 2}, "secret": 3, "": {}, "B": None}], ascii_=False, layout=LAYOUTS[-1])
def test_sql_and_python_lay_out_alike(found: list[dict[str, Any]], ascii_: bool, layout: Layout) -> None:
    """Whatever the nesting and the names, records have the same rows when all go through the careful lane, and when
    there are too many places for one statement."""
    bodies = [json.dumps(r, ensure_ascii=ascii_).encode() for r in found]
    rules = StreamSpec(stream="s", layout=layout)
    plain = _seen(_shaped(bodies, rules))
    with patch.object(select, "SUSPICIOUS", "[{]"):
        assert _seen(_shaped(bodies, rules)) == plain
    with patch.object(laying, "MAX_LEAVES", 2):
        assert _seen(_shaped(bodies, rules)) == plain
    with patch.object(laying, "MAX_LEAVES", 0), patch.object(laying, "MAX_OTHERS", 0):
        assert _seen(_shaped(bodies, rules)) == plain


@settings(max_examples=examples(40), deadline=None)
@given(
    found=st.lists(SAME, min_size=1, max_size=10),
    layout=st.sampled_from([*LAYOUTS[:2], Layout(flatten=True, drop=("name_secret", "secret"))]),
    keyed=st.booleans(),
    damage=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 90), st.sampled_from('{}",:[x1')), max_size=3),
)
def test_the_native_lane_lays_out_alike(
    found: list[dict[str, Any]], layout: Layout, keyed: bool, damage: list[tuple[int, int, str]]
) -> None:
    """Nested records that are written one like the other, some of them damaged: the same rows with the native lane
    and without it."""
    bodies = [json.dumps(r, ensure_ascii=False) for r in found]
    for n, place, piece in damage:
        body = bodies[n % len(bodies)]
        bodies[n % len(bodies)] = body[:place] + piece + body[place + 1 :]
    # the columns are there already, or nothing fits the native lane
    columns = {"id": "bigint", "name.first": "text", "at.geo.lat": "text"}
    rules = StreamSpec(
        stream="s",
        layout=layout,
        identity=("id", "name_first") if keyed else (),
        declared=tuple((f.replace(".", "_"), t) for f, t in columns.items()),
    )
    raw = [b.encode() for b in bodies]
    fast = _shaped(raw, rules)
    with without_kernel():
        slow = _shaped(raw, rules)
    assert _seen(fast) == _seen(slow)


def test_the_native_lane_takes_nested_records() -> None:
    """No SQL is run when all records fit, what is dropped and all."""
    layout = Layout(flatten=True, drop=("login_password", "login_attempts"))
    bodies = [
        json.dumps({"id": i, "login": {"user": f"u{i}", "password": f"hush{i}", "attempts": i}, "x": {"y": {"z": 0.5}}})
        for i in range(100)
    ]
    declared = (("id", "bigint"), ("login_user", "text"), ("x_y_z", "double"))
    with patch.object(Parsed, "take", side_effect=AssertionError):
        shaped = _shaped([b.encode() for b in bodies], StreamSpec(stream="s", layout=layout, declared=declared))
    assert shaped.rows.num_rows == 100
    assert shaped.rows["x_y_z"].to_pylist() == [0.5] * 100
    assert b"hush" not in str(shaped.rows.to_pylist()).encode()


def test_lists_are_not_taken_apart_by_names_of_digits() -> None:
    """A field named by a digit in one record makes nothing of the lists of another."""
    bodies = [b'{"a":{"0":1},"id":1}', b'{"a":[7,8],"id":2}']
    with without_kernel():
        rows = _shaped(bodies, StreamSpec(stream="s", layout=FLAT)).rows.to_pylist()
    assert [(row["a_0"], row["a"]) for row in sorted(rows, key=lambda row: row["id"])] == [(1, None), (None, "[7,8]")]


def test_every_spelling_of_a_nested_field_is_the_same_record() -> None:
    """Objects, names with points, and flat names as a CSV file has them give one row."""
    spellings: list[dict[str, Any]] = [
        {"id": 1, "name": {"first": "Ada", "last": {"of": "birth"}}},
        {"name.first": "Ada", "name.last.of": "birth", "id": 1},
        {"id": 1, "name_first": "Ada", "name_last_of": "birth"},
        {"id": 1, "name": {"first": "Ada", "last_of": "birth"}},
    ]
    rows = [_row(record, FLAT) for record in spellings]
    assert all(row == rows[0] for row in rows)
    assert rows[0].keys() == {"id", "name_first", "name_last_of", "_pen_id", "_pen_rescued"}


def test_names_that_meet_keep_their_values() -> None:
    """Of two fields with one flat name the one that is not nested has it, and the other's column ends in a hash."""
    row = _row({"a": {"b": "inner"}, "a_b": "outer"}, FLAT)
    assert row["a_b"] == "outer"
    [other] = [name for name in row if name.startswith("a_b_")]
    assert row[other] == "inner"
    assert _row({"a_b": "outer", "a": {"b": "inner"}}, FLAT) == row


def test_arrays_stay_json_and_empty_objects_land_nothing() -> None:
    """Elements are not taken apart; an empty object is as if it were not there."""
    row = _row({"a": {"tags": [{"x": 1}, 2], "none": {}}, "b": {}}, FLAT)
    assert json.loads(row["a_tags"]) == [{"x": 1}, 2]
    assert row == _row({"a": {"tags": [{"x": 1}, 2]}}, FLAT)


def test_a_contract_sees_flat_fields() -> None:
    """A nested field without a column is rescued, or rejected, under its flat name."""
    declared = (("id", "bigint"), ("at_lat", "decimal(9,6)"))
    record = {"id": 1, "at": {"lat": "1.25", "lon": "2"}}
    row = _row(record, FLAT, declared=declared, columns="rescue")
    assert str(row["at_lat"]) == "1.250000"
    assert json.loads(row["_pen_rescued"]) == {"at_lon": "2"}
    rules = StreamSpec(stream="s", layout=FLAT, declared=declared, columns="reject")
    [reject] = _shaped([json.dumps(record).encode()], rules).rejects
    assert (reject.code, reject.reason) == ("contract", "outside the contract: at_lon")
    assert json.loads(reject.body) == record


DROPPED = ["hush", 1234567, 0.123456789012345678, {"x": "hush"}, ["hush"], None, "2020-12-07"]


@pytest.mark.parametrize("layout", [Layout(drop=("p", "o.p")), Layout(flatten=True, drop=("p", "o_p"))])
@pytest.mark.parametrize(
    "secret",
    [s if isinstance(s, str | dict) or s is None else pytest.param(s, marks=pytest.mark.slow) for s in DROPPED],
)
def test_what_is_dropped_leaves_no_trace(layout: Layout, secret: Any) -> None:
    """Records with and without a dropped field are the same record, in arrays and under names with points too."""
    bare = {"id": 1, "o": {"q": 2}, "e": [{"q": 1}]}
    kept = _row(bare, layout)
    assert _row({**bare, "p": secret, "o": {"q": 2, "p": secret}}, layout) == kept
    assert _row({"o.p": secret, **bare}, layout) == kept
    inside = {"id": 1, "o": [{"q": 2, "p": secret}, [{"p": secret}]]}
    assert _row(inside, layout) == _row({"id": 1, "o": [{"q": 2}, [{}]]}, layout)


@pytest.mark.parametrize("layout", [Layout(drop=("p", "o.p")), Layout(flatten=True, drop=("p", "o_p"))])
@pytest.mark.parametrize(
    "body",
    [
        b'{"id":null,"p":"hush","o":{"p":"hush"}}',
        b'[{"p":"hush"},7,{"id":1,"id":2,"p":"hush"}]',
        b'{"id":1,"p":"hush"',
        b'\xff{"id":1,"p":"hush"}',
        b'{"id":1,"q":"\\u0000","p":"hush"}',
        b'{"id":1,"p":1,"p":"hush"}',
        b'{"id":1,"q":NaN,"p":"hush"}',
        b'["hush"',
    ],
)
def test_what_is_dropped_is_not_in_quarantine(layout: Layout, body: bytes) -> None:
    """A record in quarantine lacks its dropped fields; what cannot be read is not kept, but told apart by its place."""
    rules = StreamSpec(stream="s", layout=layout, identity=("id",), max_record_bytes=1000)
    shaped = _shaped([body, b'{"id":3}', body], rules)
    assert shaped.rows.num_rows == 1
    assert shaped.read == 1 + len(shaped.rejects)
    assert not any(b"hush" in r.body for r in shaped.rejects)
    again = _shaped([r.body for r in shaped.rejects], rules)
    assert [r.body for r in again.rejects] == [r.body for r in shaped.rejects]


def test_the_original_of_a_row_lacks_what_is_dropped() -> None:
    """A destination that refuses a row sends to quarantine what the stream keeps of it, numbers as they were."""
    record = b'{"id": 1.10, "n": 0.12345678901234567890, "p": "hush"}'
    for layout in (Layout(drop=("p",)), Layout(flatten=True, drop=("p",))):
        shaped = _shaped([record], StreamSpec(stream="s", layout=layout))
        original = shaped.refused(0, "contract", "").body
        assert b"hush" not in original
        assert b"0.1234567890123456789" in original


def test_many_shapes_of_record() -> None:
    """Hundreds of structures, key orders and missing parts in one batch give what each record alone gives."""
    draw = random.Random(7)
    found = []
    for i in range(300):
        inner = {f"k{j}": i for j in draw.sample(range(12), 3)}
        found.append({"id": i, "o": {"a": inner if i % 3 else None, "b": draw.choice([1, "x", {}, [1], None])}})
    numbers = ["id", *(f"o_a_k{j}" for j in range(12))]
    declared = (*((f, "bigint") for f in numbers), ("o_b", "json"), ("o_a", "text"))
    rules = StreamSpec(stream="s", layout=FLAT, declared=declared)
    together = _shaped([json.dumps(r).encode() for r in found], rules).rows.to_pylist()
    assert len(together) == 300
    for place in draw.sample(range(300), 12):
        [alone] = _shaped([json.dumps(found[place]).encode()], rules).rows.to_pylist()
        [same] = [r for r in together if r["id"] == place]
        assert {**alone, "_pen_origin": ""} == {**same, "_pen_origin": ""}
