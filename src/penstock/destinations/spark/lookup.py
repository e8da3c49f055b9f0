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
    GreaterThanOrEqual,
    In,
    IsNull,
    LessThanOrEqual,
    Or,
)
from pyiceberg.io.pyarrow import ArrowScan

if TYPE_CHECKING:
    from pyiceberg.table import DataScan, FileScanTask, Table

_FEW = 200
"""Identities up to which statistics are asked for each: PyIceberg asks for no more."""
_RANGES = 50
"""Stretches of days up to which each is asked for; of more, the one from the first day to the last."""
_DAY_MICROSECONDS = 86_400_000_000


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
        scan = self._scan(self._filter(rows, ids), columns)
        for task in scan.plan_files():
            for batch in self._batches(scan, [task]):
                hits = batch.filter(pc.is_in(batch.column("_pen_id"), value_set=ids))
                if hits.num_rows:
                    yield task, pa.table(hits)

    def known(self, rows: pa.Table) -> pa.Array:
        """The identities of ``rows`` that are there."""
        if not rows.num_rows:
            return pa.array([], pa.string())
        ids = rows.column("_pen_id").combine_chunks()
        scan = self._scan(self._filter(rows, ids), ["_pen_id"])
        hits = [
            column.filter(pc.is_in(column, value_set=ids))
            for column in (batch.column("_pen_id") for batch in self._batches(scan, list(scan.plan_files())))
        ]
        return pa.concat_arrays(hits) if hits else pa.array([], pa.string())

    def all(self, columns: Sequence[str]) -> Iterator[tuple[FileScanTask, pa.Table]]:
        """Some columns of all rows, file by file."""
        scan = self._scan(AlwaysTrue(), columns)
        for task in scan.plan_files():
            batches = list(self._batches(scan, [task]))
            if batches:
                yield task, pa.Table.from_batches(batches)

    def _scan(self, condition: BooleanExpression, columns: Sequence[str]) -> DataScan:
        return self._table.scan(row_filter=condition, selected_fields=tuple(columns))

    def _batches(self, scan: DataScan, tasks: Sequence[FileScanTask]) -> Iterator[pa.RecordBatch]:
        reading = ArrowScan(self._table.metadata, self._table.io, scan.projection(), scan.row_filter)
        return reading.to_record_batches(tasks)

    def _filter(self, rows: pa.Table, ids: pa.Array) -> BooleanExpression:
        """What all rows with one of these identities meet."""
        few = In("_pen_id", ids.to_pylist()) if len(ids) <= _FEW else AlwaysTrue()
        if self._day is None or self._day not in rows.column_names:
            return few
        return And(few, _same_days(self._day, rows.column(self._day)))


def _same_days(column: str, values: pa.ChunkedArray) -> BooleanExpression:
    """The days of these values; and none, since a record whose event time was no column yet landed without one."""
    days = _days(values)
    if not len(days):
        return IsNull(column)
    breaks = np.flatnonzero(np.diff(days) > 1)
    firsts, lasts = days[[0, *(breaks + 1)]], days[[*breaks, len(days) - 1]]
    if len(firsts) > _RANGES:
        firsts, lasts = days[:1], days[-1:]
    condition: BooleanExpression = IsNull(column)
    for first, last in zip(firsts, lasts, strict=True):
        start, end = _bounds(values.type, first, last)
        condition = Or(condition, And(GreaterThanOrEqual(column, start), LessThanOrEqual(column, end)))
    return condition


def _days(values: pa.ChunkedArray) -> Any:
    """The days since 1970 of dates or moments, each once, in order."""
    present = values.drop_null()
    if pa.types.is_date(present.type):
        numbers = present.cast(pa.int32()).to_numpy()
    else:
        numbers = np.floor_divide(present.cast(pa.int64()).to_numpy(), _DAY_MICROSECONDS)
    return np.unique(numbers)


def _bounds(type_: pa.DataType, first: Any, last: Any) -> tuple[str, str]:
    """The first and the last moment of days, as Iceberg's literals have them."""
    start, end = (str(np.datetime64(int(day), "D")) for day in (first, last))
    if pa.types.is_date(type_):
        return start, end
    zone = "+00:00" if type_.tz else ""
    return f"{start}T00:00:00{zone}", f"{end}T23:59:59.999999{zone}"
