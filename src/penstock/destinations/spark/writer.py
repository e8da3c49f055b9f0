"""A landing's verbs on one Iceberg table.

What is new is written to files as it comes; nobody can see these before the table's next snapshot names them, which is
made at the commit, with its columns, in one step. Killed before that, they stay behind in the table's folder.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.transforms import DayTransform

from penstock.destinations.spark.appending import Appending, Known, refreshed
from penstock.destinations.spark.arrow import NO_DAY, as_stored, day_numbers, stamped
from penstock.destinations.spark.catalogs import RAW
from penstock.destinations.spark.driver_errors import refusal
from penstock.destinations.spark.lookup import FilesOfTable
from penstock.destinations.spark.replacing import Replacing, with_keys
from penstock.destinations.spark.tables import (
    PARTITION,
    day_column,
    day_metrics,
    day_partition,
    fixes,
    iceberg_type,
    own_columns,
    properties,
    sorted_by_identity,
    table_schema,
)
from penstock.destinations.spark.take_back import STAMP, expect_entered, take_back
from penstock.destinations.spark.writing import Files, kept_apart_by
from penstock.destinations.structure import check_foreign, check_table
from penstock.errors import RejectedRows
from penstock.faults import fault_point
from penstock.logs import get_log
from penstock.ports import Target
from penstock.schema import Column, Schema
from penstock.shape.arrow import id_halves

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import FileScanTask, Table, Transaction

    from penstock.errors import DestinationError

_log = get_log("spark")


class Warehouse(Protocol):
    """The destination that is landed into."""

    shown: str
    one_commit: bool
    """Whether the catalog is in the ledger's transaction."""
    known: dict[str, Known]
    """What this process remembers of the streams' tables."""

    def is_known(self, stream: str, load_id: int) -> bool:
        """Whether the ledger has a load of a stream."""
        ...


class IcebergWriter:
    """One landing: a transaction of a table, that one or one that is made by it."""

    def __init__(self, warehouse: Warehouse, catalog: Catalog, target: Target) -> None:
        self._warehouse = warehouse
        self._catalog = catalog
        self._target = target
        self._name = (RAW, target.stream)
        self._table: Table | None = None
        """What was there before."""
        self._changes: Transaction | None = None
        self._changed = False
        self._rows: Appending | Replacing | None = None
        self._known: Known | None = None
        self._files = Files()
        self._schema = Schema()
        self._load_id = self._newest = 0
        self._at = datetime.now(UTC)

    def refusal(self, error: Exception, *, rows: bool) -> DestinationError | None:
        """The drivers' errors as ours."""
        return refusal(error, f"{self._warehouse.shown} {'.'.join(self._name)}", rows=rows)

    def begin(self, load_id: int, at: datetime) -> None:
        """See what is there; the lock on the stream is held."""
        self._load_id, self._at = load_id, at
        try:
            self._open(self._catalog.load_table(self._name))
        except NoSuchTableError:
            self._table = self._changes = None

    def _open(self, table: Table) -> None:
        if not self._warehouse.one_commit:
            # whoever has lost the lock without knowing fails where another has landed meanwhile: tried again by
            # PyIceberg itself, his rows would land beside the other's
            table.metadata.properties["commit.retry.num-retries"] = "0"
        self._table, self._changes = table, table.transaction()

    def check(self, schema: Schema, *, new: bool) -> None:
        """See that the table is as the ledger has it."""
        del new
        self._schema = schema
        name = ".".join(self._name)
        actual = {} if self._table is None else {f.name: str(f.field_type) for f in self._table.schema().fields}
        if not schema.version:
            check_foreign(f'raw."{self._target.stream}"', actual)
            return
        expected = {c.name: str(iceberg_type(c.type)) for c in schema.columns}
        own = {n: str(type_) for n, type_ in own_columns(self._target).items() if n in _ALWAYS}
        check_table(name, expected | own, actual, where=self._warehouse.shown)

    def has_table(self) -> bool:
        """Whether the table is there."""
        return self._changes is not None

    def columns(self) -> list[str]:
        """The names of its columns."""
        return [field.name for field in self._transaction.table_metadata.schema().fields]

    @property
    def _transaction(self) -> Transaction:
        assert self._changes is not None, "a table is looked for before it is changed"
        return self._changes

    @property
    def _store(self) -> FileIO:
        return self._transaction._table.io  # noqa: SLF001 - a table that is made by the commit has it nowhere else

    def take_back(self, newest: int) -> None:
        """Undo what a load left that the ledger does not know. Where both are committed at once, none can."""
        self._newest = newest
        where = self._warehouse.shown
        if self._table is None:
            return
        if self._warehouse.one_commit:
            expect_entered(self._table, newest, where=where)
        elif take_back(self._table, newest, partial(self._warehouse.is_known, self._target.stream), where=where):
            _log.warning("took back what a load left that never ended", table=".".join(self._name), newest=newest)
            self._open(self._catalog.load_table(self._name))

    def create(self, schema: Schema) -> None:
        """Make the table."""
        columns = table_schema(schema, self._target)
        day = day_column(schema, self._target.spec)
        self._changes = self._catalog.create_table_transaction(
            self._name,
            columns,
            partition_spec=day_partition(columns, day),
            sort_order=sorted_by_identity(columns),
            properties=properties(day),
        )
        self._changed = True

    def widen(self, schema: Schema, added: Sequence[Column]) -> None:
        """Add columns."""
        self._schema = schema
        if not added:
            return
        with self._transaction.update_schema() as update:
            for column in added:
                update.add_column(column.name, iceberg_type(column.type))
        self._changed = True
        self._keep_days_apart()

    def _keep_days_apart(self) -> None:
        """Write a day's rows together from now on, where the event time has become a column. A landing that has
        written files goes on as it began, and the next one does."""
        day = day_column(self._schema, self._target.spec)
        metadata = self._transaction.table_metadata
        if day is None or self._files or not metadata.spec().is_unpartitioned():
            return
        if day not in self.columns():
            return
        with self._transaction.update_spec() as spec:
            spec.add_field(day, DayTransform(), PARTITION)
        self._transaction.set_properties(day_metrics(day))
        self._changed = True

    def show_delta(self) -> None:
        """The ledger is apart: no view can read both."""

    def keep_whole(self) -> None:
        """Add the column for whole records."""
        with self._transaction.update_schema() as update:
            update.add_column("_pen_json", own_columns(self._target)["_pen_json"])
        self._changed = True

    def key_versions(self, schema: Schema) -> None:
        """Write all files anew, in a snapshot of its own, which this landing then finds as what is there."""
        if "_pen_version" not in self.columns():
            with self._transaction.update_schema() as update:
                update.add_column("_pen_version", own_columns(self._target)["_pen_version"])
            self._changed = True
        old = []
        for task, rows in self._files_there():
            self._write(with_keys(rows, schema, self._target.spec.version or ""))
            old.append(task.file)
        if old:
            self._make_snapshot(old, stamp={})
        self._end_changes()
        self._open(self._catalog.load_table(self._name))

    def recall(self, last_seq: int) -> None:
        """Look up new identities in memory where that pays. What is remembered goes by the ids of loads: a number is
        given again when the commit that had it fails."""
        del last_seq
        day = None
        if self._table is not None:
            _forget_history(self._table)
            self._keep_days_apart()
            day = kept_apart_by(self._table.metadata)
            fields = {column.name: column.field for column in self._schema.columns}
            # the event time may have been another one when the table was made
            if not fixes(self._target.spec, fields.get(day or "")):
                day = None
        files = (
            None if self._table is None or self._table.current_snapshot() is None else FilesOfTable(self._table, day)
        )
        if self._target.spec.disposition == "append":
            known = refreshed(self._warehouse.known.get(self._target.stream), files, self._newest, whole=day is None)
            if known is not None:
                self._warehouse.known[self._target.stream] = known
            self._known = None if known is None or known.ids.overflowed else known
            ids = None if self._known is None else self._known.ids
            self._rows = Appending(ids, files, self._load_id, self._write)
        else:
            self._rows = Replacing(self._target, files, self._load_id)

    def make_room(self, columns: int, batch_bytes: int = 0, refused_bytes: int = 0) -> None:
        """Nothing is kept beside the rows in hand."""

    def contradicted(self, claims: pa.Table, operator: str) -> list[int]:
        """Which identities have a content that stands so to the one in the table."""
        assert isinstance(self._rows, Appending)
        plain = as_stored(claims)
        contents: dict[str, str] = {}
        for entries in self._rows.contents(plain):
            ids, hashes = (entries.column(name).to_pylist() for name in ("_pen_id", "_pen_content"))
            contents.update(zip(ids, hashes, strict=True))
        same = operator == "="
        return [
            claim["i"]
            for claim in plain.to_pylist()
            if claim["_pen_id"] in contents and (contents[claim["_pen_id"]] == claim["_pen_content"]) is same
        ]

    def insert(self, rows: pa.Table) -> int:
        """Take the rows whose identity is new, and those that win over the row that is there."""
        self._expect_days(rows)
        stored = stamped(as_stored(rows), self._load_id, self._at)
        if isinstance(self._rows, Appending):
            return self._rows.insert(stored, id_halves(rows["_pen_id"]).astype("uint64"))
        assert self._rows is not None
        return self._rows.insert(stored)

    def take_over(self, rows: pa.Table) -> None:
        """Write rows that bear their loads already, as those of another warehouse do. They are no load's of here: the
        snapshot that names them bears no number."""
        self._expect_days(rows)
        self._write(rows)
        self._make_snapshot([], stamp={})

    def _expect_days(self, rows: pa.Table) -> None:
        """See that each event time is of a day that a file can be named for.

        Raises:
            RejectedRows: one is not.
        """
        day = kept_apart_by(self._transaction.table_metadata)
        if day is None or day not in rows.column_names:
            return
        days = day_numbers(rows.column(day))
        if ((days != NO_DAY) & ((days < _FIRST_DAY) | (days > _LAST_DAY))).any():
            raise RejectedRows(
                f"column {day} holds a moment before year 1 or after year 9999, of which there is no day",
                where=self._warehouse.shown,
            )

    def delete_unrefreshed(self, *, empty: bool) -> int:
        """Have the rows go that no insert named."""
        if self._rows is None:
            self.recall(0)
        assert isinstance(self._rows, Replacing)
        deleted = self._rows.delete_unrefreshed(empty=empty)
        self._settle()
        return deleted

    def finish(self) -> int:
        """Write the rows in hand. Nothing was put off."""
        if self._rows is not None:
            self._write(self._rows.taken())
            self._files.finish()
            fault_point("files_written")
            if not self._target.whole:
                self._settle()
        return 0

    def _settle(self) -> None:
        """Make the next snapshot: numbers of loads are handed out after this, and nobody waits meanwhile."""
        gone = self._rows.gone() if isinstance(self._rows, Replacing) else {}
        if self._files or gone:
            self._replace_files(gone)
        if self._warehouse.one_commit:
            self._end_changes()

    def _end_changes(self) -> None:
        if self._changed:
            self._transaction.commit_transaction()
            self._changed = False

    def commit(self, seq: int) -> None:
        """Have the catalog name the snapshot, unless it is the ledger's commit that does."""
        self._end_changes()
        if isinstance(self._rows, Appending):
            self._rows.commit()
            if seq and self._known is not None:
                self._warehouse.known[self._target.stream] = replace(self._known, load=self._load_id)
        self._end()

    def rollback(self) -> None:
        """Forget what was written. Files that a snapshot may name stay, whatever became of it; the others go."""
        if isinstance(self._rows, Appending):
            self._rows.rollback()
        self._files.discard()
        self._end()

    def _end(self) -> None:
        if isinstance(self._rows, Replacing):
            self._rows.close()
        self._rows = None

    def _write(self, rows: pa.Table | None) -> None:
        """Have rows written into files, a day's together, in the order of their identities."""
        if rows is not None and rows.num_rows:
            self._files.write(rows, self._transaction.table_metadata, self._store)

    def _files_there(self, paths: Container[str] | None = None) -> Iterator[tuple[FileScanTask, pa.Table]]:
        """Each file of the table, or of these, and its rows."""
        assert self._table is not None
        scan = self._table.scan()
        reading = ArrowScan(self._table.metadata, self._table.io, scan.projection(), scan.row_filter)
        for task in scan.plan_files():
            if paths is None or task.file.file_path in paths:
                yield task, reading.to_table([task])

    def _replace_files(self, gone: dict[str, pa.Array]) -> None:
        """Make a snapshot with the new files, and with what stays of those that hold a row that goes."""
        old = []
        for task, rows in self._files_there(gone) if gone else ():
            there = pc.is_in(rows.column("_pen_id"), value_set=gone[task.file.file_path])
            self._write(rows.filter(pc.invert(there)))
            old.append(task.file)
        self._make_snapshot(old, stamp={STAMP: str(self._load_id)})

    def _make_snapshot(self, old: Sequence[DataFile], *, stamp: dict[str, str]) -> None:
        """Have a snapshot name the new files, and the ``old`` ones no longer."""
        files = self._files.taken()
        snapshots = self._transaction.update_snapshot(snapshot_properties=stamp)
        with snapshots.overwrite() if old else snapshots.merge_append() as snapshot:
            for file in old:
                snapshot.delete_data_file(file)
            for file in files:
                snapshot.append_data_file(file)
        self._changed = True


_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
"""The days of years 1 to 9999, from 1970 on."""
_ALWAYS = ("_pen_id", "_pen_load", "_pen_origin", "_pen_rescued")


def _forget_history(table: Table) -> None:
    """Have it know its current snapshot alone: PyIceberg copies all that it knows of a table a dozen times in a commit,
    while the catalog goes by what it has itself."""
    current = table.current_snapshot()
    lean = {"snapshots": [] if current is None else [current], "snapshot_log": []}
    table.metadata = table.metadata.model_copy(update=lean)
