"""Rows as they land: each column of its exact type, in table order, and where each came from."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.ports import Batch, Window
from penstock.schema import Schema
from penstock.shape.arrow import cast
from penstock.shape.lines import SUB_RECORDS
from penstock.shape.types import arrow_type
from penstock.spec import StreamSpec


def rows_inside(rows: pa.Table, window: Window) -> pa.Table:
    """The rows whose event time lies in the window, and those that have none."""
    times = rows["_pen_event_time"]
    start, end = (pa.scalar(t, pa.timestamp("us")) for t in (window.start, window.end))
    inside = pc.and_(pc.greater_equal(times, start), pc.less(times, end))
    return rows.filter(pc.fill_null(inside, True))


def landing_rows(batch: Batch, schema: Schema, spec: StreamSpec, rows: pa.Table) -> pa.Table:
    """The columns that land of a batch's rows."""
    columns = {c.name: cast(rows[c.name], arrow_type(c.type)) for c in schema.columns}
    columns["_pen_id"] = cast(rows["_pen_id"], pa.uuid())
    columns["_pen_origin"] = _origins(batch, rows["_pen_o"])
    columns["_pen_rescued"] = cast(rows["_pen_rescued"], pa.json_(pa.string()))
    if spec.raw_json:
        columns["_pen_json"] = cast(rows["_pen_json"], pa.json_(pa.string()))
    if spec.content:
        columns["_pen_content"] = cast(rows["_pen_content"], pa.uuid())
    if spec.versioned:
        columns["_pen_version"] = cast(rows["_pen_version"], pa.string())
    return pa.table(columns)


def _origins(batch: Batch, orders: pa.ChunkedArray) -> pa.ChunkedArray:
    """``place#number`` of each row, or just its place."""
    lines = orders.to_numpy() // SUB_RECORDS
    starts = np.array([s.start for s in batch.segments], dtype=np.int64)
    which = np.searchsorted(starts, lines, side="right") - 1
    bases = np.array([(s.number or 0) - s.start for s in batch.segments], dtype=np.int64)
    numbers = pa.array(lines + bases[which] if len(lines) else lines).cast(pa.string())
    if len(batch.segments) == 1 and batch.segments[0].number is not None:
        return pc.binary_join_element_wise(pa.scalar(batch.segments[0].place), numbers, "#")
    places = pa.array([s.place for s in batch.segments], pa.string()).take(pa.array(which))
    numbered = np.array([s.number is not None for s in batch.segments], dtype=bool)
    return pc.if_else(pa.array(numbered[which]), pc.binary_join_element_wise(places, numbers, "#"), places)
