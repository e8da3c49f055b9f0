"""A landing's verbs in DuckDB.

One process at a time may hold the file, and its threads land one after the other, so an identity is kept unique
by asking before inserting; a primary key would double the file and slow every load for the same promise.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import duckdb
import pyarrow as pa

from penstock.destinations.dispositions import own_columns, wins_sql
from penstock.destinations.duckdb.doubtful import Doubtful
from penstock.destinations.duckdb.registered import Offered, Registered
from penstock.destinations.duckdb.schema_there import check_raw
from penstock.destinations.structure import check_foreign, check_table
from penstock.destinations.versions import key_duckdb
from penstock.ledger import delta_view
from penstock.ports import Target
from penstock.schema import Column, Schema
from penstock.shape.types import duckdb_type
from penstock.sql import identifier, literal

if TYPE_CHECKING:
    from penstock.destinations.duckdb.held import HeldFile
    from penstock.destinations.duckdb.sparing import Sparing
    from penstock.errors import DestinationError

_JSON = "json"
_OWN_COLUMNS = {"_pen_id": "UUID", "_pen_load": "BIGINT", "_pen_origin": "VARCHAR", "_pen_rescued": "JSON"}


class File(Protocol):
    """The destination that is landed into."""

    path: Path
    held: HeldFile
    sparing: Sparing

    def refusal(self, error: Exception, *, rows: bool) -> DestinationError | None:
        """DuckDB's errors as ours."""
        ...


class DuckDBWriter:
    """One open transaction. ``ended`` is called once, at its end."""

    def __init__(
        self,
        file: File,
        connection: duckdb.DuckDBPyConnection,
        target: Target,
        ended: Callable[[], None],
    ) -> None:
        self._file = file
        self._target = target
        self._connection = connection
        self._ended = ended
        self._open = True
        self._table = f"raw.{identifier(target.stream)}"
        self._load_id = 0
        self._stamp = ""
        self._rows = Offered(connection, "rows_in_hand")
        self._late = 0
        self._doubtful: Doubtful | None = None
        self._refreshing = False

    def refusal(self, error: Exception, *, rows: bool) -> DestinationError | None:
        """DuckDB's errors as ours."""
        return self._file.refusal(error, rows=rows)

    def begin(self, load_id: int, at: datetime) -> None:
        """Open the transaction."""
        self._connection.execute("begin")
        self._load_id = load_id
        self._stamp = f"{load_id}, {literal(at.isoformat())}::timestamptz"

    def check(self, schema: Schema, *, new: bool) -> None:
        """See that the table is as the ledger has it."""
        rows = self._connection.execute(
            "select column_name, data_type, not is_nullable and column_default is null"
            " from duckdb_columns() where schema_name = 'raw' and table_name = $1",
            [self._target.stream],
        ).fetchall()
        if not schema.version:
            check_foreign(self._table, [name for name, *_ in rows])
            if new:
                check_raw(self._connection.execute, where=str(self._file.path))
            return
        expected = {c.name: duckdb_type(c.type).upper() for c in schema.columns} | _OWN_COLUMNS
        actual, needed = {name: type_ for name, type_, _ in rows}, [name for name, _, has_to_be in rows if has_to_be]
        check_table(self._table, expected, actual, needed=needed, where=str(self._file.path))

    def has_table(self) -> bool:
        """Whether the table is there."""
        sql = "select 1 from duckdb_tables() where schema_name = 'raw' and table_name = $1"
        return bool(self._connection.execute(sql, [self._target.stream]).fetchall())

    def columns(self) -> list[str]:
        """The names of its columns."""
        return [name for name, *_ in self._connection.execute(f"select * from {self._table} limit 0").description]

    def execute(self, sql: str) -> None:
        """Run a statement."""
        self._connection.execute(sql)

    def take_back(self, newest: int) -> None:
        """Delete the rows of later loads."""
        self.execute(f"delete from {self._table} where _pen_load > {newest}")

    def show_delta(self) -> None:
        """Make the view anew."""
        self.execute(delta_view(self._target.stream))

    def keep_whole(self) -> None:
        """Add the column."""
        self.execute(f"alter table {self._table} add column _pen_json {_JSON}")

    def create(self, schema: Schema) -> None:
        """Make the table."""
        columns = [f"{identifier(c.name)} {duckdb_type(c.type)}" for c in schema.columns]
        columns += own_columns(self._target, json=_JSON)
        self.execute(f"create table {self._table} ({', '.join(columns)})")

    def widen(self, schema: Schema, added: Sequence[Column]) -> None:
        """Add columns."""
        del schema
        for column in added:
            self.execute(f"alter table {self._table} add column {identifier(column.name)} {duckdb_type(column.type)}")

    def key_versions(self, schema: Schema) -> None:
        """Give all rows the keys of their versions."""
        key_duckdb(self._target.spec.version or "", self._table, schema, self.execute)

    def recall(self, last_seq: int) -> None:
        """Look up new identities in memory where that pays."""
        known = self._file.held.known_ids(self._connection, self._target.stream, last_seq)
        if known is not None:
            self._doubtful = Doubtful(self._connection, self._table, known, self._load_id)

    def make_room(self, columns: int, batch_bytes: int = 0, refused_bytes: int = 0) -> None:
        """Have DuckDB take as much memory as that needs."""
        one_thread = self._doubtful is not None and self._target.spec.disposition == "append"
        self._file.sparing.landing(self._connection, columns, batch_bytes, refused_bytes, one_thread=one_thread)

    def contradicted(self, claims: pa.Table, operator: str) -> list[int]:
        """Which identities have a content that stands so to the one in the table, which has to have them all."""
        self._insert_late()
        with Registered(self._connection, "claims", claims):
            rows = self._connection.execute(
                f"select i from claims a join {self._table} r on r._pen_id = a._pen_id"
                f" where r._pen_content {operator} a._pen_content"
            ).fetchall()
        return [i for (i,) in rows]

    def insert(self, rows: pa.Table) -> int:
        """Insert what is new or wins."""
        if self._target.spec.disposition != "append":
            self._rows.offer(rows)
            self._settle()
            return self._insert(rows, "_pen_id not in (select _pen_id from settled where not wins)")
        if self._doubtful is None:
            return self._insert(rows, f"not exists (select 1 from {self._table} r where r._pen_id = n._pen_id)")
        new = self._doubtful.taken_out(rows)
        if new is None:
            landed = self._insert(rows, "true")
        else:
            landed = self._insert(rows.append_column("_pen_new", new), "_pen_new")
        if self._target.immediate or self._doubtful.many:
            self._insert_late()
        return landed + self._counted_late()

    def _insert_late(self) -> None:
        """Insert what was doubtful, and turns out to be new."""
        rows = None if self._doubtful is None else self._doubtful.new_ones()
        if rows is not None:
            self._late += self._insert(rows, "true")

    def _counted_late(self) -> int:
        """How many were inserted late and are in no count yet."""
        late, self._late = self._late, 0
        return late

    def _insert(self, rows: pa.Table, condition: str) -> int:
        """Insert the rows ``n`` that meet a condition; how many."""
        self._rows.offer(rows)
        listed = ", ".join(identifier(name) for name in rows.column_names if name != "_pen_new")
        return self._count(
            f"insert into {self._table} ({listed}, _pen_load, _pen_loaded_at)"
            f" select {listed}, {self._stamp} from rows_in_hand n where {condition}"
        )

    def _settle(self) -> None:
        """Tell which of the rows in hand win over the ones that are there, and delete those."""
        if self._target.spec.disposition == "replace":
            if not self._refreshing:
                self.execute("create or replace temp table refreshed (_pen_id uuid)")
                self._refreshing = True
            self.execute("insert into refreshed select _pen_id from rows_in_hand")
        wins = wins_sql(self._target, new="n", old="r", load_id=self._load_id)
        self.execute(
            f"create or replace temp table settled as select n._pen_id, coalesce({wins}, false) as wins"
            f" from rows_in_hand n join {self._table} r on n._pen_id = r._pen_id"
        )
        self.execute(f"delete from {self._table} where _pen_id in (select _pen_id from settled where wins)")

    def delete_unrefreshed(self, *, empty: bool) -> int:
        """Delete what no insert named."""
        if self._refreshing:
            return self._count(f"delete from {self._table} where _pen_id not in (from refreshed)")
        return self._count(f"delete from {self._table}") if empty else 0

    def finish(self) -> int:
        """Ask for what was doubtful."""
        self._insert_late()
        return self._counted_late()

    def commit(self, seq: int) -> None:
        """Commit, and remember what was added."""
        self._rows.end()
        self._connection.execute("commit")
        self._open = False
        if self._doubtful is not None:
            self._doubtful.known.commit()
            if seq:
                self._file.held.remember(self._target.stream, seq)
        self._ended()

    def rollback(self) -> None:
        """Undo what was written."""
        if not self._open:
            return
        self._open = False
        try:
            if self._doubtful is not None:
                self._doubtful.known.rollback()
            # there is no transaction any more where its begin or its commit failed, and no connection where it died
            with contextlib.suppress(duckdb.Error):
                self._rows.end()
            with contextlib.suppress(duckdb.Error):
                self._connection.execute("rollback")
        finally:
            self._ended()

    def _count(self, sql: str) -> int:
        """Run a statement; how many rows it changed. All of its result is taken, since an unfinished one keeps the
        connection from other work."""
        rows = self._connection.execute(sql).fetchall()
        return int(rows[0][0]) if rows else 0
