"""Writes small files of a raw table together, beside landings.

Rows are read and written without any lock; the stream's is held for the one moment in which a snapshot comes to name
the new files in place of the old ones, which is refused when one of these is gone meanwhile. Each such snapshot stands
by itself: killed, what was done stays done, and files that no snapshot names are all that is left over.

A compaction changes no row. New files are partitioned by the table's days and in the order of identities as a load's
are, and no file takes in rows of other partitions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyiceberg.conversions import from_bytes
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.types import LongType

from penstock.destinations.spark.expiring import history
from penstock.destinations.spark.take_back import stamp_of
from penstock.destinations.spark.writing import write_files
from penstock.faults import fault_point

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pyiceberg.manifest import DataFile
    from pyiceberg.table import FileScanTask, Table

    from penstock.destinations.spark.orphans import Folder

SMALL_BYTES = 16 << 20
"""Files below are written together."""
_GROUP_BYTES = 32 << 20
"""As many bytes of files become one file, unless their rows take more memory than a load's would."""
_GROUP_FILES = 1_000
FEWEST = 5
"""Fewer small files of a partition stay as they are, as in Iceberg's own compaction."""
_ROWS_BYTES = 128 << 20
"""Rows in memory before they are written."""
_SNAPSHOT_FILES = 2_000
_TRIES = 3


@dataclass(slots=True)
class Written:
    """New files, and those that they take the place of."""

    old: list[DataFile] = field(default_factory=list)
    new: list[DataFile] = field(default_factory=list)


class Compaction:
    """The compaction of one raw table.

    Args:
        load: gives the table as it is now.
        lock: holds the stream's lock, in a transaction of the ledger.
        is_known: whether the ledger has a load of the stream.
        folder: where its files are.
    """

    def __init__(
        self,
        load: Callable[[], Table],
        lock: Callable[[], AbstractContextManager[None]],
        is_known: Callable[[int], bool],
        folder: Folder,
    ) -> None:
        self._load = load
        self._lock = lock
        self._is_known = is_known
        self._folder = folder
        self.rewritten = 0
        """Files that others stand in the place of."""

    def run(self) -> str:
        """Write small files together; why some are left, or nothing.

        Raises:
            CommitFailedException: the catalog refused again and again.
        """
        for _ in range(_TRIES):
            table = self._load()
            if self._ends_in_unknown(table):
                return "its newest rows are of a load that never ended: the next load into it settles that"
            if self._all_done(table):
                return ""
        return "landings wrote the same files meanwhile: run it again"

    def _all_done(self, table: Table) -> bool:
        """Whether each group of small files was written anew, or is not worth it."""
        ready = Written()
        done = True
        for tasks in groups(table):
            written = self._together(table, tasks)
            if 2 * len(written.new) > len(written.old):  # it would be as many again the next time
                self._remove(written.new)
                continue
            ready.old += written.old
            ready.new += written.new
            if len(ready.old) >= _SNAPSHOT_FILES:
                done = self._made(table, ready) and done
                ready = Written()
        return (not ready.old or self._made(table, ready)) and done

    def _together(self, table: Table, tasks: Sequence[FileScanTask]) -> Written:
        """Write the rows of some files into as few."""
        reading = ArrowScan(table.metadata, table.io, table.scan().projection(), AlwaysTrue())
        written = Written(old=[task.file for task in tasks])
        rows: list[pa.Table] = []
        try:
            for task in tasks:
                rows.append(reading.to_table([task]))
                if task is tasks[-1] or sum(part.nbytes for part in rows) > _ROWS_BYTES:
                    # a column that a file is older than is read as a text of another kind
                    together = pa.concat_tables(rows, promote_options="permissive")
                    written.new += write_files(together, table.metadata, table.io)
                    rows = []
            had, has = (sum(file.record_count for file in files) for files in (written.old, written.new))
            if had != has:
                raise AssertionError(f"{had:,} rows were to be written anew, not {has:,}")
        except BaseException:
            self._remove(written.new)
            raise
        fault_point("files_compacted")
        return written

    def _made(self, planned: Table, written: Written) -> bool:
        """Make the snapshot, unless the table is another one by now."""
        fault_point("before_compaction")
        try:
            with self._lock():
                table = self._load()
                if table.metadata.default_spec_id != planned.metadata.default_spec_id or self._ends_in_unknown(table):
                    raise ValidationException("the table was changed")
                replace_files(table, written.old, written.new)
        except (ValidationException, CommitFailedException):
            # refused, and so named by nothing. After any other failure nobody knows: such files wait as orphans
            self._remove(written.new)
            return False
        self.rewritten += len(written.old)
        fault_point("after_compaction")
        return True

    def _ends_in_unknown(self, table: Table) -> bool:
        """Whether the newest load that wrote to the table is one that the ledger does not know: to be taken back."""
        loads = (load for snapshot in history(table) if (load := stamp_of(snapshot)) is not None)
        newest = next(loads, None)
        return newest is not None and not self._is_known(int(newest))

    def _remove(self, files: Sequence[DataFile]) -> None:
        for file in files:
            self._folder.remove(file.file_path)


def replace_files(
    table: Table, old: Sequence[DataFile], new: Sequence[DataFile], properties: dict[str, str] | None = None
) -> None:
    """Make a snapshot that names the new files, and the old ones no longer.

    Raises:
        ValidationException: an old one is gone.
        CommitFailedException: another snapshot was made meanwhile.
    """
    # never tried again by PyIceberg itself, which would not look again whether the old files are there
    table.metadata.properties["commit.retry.num-retries"] = "0"
    changes = table.transaction()
    with changes.update_snapshot(snapshot_properties=properties or {}).overwrite() as snapshot:
        for file in old:
            snapshot.delete_data_file(file)
        for file in new:
            snapshot.append_data_file(file)
    changes.commit_transaction()


def groups(table: Table) -> Iterator[Sequence[FileScanTask]]:
    """The small files that are to become one each: of one partition, in the order of their loads. Files that have lost
    rows to deletes beside them are left to whoever wrote these."""
    partitions: dict[Any, list[FileScanTask]] = defaultdict(list)
    for task in table.scan().plan_files():
        file = task.file
        if file.file_size_in_bytes < SMALL_BYTES and not task.delete_files:
            values = tuple(file.partition[i] for i in range(len(file.partition)))
            partitions[file.spec_id, values].append(task)
    load = table.schema().find_field("_pen_load").field_id
    for tasks in partitions.values():
        tasks.sort(key=lambda task: _first(task.file, load))
        for group in _groups(tasks):
            if len(group) >= FEWEST:
                yield group


def _groups(tasks: Sequence[FileScanTask]) -> Iterator[Sequence[FileScanTask]]:
    group: list[FileScanTask] = []
    size = 0
    for task in tasks:
        if group and (size + task.file.file_size_in_bytes > _GROUP_BYTES or len(group) == _GROUP_FILES):
            yield group
            group, size = [], 0
        group.append(task)
        size += task.file.file_size_in_bytes
    if group:
        yield group


def _first(file: DataFile, field_id: int) -> int:
    """The lowest value of a column of numbers."""
    bounds = file.lower_bounds or {}
    return int(from_bytes(LongType(), bounds[field_id])) if field_id in bounds else 0
