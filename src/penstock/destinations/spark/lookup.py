"""Which identities the files of a raw table hold.

Where an identity fixes a record's event time, a record that comes again can only be among rows of the same day, and
among those that have no event time: no other files are read. Elsewhere all of them are, but for the groups of rows
whose statistics say that none of a few identities can be in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import (
    AlwaysTrue,
    And,
    BooleanExpression,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    IsNull,
    LessThanOrEqual,
    Or,
)
from pyiceberg.io.pyarrow import ArrowScan

from penstock.destinations.spark.arrow import day_numbers

if TYPE_CHECKING:
    from pyiceberg.table import FileScanTask, Table

_FEW = 200
"""Identities up to which statistics are asked for each: PyIceberg asks for no more."""
_RANGES = 50
"""Stretches of days up to which each is asked for; of more, the one from the first day to the last."""


class FilesOfTable:
    """The files of one snapshot of a table.

    ``day`` is the column that says where a record with a known identity can be; None where it can be anywhere.
    """

    def __init__(self, table: Table, day: str | None) -> None:
        self._table = table
        names = [field.name for field in table.schema().fields]
        self._day = day if day in names else None

    def entries(self, rows: pa.Table, columns: Sequence[str]) -> Iterator[tuple[FileScanTask, pa.Table]]:
        """Of the rows that have an identity of ``rows``: some columns, ``_pen_id`` the first, file by file."""
        if not rows.num_rows:
            return
        ids = rows.column("_pen_id").combine_chunks()
        few = _if_few(ids)
        for task in self._tasks(rows, few):
            for batch in self._batches([task], few, columns):
                hits = batch.filter(pc.is_in(batch.column("_pen_id"), value_set=ids))
                if hits.num_rows:
                    yield task, pa.table(hits)

    def known(self, rows: pa.Table) -> pa.Array:
        """The identities of ``rows`` that are there."""
        if not rows.num_rows:
            return pa.array([], pa.string())
        ids = rows.column("_pen_id").combine_chunks()
        few = _if_few(ids)
        columns = (b.column("_pen_id") for b in self._batches(self._tasks(rows, few), few, ["_pen_id"]))
        hits = [column.filter(pc.is_in(column, value_set=ids)) for column in columns]
        return pa.concat_arrays(hits) if hits else pa.array([], pa.string())

    def later(self, load: int) -> Iterator[pa.Array]:
        """The identities of rows that loads above ``load`` landed. Files of others are told by their statistics."""
        condition = GreaterThan("_pen_load", load)
        tasks = list(self._table.scan(row_filter=condition).plan_files())
        for batch in self._batches(tasks, condition, ["_pen_id"]):
            yield batch.column("_pen_id")

    def all(self, columns: Sequence[str]) -> Iterator[tuple[FileScanTask, pa.Table]]:
        """Some columns of all rows, file by file."""
        for task in self._table.scan().plan_files():
            batches = list(self._batches([task], AlwaysTrue(), columns))
            if batches:
                yield task, pa.Table.from_batches(batches)

    def _tasks(self, rows: pa.Table, few: BooleanExpression) -> Sequence[FileScanTask]:
        """The files that may have rows with identities of ``rows``."""
        if self._day is None or self._day not in rows.column_names:
            return list(self._table.scan(row_filter=few).plan_files())
        # a record whose event time was no column yet landed without one. These are planned apart: PyIceberg 0.12
        # compares what is null where one condition asks for both
        conditions = [IsNull(self._day), *_same_days(self._day, rows.column(self._day))]
        plans = [self._table.scan(row_filter=And(few, condition)).plan_files() for condition in conditions]
        return list({task.file.file_path: task for plan in plans for task in plan}.values())

    def _batches(
        self, tasks: Sequence[FileScanTask], condition: BooleanExpression, columns: Sequence[str]
    ) -> Iterator[pa.RecordBatch]:
        projection = self._table.scan(selected_fields=tuple(columns)).projection()
        return ArrowScan(self._table.metadata, self._table.io, projection, condition).to_record_batches(tasks)


def _if_few(ids: pa.Array) -> BooleanExpression:
    """Asks for each identity, where they are few."""
    return In("_pen_id", ids.to_pylist()) if len(ids) <= _FEW else AlwaysTrue()


def _same_days(column: str, values: pa.ChunkedArray) -> list[BooleanExpression]:
    """One condition for all days of these values; none where there are none."""
    days = np.unique(day_numbers(values.drop_null()))
    if not len(days):
        return []
    breaks = np.flatnonzero(np.diff(days) > 1)
    firsts, lasts = days[[0, *(breaks + 1)]], days[[*breaks, len(days) - 1]]
    if len(firsts) > _RANGES:
        firsts, lasts = days[:1], days[-1:]
    ranges: list[BooleanExpression] = []
    for first, last in zip(firsts, lasts, strict=True):
        start, end = _bounds(values.type, first, last)
        ranges.append(And(GreaterThanOrEqual(column, start), LessThanOrEqual(column, end)))
    return [ranges[0] if len(ranges) == 1 else Or(*ranges)]


def _bounds(type_: pa.DataType, first: Any, last: Any) -> tuple[str, str]:
    """The first and the last moment of days, as Iceberg's literals have them."""
    start, end = (str(np.datetime64(int(day), "D")) for day in (first, last))
    if pa.types.is_date(type_):
        return start, end
    zone = "+00:00" if type_.tz else ""
    return f"{start}T00:00:00{zone}", f"{end}T23:59:59.999999{zone}"
