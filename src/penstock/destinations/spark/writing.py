"""Data files of one landing, written beside the landing while its next rows come.

A day's rows are a file, in the order of their identities. Rows are put in order and encoded by PyIceberg's threads, a
day at a time: beside the rows that were given last, no more than a few days of them are held again.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.io.pyarrow import _dataframe_to_data_files, pyarrow_to_schema, write_file
from pyiceberg.partitioning import PartitionFieldValue, PartitionKey
from pyiceberg.table import WriteTask
from pyiceberg.transforms import DayTransform

from penstock.destinations.spark.arrow import NO_DAY, day_numbers

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile
    from pyiceberg.table.metadata import TableMetadata


class Files:
    """The files of one landing; no snapshot names them yet."""

    def __init__(self) -> None:
        self._written: list[DataFile] = []
        self._coming: Iterator[DataFile] = iter(())
        self._store: FileIO | None = None

    def __bool__(self) -> bool:
        """Whether there are any, perhaps unfinished."""
        return self._store is not None

    def write(self, rows: pa.Table, metadata: TableMetadata, store: FileIO) -> None:
        """Have rows written; those given before are by then.

        Raises:
            Exception: the store refused some of those given before.
        """
        self.finish()
        self._store = store
        fields = metadata.spec().fields
        if any(not isinstance(field.transform, DayTransform) for field in fields) or len(fields) > 1:
            # somebody has it kept apart in other ways too
            self._coming = iter(_dataframe_to_data_files(metadata, rows.sort_by("_pen_id"), store))
        else:
            self._coming = write_file(store, metadata, _tasks(rows, metadata))

    def finish(self) -> None:
        """Wait until all are written that were given.

        Raises:
            Exception: the store refused some.
        """
        for file in self._coming:
            self._written.append(file)

    def taken(self) -> list[DataFile]:
        """All of them, finished; they are forgotten here.

        Raises:
            Exception: the store refused some.
        """
        self.finish()
        files, self._written, self._store = self._written, [], None
        return files

    def discard(self) -> None:
        """Delete what was written, as far as the store lets us; what stays is named by no snapshot."""
        with contextlib.suppress(Exception):  # why a landing is rolled back is told by whoever does it
            self.finish()
        store, self._store = self._store, None
        for file in self._written:
            with contextlib.suppress(OSError):
                assert store is not None
                store.delete(file.file_path)
        self._written = []


def write_files(rows: pa.Table, metadata: TableMetadata, store: FileIO) -> list[DataFile]:
    """Write rows into new files, which no snapshot names yet.

    Raises:
        Exception: the store refused some; none is left.
    """
    files = Files()
    try:
        files.write(rows, metadata, store)
        return files.taken()
    except BaseException:
        files.discard()
        raise


def write_model_files(rows: pa.Table, metadata: TableMetadata, store: FileIO) -> list[DataFile]:
    """Write rows into new files of a model's table, by its partitions: with counts and without bounds, for which see
    :data:`penstock.destinations.spark.tables.PROPERTIES`."""
    properties = {**metadata.properties, "write.metadata.metrics.default": "counts"}
    return list(_dataframe_to_data_files(metadata.model_copy(update={"properties": properties}), rows, store))


class _Ordered:
    """Rows as batches in the order of their identities, made when they are asked for: by the thread that writes."""

    def __init__(self, parts: Sequence[pa.Table]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        rows = pa.concat_tables(self._parts)
        return iter(rows.take(pc.sort_indices(rows.column("_pen_id"))).to_batches())


def kept_apart_by(metadata: TableMetadata) -> str | None:
    """The column by whose days a table's rows are kept apart."""
    for field in metadata.spec().fields:
        if isinstance(field.transform, DayTransform):
            return metadata.schema().find_column_name(field.source_id)
    return None


def _tasks(rows: pa.Table, metadata: TableMetadata) -> Iterator[WriteTask]:
    """What PyIceberg is to write: a file each day."""
    numbers, name = count(), uuid.uuid4()
    schema = pyarrow_to_schema(
        rows.schema, name_mapping=metadata.schema().name_mapping, format_version=metadata.format_version
    )
    day = kept_apart_by(metadata)
    for number, parts in ({NO_DAY: [rows]} if day is None else _by_day(rows, day)).items():
        # in place of a list, which PyIceberg goes through once
        batches = cast("list[pa.RecordBatch]", _Ordered(parts))
        key = None if day is None else _key(metadata, None if number == NO_DAY else number)
        yield WriteTask(name, next(numbers), schema, batches, partition_key=key)


def _by_day(rows: pa.Table, day: str) -> dict[int, list[pa.Table]]:
    """The rows of each day. Those of a batch are brought together, so that a day is a piece of each batch."""
    if day not in rows.column_names:
        return {NO_DAY: [rows]}
    days: dict[int, list[pa.Table]] = {}
    for batch in rows.to_batches():
        numbers = day_numbers(pa.chunked_array([batch.column(day)]))
        order = np.argsort(numbers, kind="stable")
        walked = numbers[order]
        together = pa.table(batch if (order == np.arange(len(order))).all() else batch.take(pa.array(order)))
        starts = np.flatnonzero(np.r_[True, walked[1:] != walked[:-1]])
        for start, end in zip(starts, [*starts[1:], len(walked)], strict=True):
            days.setdefault(int(walked[start]), []).append(together.slice(start, end - start))
    return days


def _key(metadata: TableMetadata, day: int | None) -> PartitionKey:
    fields = [PartitionFieldValue(field, day) for field in metadata.spec().fields]
    return PartitionKey(fields, metadata.spec(), metadata.schema())
