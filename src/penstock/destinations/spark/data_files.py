"""Files of a raw table: a day's rows together, in the order of their identities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyiceberg.io.pyarrow import _dataframe_to_data_files
from pyiceberg.transforms import DayTransform

from penstock.destinations.spark.arrow import day_numbers

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile
    from pyiceberg.table.metadata import TableMetadata

_DAYS_AT_ONCE = 8


def write_files(rows: pa.Table, metadata: TableMetadata, store: FileIO) -> list[DataFile]:
    """Write rows into new files, which no snapshot names yet."""
    parts = _parts(rows, day_column_of(metadata))
    return [file for part in parts for file in _dataframe_to_data_files(metadata, part, store)]


def day_column_of(metadata: TableMetadata) -> str | None:
    """The column by whose days a table's rows are kept apart."""
    for field in metadata.spec().fields:
        if isinstance(field.transform, DayTransform):
            return metadata.schema().find_column_name(field.source_id)
    return None


def _parts(rows: pa.Table, day: str | None) -> Iterator[pa.Table]:
    """The rows in the order of their identities, some days at a time: PyIceberg goes through all that it is given for
    each day in it."""
    if day is None or day not in rows.column_names:
        yield rows.sort_by("_pen_id")
        return
    days = day_numbers(rows.column(day))
    ordered = rows.append_column("_day", pa.array(days)).sort_by([("_day", "ascending"), ("_pen_id", "ascending")])
    in_order = np.sort(days)
    starts = np.flatnonzero(np.r_[True, in_order[1:] != in_order[:-1]])[::_DAYS_AT_ONCE]
    for start, end in zip(starts, [*starts[1:], rows.num_rows], strict=True):
        yield ordered.slice(start, end - start).drop_columns("_day")
