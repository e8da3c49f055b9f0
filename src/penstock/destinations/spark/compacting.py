"""Writes small files of a table together, beside landings and builds.

Rows are read and written without any lock; that of the stream, or of whoever builds models, is held for the one moment
in which a snapshot comes to name the new files in place of the old ones, which is refused when one of these is gone
meanwhile. Each such snapshot stands by itself: killed, what was done stays done, and files that no snapshot names are
all that is left over.

A compaction changes no row, and its snapshot says so: it is a ``replace`` in Iceberg's words, which a change log passes
over. New files of raw tables are partitioned by days and in the order of identities as a load's are, and no file takes
in rows of other partitions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyiceberg.conversions import from_bytes
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.table.update.snapshot import _OverwriteFiles
from pyiceberg.types import NestedField, PrimitiveType

from penstock.destinations.spark.tended import partition_of
from penstock.faults import fault_point

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import FileScanTask, Table

    from penstock.destinations.spark.orphans import Folder
    from penstock.destinations.spark.tended import Tended

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
    """The compaction of one table, whose files are in ``folder``."""

    def __init__(self, tended: Tended, folder: Folder) -> None:
        self._tended = tended
        self._folder = folder
        self.rewritten = 0
        """Files that others stand in the place of."""

    def run(self) -> str:
        """Write small files together; why some are left, or nothing.

        Raises:
            CommitFailedException: the catalog refused again and again.
        """
        for _ in range(_TRIES):
            table = self._tended.load()
            if not any(groups(table)) and not self._tended.unentered(table):
                return ""
            with self._tended.still() as still:
                table = self._tended.load()
                left = self._tended.left(table) if still else self._tended.busy
            if left:
                return left
            if self._all_done(table):
                return ""
        return self._tended.busy

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
                    written.new += self._tended.write(together, table)
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
            with self._tended.still() as still:
                table = self._tended.load()
                moved = table.metadata.default_spec_id != planned.metadata.default_spec_id
                if not still or moved or self._tended.left(table):
                    raise ValidationException("the table was changed")
                before = table.metadata.current_snapshot_id
                after = _replace(table, _RewriteFiles, written, {})
                fault_point("compaction_committed")
                assert before is not None
                self._tended.rewritten(before, after)
        except (ValidationException, CommitFailedException):
            # refused, and so named by nothing. After any other failure nobody knows: such files wait as orphans
            self._remove(written.new)
            return False
        self.rewritten += len(written.old)
        fault_point("after_compaction")
        return True

    def _remove(self, files: Sequence[DataFile]) -> None:
        for file in files:
            self._folder.remove(file.file_path)


def replace_files(
    table: Table, old: Sequence[DataFile], new: Sequence[DataFile], properties: dict[str, str] | None = None
) -> None:
    """Make a snapshot that names the new files, whose rows are others, and the old ones no longer.

    Raises:
        ValidationException: an old one is gone.
        CommitFailedException: another snapshot was made meanwhile.
    """
    _replace(table, _OverwriteFiles, Written(list(old), list(new)), properties or {})


class _RewriteFiles(_OverwriteFiles):
    """A snapshot of the same rows in other files."""

    def _summary(self, snapshot_properties: dict[str, str] = {}) -> Summary:  # noqa: B006 - as it is there
        # PyIceberg counts for other operations alone
        counted = super()._summary(snapshot_properties)
        return Summary(operation=Operation.REPLACE, **counted.additional_properties)


def _replace(table: Table, how: type[_OverwriteFiles], written: Written, properties: dict[str, str]) -> int:
    """Make a snapshot; which one."""
    # never tried again by PyIceberg itself, which would not look again whether the old files are there
    table.metadata.properties["commit.retry.num-retries"] = "0"
    changes = table.transaction()
    with how(
        operation=Operation.OVERWRITE, transaction=changes, io=table.io, snapshot_properties=properties
    ) as snapshot:
        for file in written.old:
            snapshot.delete_data_file(file)
        for file in written.new:
            snapshot.append_data_file(file)
    made = changes.commit_transaction().metadata.current_snapshot_id
    assert made is not None
    return made


def groups(table: Table) -> Iterator[Sequence[FileScanTask]]:
    """The small files that are to become one each: of one partition, in the order of their loads, and those of a model
    in that of its first column. Files that have lost rows to deletes beside them are left to whoever wrote these."""
    partitions: dict[Any, list[FileScanTask]] = defaultdict(list)
    for task in table.scan().plan_files():
        if task.file.file_size_in_bytes < SMALL_BYTES and not task.delete_files:
            partitions[partition_of(task.file)].append(task)
    fields = table.schema().fields
    by = next((field for field in fields if field.name == "_pen_load"), fields[0])
    for tasks in partitions.values():
        tasks.sort(key=lambda task: _first(task.file, by))
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


def _first(file: DataFile, field: NestedField) -> tuple[bool, Any]:
    """The lowest value of a column, where it is known."""
    bound = (file.lower_bounds or {}).get(field.field_id)
    if bound is None or not isinstance(field.field_type, PrimitiveType):
        return False, 0
    return True, from_bytes(field.field_type, bound)
