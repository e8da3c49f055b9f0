"""Odd records without end, from fixed seeds: with the kernel a batch is shaped as it is without."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest

from penstock.layout import Layout
from penstock.ports import Batch, Segment, Shaped, Window
from penstock.schema import Column, Schema
from penstock.shape.shaper import Shaper
from penstock.spec import StreamSpec
from tests.support.kernels import kernel_switched
from tests.support.odd_records import TYPES, OddRecords

_UNDECLARED = ("free", "when")
SCHEMA = Schema(
    version=1,
    columns=tuple(
        Column(field=f, name=f"c{i}", type=t, declared=f not in _UNDECLARED) for i, (f, t) in enumerate(TYPES.items())
    ),
)
VARIED = SCHEMA.grown(
    [
        Column(field="t", name="t_json", type="json", variant=True),
        Column(field="i", name="i_double", type="double", variant=True),
        Column(field="i", name="i_json", type="json", variant=True),
    ]
)
SPEC = StreamSpec(
    stream="s",
    declared=tuple((f, t) for f, t in TYPES.items() if f not in _UNDECLARED),
    columns="rescue",
    max_record_bytes=100_000,
)
FLAT, DROPPING = Layout(flatten=True), Layout(flatten=True, drop=("s", "o_s"))
SPECS = {
    "plain": SPEC,
    "keyed": replace(SPEC, identity=("i", "t")),
    "raw": replace(SPEC, raw_json=True),
    "keyed and raw": replace(SPEC, identity=("t",), raw_json=True),
    "merged": replace(SPEC, identity=("u",), version="at", disposition="merge"),
    "merged by json": replace(SPEC, identity=("n",), version="j", disposition="merge", raw_json=True),
    "timed": replace(SPEC, event_time="at"),
    "timed by zones": replace(SPEC, event_time="zoned"),
    "timed by any text": replace(SPEC, event_time="t"),
    "flat": replace(SPEC, layout=FLAT),
    "flat without some": replace(SPEC, layout=DROPPING, raw_json=True),
    "nested without some": replace(SPEC, layout=Layout(drop=("s", "o.s"))),
    "strict": replace(SPEC, types="reject", columns="reject"),
    "evolving": replace(SPEC, types="evolve", columns="evolve"),
}
ROUNDS = 3
BODIES = 400


def _shaped(spec: StreamSpec, schema: Schema, batch: Batch, *, native: bool) -> tuple[Any, ...]:
    window = Window(start=datetime(1000, 1, 1), end=datetime(5000, 1, 1)) if spec.event_time else None
    with kernel_switched(native):
        shaper = Shaper(spec, threads=1)
    try:
        return _seen(shaper.shape(batch, schema, window))
    finally:
        shaper.close()


def _seen(shaped: Shaped) -> tuple[Any, ...]:
    """All of it, to be compared: times as numbers, for Python has no year over 9999, and floats with their sign."""
    names = sorted(shaped.rows.column_names)
    columns = [
        shaped.rows[name].cast(pa.int64()) if pa.types.is_timestamp(shaped.rows.field(name).type) else shaped.rows[name]
        for name in names
    ]
    values = zip(*(column.to_pylist() for column in columns), strict=True)
    rows = {row[names.index("_pen_origin")]: repr(row) for row in values}
    return rows, names, shaped.schema, sorted(map(repr, shaped.rejects)), shaped.read, shaped.duplicates


@pytest.mark.slow
@pytest.mark.parametrize("varied", [False, True], ids=["one column", "variants"])
@pytest.mark.parametrize("name", SPECS)
def test_odd_records(name: str, varied: bool) -> None:
    """Rows, identities, hashes, schema, rejects and counts are the same, for streams of every kind, typed and not."""
    spec, schema = SPECS[name], VARIED if varied else SCHEMA
    for turn in range(ROUNDS):
        source = OddRecords(_seed(name, turn, varied), mild=(0.0, 0.8, 0.97)[turn % 3], nested=bool(spec.layout))
        batch = Batch(
            bodies=pa.array(source.bodies(BODIES), pa.binary()),
            segments=[Segment(start=0, place="f", number=1)],
            untyped=varied and turn % 2 == 1,
        )
        native = _shaped(spec, schema, batch, native=True)
        without = _shaped(spec, schema, batch, native=False)
        differing = [place for place in without[0] if native[0].get(place) != without[0][place]][:1]
        shown = [(batch.bodies[int(p[2:]) - 1].as_py(), native[0].get(p), without[0][p]) for p in differing]
        assert not shown
        assert native == without


def _seed(name: str, turn: int, varied: bool) -> int:
    """A seed of its own for each batch, the same in every process."""
    return list(SPECS).index(name) * 100 + turn * 10 + varied
