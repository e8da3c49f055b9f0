"""A landing's verbs in PostgreSQL.

A landing asks which identities are there, and copies only the other rows, sorted by identity, straight into the table.
Sorted rows fill the primary key's index in order, and rows that are there already are never sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
from adbc_driver_manager import Error as AdbcError

from penstock.destinations.dispositions import own_columns, wins_sql
from penstock.destinations.postgres.driver_errors import refusal
from penstock.destinations.postgres.rights import check_room
from penstock.destinations.postgres.statements import LandingStatements
from penstock.destinations.postgres.table_there import check_postgres_table, column_type
from penstock.destinations.postgres.wide import move_long_values
from penstock.destinations.versions import key_postgres
from penstock.ledger import delta_view
from penstock.ports import Target
from penstock.schema import Column, Schema
from penstock.shape.arrow import id_halves
from penstock.sql import identifier

if TYPE_CHECKING:
    from penstock.destinations.known import KnownIds
    from penstock.errors import DestinationError

_JSON = "jsonb"
_SETTINGS = {
    "timezone": "UTC",
    "jit": "off",
    # the batch is small beside the table: always look its keys up in the index
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}

_DEFERRED = (
    "select string_agg(distinct format('%I.%I', nspname, conname), ', ') from pg_constraint c"
    " join pg_namespace n on n.oid = c.connamespace where condeferred"
)
"""The constraints that are looked at as late as at the commit, as a list that ``set constraints`` takes."""


class Database(Protocol):
    """The destination that is landed into."""

    shown: str

    @property
    def landing_connection(self) -> Any:
        """The ADBC connection for landings."""
        ...

    def drop_landing_connection(self) -> None:
        """Forget it, when it is in an unknown state."""
        ...

    def known(self, stream: str, seq: int, *, empty: bool) -> KnownIds | None:
        """The identities of a table that this process alone has filled."""
        ...

    def remember(self, stream: str, seq: int) -> None:
        """Note that what is known of the stream includes load ``seq``."""
        ...


class PostgresWriter:
    """One open transaction."""

    def __init__(self, database: Database, target: Target) -> None:
        self._database = database
        self._target = target
        self._table = f"raw.{identifier(target.stream)}"
        self._connection = database.landing_connection
        self._statements = LandingStatements(self._connection)
        self._load_id = 0
        self._at: datetime | None = None
        self._refreshing = False
        self._unindexed = False
        self._known: KnownIds | None = None

    def refusal(self, error: Exception, *, rows: bool) -> DestinationError | None:
        """The driver's errors as ours."""
        return refusal(error, f"{self._database.shown} {self._table}", rows=rows)

    def begin(self, load_id: int, at: datetime) -> None:
        """Set up the transaction, which the connection's first statement opened."""
        self._load_id, self._at = load_id, at
        # in one statement: where a queue lands batch by batch, each way to the server and back counts
        self._rows("select " + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in _SETTINGS.items()))
        if self._target.immediate:
            self.execute("set constraints all immediate")

    def check(self, schema: Schema, *, new: bool) -> None:
        """See that the table is as the ledger has it."""
        if new and not schema.version:
            check_room(self._rows, shown=self._database.shown)
        check_postgres_table(self._rows, self._table, schema, where=self._database.shown)
        move_long_values(self._table, schema, self._statements.table, self.execute)

    def has_table(self) -> bool:
        """Whether the table is there."""
        return bool(self._rows("select (to_regclass($1) is not null)::text", self._table)[0][0] == "true")

    def columns(self) -> list[str]:
        """The names of its columns."""
        return list(self._statements.table(f"select * from {self._table} limit 0").column_names)

    def execute(self, sql: str) -> None:
        """Run a statement."""
        self._statements.execute(sql)

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
        """Make the table, its index later."""
        columns = [f"{identifier(c.name)} {column_type(c)}" for c in schema.columns]
        columns += own_columns(self._target, json=_JSON, collate=' collate "C"')
        self.execute(f"create table {self._table} ({', '.join(columns)})")
        self._unindexed = True
        move_long_values(self._table, schema, self._statements.table, self.execute)

    def widen(self, schema: Schema, added: Sequence[Column]) -> None:
        """Add columns. No table can be altered while a constraint of its rows is still to be looked at."""
        deferred = None if self._target.immediate else self._rows(_DEFERRED)[0][0]
        if deferred:
            self.execute("set constraints all immediate")
        if added:
            clauses = ", ".join(f"add column {identifier(c.name)} {column_type(c)}" for c in added)
            self.execute(f"alter table {self._table} {clauses}")
        move_long_values(self._table, schema, self._statements.table, self.execute)
        if deferred:
            self.execute(f"set constraints {deferred} deferred")

    def key_versions(self, schema: Schema) -> None:
        """Give all rows the keys of their versions."""
        field = self._target.spec.version or ""
        key_postgres(field, self._table, schema, self.execute, self._statements.table, self._stage)

    def recall(self, last_seq: int) -> None:
        """Look up new identities in memory where this process alone has filled the table."""
        empty = not self.has_table() or self._rows(f"select not exists (select 1 from {self._table})")[0][0]
        self._known = self._database.known(self._target.stream, last_seq, empty=empty)

    def make_room(self, columns: int, batch_bytes: int = 0, refused_bytes: int = 0) -> None:
        """The server has memory of its own."""

    def contradicted(self, claims: pa.Table, operator: str) -> list[int]:
        """Which identities have a content that stands so to the one in the table."""
        self.finish()
        self._stage(claims)
        places = self._column(
            f"select a.i from pg_temp.penstock_batch a join {self._table} t on t._pen_id = a._pen_id"
            f" where t._pen_content {operator} a._pen_content"
        )
        return [int(i) for i in places]

    def insert(self, rows: pa.Table) -> int:
        """Copy the rows whose identity is new, and those that win over the row that is there."""
        ids = id_halves(rows["_pen_id"]).astype(np.uint64)
        if not self._unindexed:
            # an index takes keys in its own order two to three times as fast
            order = np.argsort(ids[:, 0])
            rows, ids = rows.take(order), ids[order]
        if self._target.spec.disposition == "append":
            rows, ids = self._unknown(rows, ids)
        else:
            rows, ids = self._winning(rows, ids)
        if not rows.num_rows:
            return 0
        stamped = rows.append_column("_pen_load", pa.repeat(pa.scalar(self._load_id, pa.int64()), rows.num_rows))
        at = pa.scalar(self._at, pa.timestamp("us", tz="UTC"))
        stamped = stamped.append_column("_pen_loaded_at", pa.repeat(at, rows.num_rows))
        self._statements.copy(self._target.stream, stamped, schema="raw")
        if self._known is not None:
            self._known.add(ids[:, 0], self._load_id, self._load_id, ids[:, 1] if self._unindexed else None)
        return int(rows.num_rows)

    def _unknown(self, rows: pa.Table, ids: Any) -> tuple[pa.Table, Any]:
        """The rows whose identity the table does not hold."""
        if self._known is not None:
            # all that is in a table that this landing made is known in full
            held = self._known.held(ids[:, 0], ids[:, 1]) if self._unindexed else None
            if held is not None:
                return (rows.filter(pa.array(~held)), ids[~held]) if held.any() else (rows, ids)
            self.finish()
            maybe, _ = self._known.maybe(ids[:, 0])
            if not maybe.any():
                return rows, ids
            doubtful = np.flatnonzero(maybe)
        else:
            doubtful = np.arange(rows.num_rows)
        self._stage(rows.select(["_pen_id"]).take(doubtful).append_column("i", pa.array(doubtful)))
        present = self._column(
            "select a.i from pg_temp.penstock_batch a"
            f" where exists (select 1 from {self._table} t where t._pen_id = a._pen_id)"
        )
        return _without(rows, ids, present)

    def _winning(self, rows: pa.Table, ids: Any) -> tuple[pa.Table, Any]:
        """The rows that are new or win; the rows they win over are deleted."""
        needed = ["_pen_id", "_pen_content", *(["_pen_version"] if self._target.spec.versioned else [])]
        self.finish()
        self._stage(rows.select(needed).append_column("i", pa.array(np.arange(rows.num_rows))))
        if self._target.spec.disposition == "replace":
            if not self._refreshing:
                self.execute("create temp table penstock_refreshed (_pen_id uuid) on commit drop")
                self._refreshing = True
            self.execute("insert into pg_temp.penstock_refreshed select _pen_id from pg_temp.penstock_batch")
        wins = wins_sql(self._target, new="n", old="t", load_id=self._load_id, collate=' collate "C"')
        joined = f"pg_temp.penstock_batch n join {self._table} t on t._pen_id = n._pen_id"
        losing = self._column(f"select n.i from {joined} where not coalesce({wins}, false)")
        self.execute(
            f"delete from {self._table} t using pg_temp.penstock_batch n"
            f" where t._pen_id = n._pen_id and coalesce({wins}, false)"
        )
        return _without(rows, ids, losing)

    def delete_unrefreshed(self, *, empty: bool) -> int:
        """Delete what no insert named."""
        if not self._refreshing and not empty:
            return 0
        stays = "select 1 from pg_temp.penstock_refreshed f where f._pen_id = t._pen_id"
        gone = f"delete from {self._table} t" + (f" where not exists ({stays})" if self._refreshing else "")
        return int(self._rows(f"with gone as ({gone} returning 1) select count(*) from gone")[0][0])

    def finish(self) -> int:
        """Index a table that this landing made: building an index over all rows costs a third of filling it row by
        row, and until now nobody else can have seen the table."""
        if self._unindexed:
            self.execute("set local maintenance_work_mem = '256MB'")
            self.execute(f"alter table {self._table} add primary key (_pen_id)")
            self.execute(f"create index on {self._table} (_pen_load)")
            self._unindexed = False
            if self._known is not None:
                self._known.halve()
        return 0

    def commit(self, seq: int) -> None:
        """Commit, and remember what was added."""
        self._connection.commit()
        if self._known is not None:
            self._known.commit()
            if seq:
                self._database.remember(self._target.stream, seq)

    def rollback(self) -> None:
        """Undo what was written."""
        if self._known is not None:
            self._known.rollback()
        try:
            self._connection.rollback()
        except AdbcError:
            self._database.drop_landing_connection()

    def _stage(self, rows: pa.Table) -> None:
        self.execute("drop table if exists pg_temp.penstock_batch")
        self._statements.copy("penstock_batch", rows, temporary=True)

    def _rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._statements.query(sql, parameters).rows]

    def _column(self, sql: str) -> Any:
        return self._statements.table(sql).column(0).to_numpy()


def _without(rows: pa.Table, ids: Any, places: Any) -> tuple[pa.Table, Any]:
    """Rows and their ids without those at these places."""
    if not len(places):
        return rows, ids
    stay = np.ones(rows.num_rows, dtype=bool)
    stay[places] = False
    return rows.filter(pa.array(stay)), ids[stay]
