"""PostgreSQL 13 and later.

A landing is one transaction on one ADBC connection: it takes the stream's advisory lock, asks which identities
are there, and copies only the other rows, sorted by identity, straight into the table. Sorted rows fill the
primary key's index in order, and rows that are there already are never sent.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import adbc_driver_postgresql.dbapi as adbc
import numpy as np
import psycopg
import pyarrow as pa
from adbc_driver_manager import Error as AdbcError

from penstock.destinations.dispositions import own_columns, wins_sql, without_conflicts
from penstock.destinations.erased import Erased
from penstock.destinations.known import KnownIds
from penstock.destinations.postgres.claims import claimed
from penstock.destinations.postgres.driver_errors import asked, first_line, refusal
from penstock.destinations.postgres.exactly import exactly
from penstock.destinations.postgres.liveness import noticing
from penstock.destinations.postgres.rights import check_rights, check_room, lacks_raw, missing_schemas
from penstock.destinations.postgres.table_there import check_postgres_table, column_type
from penstock.destinations.postgres.wide import move_long_values
from penstock.destinations.refusals import refusals, sorting
from penstock.destinations.versions import key_postgres
from penstock.destinations.whole import add_whole
from penstock.errors import DestinationError
from penstock.faults import fault_point
from penstock.ledger import (
    LEDGER_LOCK,
    added_columns,
    check_stream,
    column_rows,
    create_statements,
    delta_view,
    headers_text,
    ledger_sql,
    quarantine_rows,
    schema_from_rows,
    state_text,
)
from penstock.ledger.soundness import is_complete, tell_lost
from penstock.ports import Position, Receipt, Rows, Shaped, Target
from penstock.schema import Schema
from penstock.shape.arrow import id_halves
from penstock.sql import identifier

MIN_VERSION = 13
_PARAMETER = re.compile(r"\$(\d+)")


class PostgresDestination:
    """A PostgreSQL database.

    Args:
        conninfo: libpq's connection string or URL. Kept out of every message.
        shown: the same without its password, for messages.
    """

    kind = "postgres"
    commit_bytes = 512 << 20

    def __init__(self, conninfo: str, *, shown: str) -> None:
        self.shown = shown
        self._conninfo = noticing(conninfo)
        self._landing_connection: Any = None
        self._reading_connection: psycopg.Connection[Any] | None = None
        self._known: dict[str, tuple[int, KnownIds]] = {}

    @property
    def reading(self) -> psycopg.Connection[Any]:
        """The connection for all but landings, in autocommit.

        Raises:
            DestinationError: the server is away, refuses us, or is too old.
        """
        if self._reading_connection is None or self._reading_connection.closed:
            self._reading_connection = self._connect()
        return self._reading_connection

    def _connect(self) -> psycopg.Connection[Any]:
        try:
            connection = psycopg.connect(self._conninfo, autocommit=True)
        except psycopg.OperationalError as e:
            raise DestinationError(
                f"no connection: {first_line(e)}",
                where=self.shown,
                fix="check host, port, user, password and database of the destination, and that the server runs",
            ) from None
        if connection.info.server_version < MIN_VERSION * 10_000:
            raise DestinationError(
                f"PostgreSQL {connection.info.server_version // 10_000}; Penstock needs {MIN_VERSION}",
                where=self.shown,
                fix="upgrade the server",
            )
        connection.execute("set timezone = 'UTC'")
        exactly(connection)
        return connection

    @property
    def landing_connection(self) -> Any:
        """The ADBC connection for landings."""
        if self._landing_connection is None:
            _ = self.reading
            try:
                self._landing_connection = adbc.connect(self._conninfo)
            except AdbcError as e:
                raise DestinationError(f"no connection: {first_line(e)}", where=self.shown) from None
        return self._landing_connection

    def refusal(self, error: Exception, *, rows: bool = False) -> DestinationError | None:
        """The drivers' errors as ours."""
        return refusal(error, self.shown, rows=rows)

    @sorting()
    def prepare(self) -> None:
        """Make what is missing of the ledger's tables, and of the schemas; two processes may do so at once."""
        present = self._ledger_columns()
        if is_complete(present) and not lacks_raw(self.query):
            return
        self.check_rights()
        try:
            with self.reading.transaction():
                self.reading.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [LEDGER_LOCK])
                # that it may be there already is asked here: whoever may not make schemas may use those that are there
                for schema in missing_schemas(self.query):
                    self.reading.execute(f"create schema {schema}")
                for sql in create_statements("postgres"):
                    self.reading.execute(sql)
        except psycopg.Error as e:
            raise DestinationError(f"the ledger cannot be made: {first_line(e)}", where=self.shown) from None
        tell_lost(present)

    @sorting()
    def is_prepared(self) -> bool:
        """Whether the ledger is there."""
        return is_complete(self._ledger_columns())

    def _ledger_columns(self) -> list[tuple[str, str]]:
        return [(table, column) for table, column in self.query(ledger_sql("ledger_columns_postgres")).rows]

    def check_rights(self) -> None:
        """Whether the user may make what landing needs.

        Raises:
            DestinationError: it may not; names what to grant.
        """
        check_rights(self.query, shown=self.shown)

    @sorting()
    def schema(self, stream: str) -> Schema:
        """The stream's columns, from the ledger."""
        return schema_from_rows(self._rows(ledger_sql("schema"), [stream]).rows)

    @sorting()
    def positions(self, stream: str, source: str) -> dict[str, dict[str, Any]]:
        """Position key → state."""
        rows = self._rows(ledger_sql("positions"), [stream, source]).rows
        return {key: json.loads(state) for key, state in rows}

    @sorting()
    def land(self, target: Target) -> PostgresLanding:
        """Open a transaction that lands into ``target``'s stream; waits for others that land into it."""
        landing = PostgresLanding(self, target)
        try:
            landing.begin()
        except BaseException:
            landing.rollback()
            raise
        return landing

    def query(self, sql: str, parameters: Sequence[Any] = (), *, read_only: bool = False) -> Rows:
        """Run one statement and return its rows; with ``read_only`` one that changes nothing.

        Raises:
            DestinationError: the server refused it.
        """
        try:
            return self._rows(sql, parameters, read_only=read_only)
        except psycopg.Error as e:
            raise asked(e, self.shown) from None

    def _rows(self, sql: str, parameters: Sequence[Any], *, read_only: bool = False) -> Rows:
        named = None
        if parameters:
            sql = _PARAMETER.sub(r"%(p\1)s", sql.replace("%", "%%"))
            named = {f"p{i}": value for i, value in enumerate(parameters, 1)}
        # what is prepared can only be one statement: one more could end the transaction, or be forgotten
        if not read_only:
            return _rows(self.reading.execute(sql, named, prepare=True))
        with self.reading.transaction(force_rollback=True):
            self.reading.execute("set transaction read only")
            return _rows(self.reading.execute(sql, named, prepare=True))

    @contextlib.contextmanager
    def transaction(self, streams: Sequence[str] = ()) -> Iterator[None]:
        """One transaction for the queries inside, holding the locks of ``streams``."""
        try:
            with self.reading.transaction():
                for stream in sorted(streams):
                    self.query("select pg_advisory_xact_lock(hashtextextended($1, 0))::text", [stream_lock(stream)])
                yield
        except psycopg.Error as e:
            raise DestinationError(first_line(e), where=self.shown) from None

    @contextlib.contextmanager
    def claim(self, name: str, wait: Callable[[float], object] = time.sleep) -> Iterator[bool]:
        """Wait until no other process is inside for ``name``, on a connection of the claim's own."""
        try:
            with claimed(self._connect(), name, wait) as mine:
                yield mine
        except psycopg.Error as e:
            raise DestinationError(first_line(e), where=self.shown) from None

    def tidy(self, tables: Sequence[str], *, rewrite: bool = False) -> None:
        """Vacuum these tables, with ``rewrite`` into new files, and forget the values that the planner kept of them."""
        for table in tables:
            self.query(f"vacuum {'(full, analyze)' if rewrite else '(analyze)'} {table}")

    def close(self) -> None:
        """Close the connections."""
        self.drop_landing_connection()
        if self._reading_connection is not None:
            self._reading_connection.close()
            self._reading_connection = None

    def drop_landing_connection(self) -> None:
        """Forget a connection in an unknown state."""
        if self._landing_connection is not None:
            with contextlib.suppress(AdbcError):
                self._landing_connection.close()
            self._landing_connection = None

    def known(self, stream: str, seq: int, *, empty: bool) -> KnownIds | None:
        """The identities of the stream's table when this process alone has filled it; ``seq`` is its last load."""
        seen = self._known.get(stream)
        if seen is not None and seen[0] == seq and not seen[1].overflowed:
            return seen[1]
        self._known.pop(stream, None)
        if empty:
            self._known[stream] = (seq, KnownIds())
            return self._known[stream][1]
        return None

    def remember(self, stream: str, seq: int) -> None:
        """Note that what is known of the stream includes load ``seq``."""
        if stream in self._known:
            self._known[stream] = (seq, self._known[stream][1])


class PostgresLanding:
    """One open transaction."""

    def __init__(self, destination: PostgresDestination, target: Target) -> None:
        self._destination = destination
        self._target = target
        self._table = f"raw.{identifier(target.stream)}"
        self._positions: dict[tuple[str, str], Position] = {}
        self._counts = {"read": 0, "landed": 0, "duplicates": 0, "quarantined": 0, "deleted": 0, "bytes": 0}
        self._started_at = datetime.now(UTC)
        self._connection = destination.landing_connection
        self._open = True
        self._asking = False
        self._unindexed = False
        self._known: KnownIds | None = None
        self._erased: Erased | None = None
        self._load_id = 0
        self._schema = Schema()

    def refusal(self, error: Exception, *, rows: bool) -> DestinationError | None:
        """The driver's errors as ours."""
        return refusal(error, f"{self._destination.shown} {self._table}", rows=rows)

    def _refusals(self) -> AbstractContextManager[None]:
        return refusals(self, rows=True)

    @sorting()
    def begin(self) -> None:
        """Open the transaction. Whatever it raises, :meth:`rollback` has to follow."""
        target = self._target
        self._load_id = self._one("select nextval('penstock.load_ids')")
        self._execute("set local timezone = 'UTC'")
        self._execute("set local jit = off")
        # the batch is small beside the table: always look its keys up in the index
        self._execute("set local enable_hashjoin = off")
        self._execute("set local enable_mergejoin = off")
        self._lock(stream_lock(target.stream))
        self._schema = schema_from_rows(self._all(ledger_sql("schema"), target.stream))
        kept: list[tuple[Any, ...]] = []
        if target.identity:
            self._execute(ledger_sql("keep_stream"), target.stream, target.identity, target.disposition)
            kept = self._all(ledger_sql("stream"), target.stream)
            check_stream(target, *kept[0][:2])
        if target.identity and not self._schema.version:
            check_room(self._all, shown=self._destination.shown)
        check_postgres_table(self._all, self._table, self._schema, where=self._destination.shown)
        move_long_values(self._table, self._schema, self._table_of, self._execute)
        if (target.raw_json or target.versioned) and self._has_table():
            add_whole(target, self._table, "jsonb", lambda sql: self._table_of(sql).column_names, self._execute)
            key_postgres(target, kept, self._table, self._schema, self._execute, self._table_of, self._stage)
        if kept and kept[0][2] != target.version:
            self._execute(ledger_sql("keep_version"), target.stream, target.version)
        if target.personal.subjects:
            self._erased = Erased(target.personal, [d for (d,) in self._all(ledger_sql("erased"))])
        last = self._one("select coalesce(max(seq), 0) from penstock.loads where stream = $1", target.stream)
        empty = not self._has_table() or self._one(f"select not exists (select 1 from {self._table})")
        self._known = self._destination.known(target.stream, last, empty=empty)

    def write(self, shaped: Shaped) -> None:
        """Write a batch into the open transaction."""
        with self._refusals():
            self._grow(shaped.schema)
            fault_point("before_stage")
            shaped = self._without_conflicts(self.admitted(shaped))
            landed = self._insert(shaped.rows) if shaped.rows.num_rows else 0
            fault_point("after_stage")
            quarantined = self._quarantine(shaped)
            for entry in shaped.replayed:
                self._execute(ledger_sql("mark_replayed", id="$2::text::uuid"), self._load_id, entry)
        self.keep(shaped.positions)
        self._counts["read"] += shaped.read
        self._counts["landed"] += landed
        self._counts["quarantined"] += quarantined
        self._counts["duplicates"] += shaped.read - landed - quarantined
        self._counts["bytes"] += shaped.bytes

    def admitted(self, shaped: Shaped) -> Shaped:
        """The batch without records of erased people."""
        return shaped if self._erased is None else self._erased.without(shaped)

    def keep(self, positions: Sequence[Position]) -> None:
        """Add positions to those that :meth:`commit` writes."""
        self._positions.update({(p.source, p.key): p for p in positions})

    def commit(self) -> Receipt:
        """Write positions and the ledger entry, and commit."""
        target = self._target
        with self._refusals():
            self._index()
            nothing = not self._counts["read"] and self._has_table()
            if target.disposition == "replace" and not target.partial and (self._asking or nothing):
                # a delivery of records of which none can land is broken; it must not empty the table
                stays = "select 1 from pg_temp.penstock_refreshed f where f._pen_id = t._pen_id"
                gone = f"delete from {self._table} t" + (f" where not exists ({stays})" if self._asking else "")
                self._counts["deleted"] = self._one(f"with gone as ({gone} returning 1) select count(*) from gone")
            now = datetime.now(UTC)
            for position in self._positions.values():
                self._execute(
                    ledger_sql("keep_position", state="$4::text::jsonb"),
                    target.stream,
                    position.source,
                    position.key,
                    state_text(position.state),
                    self._load_id,
                    now,
                )
            seq = 0
            if self._counts["read"] or self._counts["deleted"]:
                self._lock(LEDGER_LOCK)
                counts = [self._counts[n] for n in ("read", "landed", "duplicates", "quarantined", "deleted", "bytes")]
                seq = self._one(
                    ledger_sql("add_load"), self._load_id, target.stream, target.source, *counts, self._started_at, now
                )
            fault_point("before_commit")
            self._connection.commit()
        self._open = False
        if self._known is not None:
            self._known.commit()
            if seq:
                self._destination.remember(target.stream, seq)
        fault_point("after_commit")
        return Receipt(
            load_id=self._load_id,
            seq=seq,
            stream=target.stream,
            source=target.source,
            started_at=self._started_at,
            committed_at=now,
            **self._counts,
        )

    def rollback(self) -> None:
        """Undo what was written."""
        if not self._open:
            return
        self._open = False
        if self._known is not None:
            self._known.rollback()
        try:
            self._connection.rollback()
        except AdbcError:
            self._destination.drop_landing_connection()

    def _lock(self, name: str) -> None:
        self._all("select pg_advisory_xact_lock(hashtextextended($1, 0))::text", name)

    def _grow(self, schema: Schema) -> None:
        """Bring the table up to the schema the rows follow."""
        if schema == self._schema:
            return
        added = added_columns(self._schema, schema)
        if self._schema.version == 0 and not self._has_table():
            self._create(schema)
        elif added:
            clauses = ", ".join(f"add column {identifier(c.name)} {column_type(c)}" for c in added)
            self._execute(f"alter table {self._table} {clauses}")
        move_long_values(self._table, schema, self._table_of, self._execute)
        for row in column_rows(self._target.stream, self._schema, schema):
            self._execute(ledger_sql("add_column"), *row)
        self._execute(delta_view(self._target.stream))
        self._schema = schema

    def _has_table(self) -> bool:
        """A stream whose records have all been empty has a table, and no column in the ledger."""
        return bool(self._one("select (to_regclass($1) is not null)::text", self._table) == "true")

    def _create(self, schema: Schema) -> None:
        columns = [f"{identifier(c.name)} {column_type(c)}" for c in schema.columns]
        columns += own_columns(self._target, json="jsonb", collate=' collate "C"')
        self._execute(f"create table {self._table} ({', '.join(columns)})")
        self._unindexed = True

    def _index(self) -> None:
        """Index a table that this landing made: building an index over all rows costs a third of filling it row by
        row, and until now nobody else can have seen the table."""
        if self._unindexed:
            self._execute("set local maintenance_work_mem = '256MB'")
            self._execute(f"alter table {self._table} add primary key (_pen_id)")
            self._execute(f"create index on {self._table} (_pen_load)")
            self._unindexed = False
            if self._known is not None:
                self._known.halve()

    def _insert(self, rows: pa.Table) -> int:
        """Copy the rows whose identity is new, and those that win over the row that is there."""
        ids = id_halves(rows["_pen_id"]).astype(np.uint64)
        if not self._unindexed:
            # an index takes keys in its own order two to three times as fast
            order = np.argsort(ids[:, 0])
            rows, ids = rows.take(order), ids[order]
        if self._target.disposition == "append":
            rows, ids = self._unknown(rows, ids)
        else:
            rows, ids = self._winning(rows, ids)
        if not rows.num_rows:
            return 0
        stamped = rows.append_column("_pen_load", pa.repeat(pa.scalar(self._load_id, pa.int64()), rows.num_rows))
        at = pa.scalar(self._started_at, pa.timestamp("us", tz="UTC"))
        stamped = stamped.append_column("_pen_loaded_at", pa.repeat(at, rows.num_rows))
        self._ingest(self._target.stream, stamped, schema="raw")
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
            self._index()
            maybe, _ = self._known.maybe(ids[:, 0])
            if not maybe.any():
                return rows, ids
            asked = np.flatnonzero(maybe)
        else:
            asked = np.arange(rows.num_rows)
        self._stage(rows.select(["_pen_id"]).take(asked).append_column("i", pa.array(asked)))
        found = self._column(
            "select a.i from pg_temp.penstock_batch a"
            f" where exists (select 1 from {self._table} t where t._pen_id = a._pen_id)"
        )
        new = np.ones(rows.num_rows, dtype=bool)
        new[found] = False
        return (rows, ids) if new.all() else (rows.filter(pa.array(new)), ids[new])

    def _winning(self, rows: pa.Table, ids: Any) -> tuple[pa.Table, Any]:
        """The rows that are new or win; the rows they win over are deleted."""
        needed = ["_pen_id", "_pen_content", *(["_pen_version"] if self._target.versioned else [])]
        self._index()
        self._stage(rows.select(needed).append_column("i", pa.array(np.arange(rows.num_rows))))
        if self._target.disposition == "replace":
            if not self._asking:
                self._execute("create temp table penstock_refreshed (_pen_id uuid) on commit drop")
                self._asking = True
            self._execute("insert into pg_temp.penstock_refreshed select _pen_id from pg_temp.penstock_batch")
        wins = wins_sql(self._target, new="n", old="t", load_id=self._load_id, collate=' collate "C"')
        joined = f"pg_temp.penstock_batch n join {self._table} t on t._pen_id = n._pen_id"
        losing = self._column(f"select n.i from {joined} where not coalesce({wins}, false)")
        self._execute(
            f"delete from {self._table} t using pg_temp.penstock_batch n"
            f" where t._pen_id = n._pen_id and coalesce({wins}, false)"
        )
        keep = np.ones(rows.num_rows, dtype=bool)
        keep[losing] = False
        return (rows, ids) if keep.all() else (rows.filter(pa.array(keep)), ids[keep])

    def _without_conflicts(self, shaped: Shaped) -> Shaped:
        """Message ids that are known with another content are conflicts."""
        if not self._target.message or self._target.disposition != "append" or not shaped.rows.num_rows:
            return shaped
        self._index()

        def ask(asked: pa.Table, operator: str) -> list[int]:
            self._stage(asked)
            found = self._column(
                f"select a.i from pg_temp.penstock_batch a join {self._table} t on t._pen_id = a._pen_id"
                f" where t._pen_content {operator} a._pen_content"
            )
            return [int(i) for i in found]

        return without_conflicts(shaped, ask)

    def _stage(self, rows: pa.Table) -> None:
        self._execute("drop table if exists pg_temp.penstock_batch")
        self._ingest("penstock_batch", rows, temporary=True)

    def _quarantine(self, shaped: Shaped) -> int:
        entries = quarantine_rows(self._target.stream, shaped.rejects)
        now = datetime.now(UTC)
        new = 0
        values = "values ($1::text::uuid, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::jsonb, $11)"
        sql = ledger_sql("quarantine", rows=values) + " returning 1"
        for id_, reject in entries.items():
            inserted = self._all(
                sql,
                str(id_),
                self._target.stream,
                self._target.source,
                reject.body,
                reject.code,
                reject.reason.replace("\0", "\\0"),
                reject.origin,
                self._load_id,
                now,
                headers_text(reject),
                len(reject.body),
            )
            new += len(inserted)
        return new

    def _execute(self, sql: str, *parameters: Any) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters or None)

    def _all(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters or None)
            return list(cursor.fetchall())

    def _one(self, sql: str, *parameters: Any) -> Any:
        return self._all(sql, *parameters)[0][0]

    def _column(self, sql: str) -> Any:
        return self._table_of(sql).column(0).to_numpy()

    def _table_of(self, sql: str) -> pa.Table:
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetch_arrow_table()

    def _ingest(self, table: str, rows: pa.Table, *, schema: str | None = None, temporary: bool = False) -> None:
        with self._connection.cursor() as cursor:
            cursor.adbc_ingest(
                table,
                rows.to_reader(),
                mode="create" if temporary else "append",
                db_schema_name=schema,
                temporary=temporary,
            )


def stream_lock(stream: str) -> str:
    """The name of the advisory lock that whoever writes to a stream's table holds."""
    return f"penstock stream {stream}"


def _rows(cursor: psycopg.Cursor[Any]) -> Rows:
    if cursor.description is None:
        return Rows(columns=(), rows=())
    return Rows(columns=[d.name for d in cursor.description], rows=cursor.fetchall())
