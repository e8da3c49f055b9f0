"""DuckDB: the embedded warehouse, one file.

One process at a time may hold the file, and its threads land one after the other, so an identity is kept unique
by asking before inserting; a primary key would double the file and slow every load for the same promise.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from penstock.destinations.dispositions import own_columns, wins_sql, without_conflicts
from penstock.destinations.duckdb import reading
from penstock.destinations.duckdb.driver_errors import is_broken, refusal
from penstock.destinations.duckdb.held import held_file
from penstock.destinations.duckdb.registered import Registered
from penstock.destinations.duckdb.rewriting import rewrite_file
from penstock.destinations.duckdb.schema_there import check_raw, lacks_raw
from penstock.destinations.erased import Erased
from penstock.destinations.known import KnownIds
from penstock.destinations.quarantined import quarantine_parts, refused_bytes
from penstock.destinations.refusals import refusals, sorting
from penstock.destinations.structure import check_foreign, check_table
from penstock.destinations.versions import key_versions
from penstock.destinations.whole import add_whole
from penstock.engine_errors import error_text
from penstock.errors import DestinationError, LockedError, UsageError
from penstock.faults import fault_point
from penstock.ledger import (
    SCHEMAS,
    added_columns,
    check_stream,
    column_rows,
    create_statements,
    delta_view,
    ledger_sql,
    schema_from_rows,
    state_text,
)
from penstock.ledger.soundness import is_complete, tell_lost
from penstock.ports import Position, Receipt, Rows, Shaped, Target
from penstock.schema import Schema
from penstock.shape.arrow import id_halves
from penstock.shape.types import duckdb_type
from penstock.sql import identifier, literal

_HOLDER = re.compile(r"held in (?P<program>.*?) \(PID (?P<pid>\d+)\)(?P<rest>[^.]*)")
_RETRY_SECONDS = 0.1
LANDING_MEMORY_MB = 128
LANDING_MEMORY_MB_PER_COLUMN = 1
"""DuckDB holds a block of 256 KB or more for each column that it fills."""
USUAL_BATCH_BYTES = 32 << 20
_TAKEN_NAMES = ("penstock", "raw")


class DuckDBDestination:
    """A DuckDB file. Several threads of a process may have one of these each, of the same file.

    Args:
        path: the file; made when missing.
        lock_timeout_seconds: how long to wait for another process to let go of it.
        threads, memory_limit: DuckDB's, in its spelling.
    """

    kind = "duckdb"
    commit_bytes = 64 << 20

    def __init__(
        self,
        path: Path,
        *,
        lock_timeout_seconds: float = 10.0,
        threads: int | None = None,
        memory_limit: str | None = None,
    ) -> None:
        self.path = path
        self._timeout = lock_timeout_seconds
        self._settings = ["arrow_lossless_conversion = true"]
        if threads:
            self._settings.append(f"threads = {threads:d}")
        if memory_limit:
            self._settings.append(f"memory_limit = {literal(memory_limit)}")
        self._own_limit = memory_limit is not None
        self._connection: duckdb.DuckDBPyConnection | None = None
        self.held = held_file(path)
        """What the threads of this process share of the file."""
        self._landing: DuckDBLanding | None = None
        self._sparing = False

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The open connection; opens the file when needed.

        Raises:
            LockedError: another process holds the file, longer than the timeout.
            DestinationError: the file is no DuckDB database, or of a newer version.
        """
        if self._connection is None or self._connection not in self.held.connections:
            self._connection = self._open()
        return self._connection

    def refusal(self, error: Exception, *, rows: bool = False) -> DestinationError | None:
        """DuckDB's errors as ours; after one that breaks the open database, it is opened anew."""
        if not isinstance(error, duckdb.Error):
            return None
        if is_broken(error):
            self.held.drop()
        return refusal(error, str(self.path), rows=rows)

    @sorting()
    def prepare(self) -> None:
        """Make what is missing of the ledger's tables, and of the schemas: all of it, or after an error nothing."""
        present = self._ledger_columns()
        if is_complete(present) and not lacks_raw(self.connection.execute):
            return
        with self.transaction():
            for sql in (*(f"create schema if not exists {s}" for s in SCHEMAS), *create_statements("duckdb")):
                self.connection.execute(sql)
        tell_lost(present)

    def check_rights(self) -> None:
        """Whoever has the file may do all."""

    @sorting()
    def is_prepared(self) -> bool:
        """Whether the ledger is there."""
        return is_complete(self._ledger_columns())

    def _ledger_columns(self) -> list[tuple[str, str]]:
        return self.connection.execute(ledger_sql("ledger_columns_duckdb")).fetchall()

    @sorting()
    def schema(self, stream: str) -> Schema:
        """The stream's columns, from the ledger."""
        return schema_from_rows(self.connection.execute(ledger_sql("schema"), [stream]).fetchall())

    @sorting()
    def positions(self, stream: str, source: str) -> dict[str, dict[str, Any]]:
        """Position key → state."""
        rows = self.connection.execute(ledger_sql("positions"), [stream, source]).fetchall()
        return {key: json.loads(state) for key, state in rows}

    @sorting()
    def land(self, target: Target) -> DuckDBLanding:
        """Open a transaction that lands into ``target``'s stream, after those of other threads have ended."""
        connection = self.connection
        self.held.landing.acquire()
        self._landing = landing = DuckDBLanding(self, connection, target, self.held.landing.release)
        try:
            landing.begin()
        except BaseException:
            landing.rollback()
            raise
        return landing

    def query(self, sql: str, parameters: Sequence[Any] = (), *, read_only: bool = False) -> Rows:
        """Run one statement and return its rows; with ``read_only`` one that changes nothing.

        Raises:
            DestinationError: DuckDB refused it.
        """
        try:
            if self._sparing:
                self.connection.execute("reset memory_limit")
                self._sparing = False
            if read_only:
                return reading.read_only(self.connection, sql, parameters, str(self.path))
            statement = reading.one_statement(self.connection, sql, str(self.path))
            return reading.fetched(self.connection, statement, parameters)
        except (duckdb.Error, UnicodeDecodeError) as e:
            refused = self.refusal(e)
            kind = DestinationError if refused is None else type(refused)
            raise kind(error_text(e), where=str(self.path)) from None

    @contextlib.contextmanager
    def transaction(self, streams: Sequence[str] = ()) -> Iterator[None]:
        """One transaction for the queries inside. Nothing lands meanwhile."""
        with self.held.landing:
            self.query("begin")
            try:
                yield
            except BaseException:
                with contextlib.suppress(duckdb.Error):
                    self.connection.execute("rollback")
                raise
            self.query("commit")
            for stream in streams:
                self.held.known.pop(stream, None)

    def claim(self, name: str, wait: Callable[[float], object] = time.sleep) -> AbstractContextManager[bool]:
        """The file's lock is the claim."""
        del name, wait
        return contextlib.nullcontext(True)

    def tidy(self, tables: Sequence[str], *, rewrite: bool = False) -> None:
        """Checkpoint; with ``rewrite``, put a copy of the file in its place."""
        del tables
        self.query("force checkpoint")
        if rewrite:
            self.close()
            try:
                rewrite_file(self.path)
            except duckdb.Error as e:
                raise DestinationError(error_text(e).split("\n")[0], where=str(self.path)) from None

    def close(self) -> None:
        """Let go of the file."""
        if self._landing is not None:
            self._landing.rollback()
            self._landing = None
        connection, self._connection = self._connection, None
        if connection is not None:
            with self.held.opening:
                if connection in self.held.connections:
                    self.held.connections.remove(connection)
                with contextlib.suppress(duckdb.Error):  # it may have nothing left to close
                    connection.close()

    def spare_memory(self, columns: int, batch_bytes: int = 0, refused_bytes: int = 0) -> None:
        """Landing needs little memory, so it takes little, unless the project says how much or others work with the
        file, whose memory it is too. Bodies for the quarantine are held up to the commit, and twice while written."""
        if not self._own_limit and len(self.held.connections) == 1:
            limit = LANDING_MEMORY_MB + LANDING_MEMORY_MB_PER_COLUMN * columns
            if batch_bytes > USUAL_BATCH_BYTES:
                limit += 6 * batch_bytes >> 20
            limit += 4 * refused_bytes >> 20
            self.connection.execute(f"set memory_limit = '{limit}MB'")
            self._sparing = True

    @sorting()
    def _open(self) -> duckdb.DuckDBPyConnection:
        if self.path.stem in _TAKEN_NAMES:
            raise UsageError(
                f"a DuckDB file named {self.path.name} hides the schema {self.path.stem} in it",
                where=str(self.path),
                fix="give the destination another path:, such as warehouse.duckdb",
            )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        give_up = time.monotonic() + self._timeout
        while True:
            try:
                with self.held.opening:
                    return self._connect()
            except duckdb.IOException as e:
                if "set lock" not in str(e) and _HOLDER.search(str(e)) is None:
                    raise DestinationError(
                        str(e), where=str(self.path), fix="check that the file is a DuckDB database of this version"
                    ) from None
                if time.monotonic() >= give_up:
                    raise self._locked(str(e)) from None
                time.sleep(_RETRY_SECONDS)

    def _connect(self) -> duckdb.DuckDBPyConnection:
        """Connect as dbt does, without a configuration: DuckDB refuses a second one that differs in a process."""
        if not self.path.exists() and duckdb.__version__.startswith("2"):
            duckdb.connect(str(self.path), config={"storage_compatibility_version": "v1.5.0"}).close()
        connection = duckdb.connect(str(self.path))
        for setting in ("TimeZone = 'UTC'", "enable_progress_bar = false", *self._settings):
            connection.execute(f"set {setting}")
        self.held.connections.append(connection)
        if len(self.held.connections) > 1 and not self._own_limit:
            connection.execute("reset memory_limit")
        return connection

    def _locked(self, message: str) -> LockedError:
        holder, fix = "another process", "wait for it, or stop it"
        if match := _HOLDER.search(message):
            holder = f"process {match['pid']} ({Path(match['program']).name}{match['rest']})"
            fix = f"wait for it, or stop it: kill {match['pid']}"
        return LockedError(
            f"the warehouse is held by {holder}, and was for {self._timeout:g} s",
            where=str(self.path),
            fix=f"{fix}; to wait longer set lock_timeout_seconds: on the destination",
            pid=int(match["pid"]) if match else None,
        )


class DuckDBLanding:
    """One open transaction. ``ended`` is called once, at its end."""

    def __init__(
        self,
        destination: DuckDBDestination,
        connection: duckdb.DuckDBPyConnection,
        target: Target,
        ended: Callable[[], None],
    ) -> None:
        self._destination = destination
        self._target = target
        self._connection = connection
        self._ended = ended
        self._table = f"raw.{identifier(target.stream)}"
        self._positions: dict[tuple[str, str], Position] = {}
        self._counts = {"read": 0, "landed": 0, "duplicates": 0, "quarantined": 0, "deleted": 0, "bytes": 0}
        self._open = True
        self._started_at = datetime.now(UTC)
        self._known: KnownIds | None = None
        self._load_id = self._largest = self._refused_bytes = 0
        self._erased: Erased | None = None
        self._schema = Schema()

    def refusal(self, error: Exception, *, rows: bool) -> DestinationError | None:
        """DuckDB's errors as ours."""
        return self._destination.refusal(error, rows=rows)

    def _refusals(self) -> AbstractContextManager[None]:
        return refusals(self, rows=True)

    @sorting()
    def begin(self) -> None:
        """Open the transaction. Whatever it raises, :meth:`rollback` has to follow."""
        destination, target = self._destination, self._target
        row = _first(self._connection.execute("select nextval('penstock.load_ids')"))
        assert row is not None
        self._load_id = row[0]
        self._connection.execute("begin")
        self._schema = destination.schema(target.stream)
        self._check_table()
        destination.spare_memory(len(self._schema.columns))
        kept: list[tuple[Any, ...]] = []
        if target.identity:
            self._connection.execute(
                ledger_sql("keep_stream"), [target.stream, target.identity, target.disposition]
            ).fetchall()
            kept = self._connection.execute(ledger_sql("stream"), [target.stream]).fetchall()
            check_stream(target, *kept[0][:2])
        if (target.raw_json or target.versioned) and self._has_table():
            add_whole(target, self._table, "json", self._names, self._connection.execute)
            key_versions(target, kept, self._table, self._schema, self._names, self._connection.execute)
        if kept and kept[0][2] != target.version:
            self._connection.execute(ledger_sql("keep_version"), [target.stream, target.version])
        if target.personal.subjects:
            digests = self._connection.execute(ledger_sql("erased")).fetchall()
            self._erased = Erased(target.personal, [d for (d,) in digests])
        if target.disposition == "replace":
            self._connection.execute("create or replace temp table refreshed (_pen_id uuid)")

    def write(self, shaped: Shaped) -> None:
        """Write a batch into the open transaction."""
        with self._refusals():
            if not self._counts["read"]:
                self._known = self._destination.held.known_ids(self._connection, self._target.stream)
            self._grow(shaped.schema)
            self._largest = max(self._largest, shaped.rows.nbytes, shaped.bytes)
            if self._largest > USUAL_BATCH_BYTES:
                self._destination.spare_memory(len(shaped.schema.columns), self._largest, self._refused_bytes)
            fault_point("before_stage")
            shaped = self._without_conflicts(self.admitted(shaped))
            with Registered(self._connection, "rows_in_hand", shaped.rows):
                landed = self._insert(shaped)
            fault_point("after_stage")
            quarantined = self._quarantine(shaped)
            for entry in shaped.replayed:
                self._connection.execute(ledger_sql("mark_replayed", id="cast($2 as uuid)"), [self._load_id, entry])
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

    @sorting()
    def commit(self) -> Receipt:
        """Write positions and the ledger entry, and commit."""
        if self._target.disposition == "replace" and not self._target.partial and self._has_table():
            # a delivery of records of which none can land is broken; it must not empty the table
            broken = " and exists (from refreshed)" if self._counts["read"] else ""
            deleted = _first(
                self._connection.execute(f"delete from {self._table} where _pen_id not in (from refreshed){broken}")
            )
            self._counts["deleted"] = deleted[0] if deleted else 0
        now = datetime.now(UTC)
        for position in self._positions.values():
            self._connection.execute(
                ledger_sql("keep_position", state="$4"),
                [
                    self._target.stream,
                    position.source,
                    position.key,
                    state_text(position.state),
                    self._load_id,
                    now,
                ],
            )
        seq = 0
        if self._counts["read"] or self._counts["deleted"]:
            counts = [self._counts[n] for n in ("read", "landed", "duplicates", "quarantined", "deleted", "bytes")]
            row = _first(
                self._connection.execute(
                    ledger_sql("add_load"),
                    [self._load_id, self._target.stream, self._target.source, *counts, self._started_at, now],
                )
            )
            assert row is not None
            seq = row[0]
        fault_point("before_commit")
        self._connection.execute("commit")
        self._open = False
        if self._known is not None:
            self._known.commit()
            if seq:
                self._destination.held.remember(self._target.stream, seq)
        self._ended()
        fault_point("after_commit")
        return Receipt(
            load_id=self._load_id,
            seq=seq,
            stream=self._target.stream,
            source=self._target.source,
            started_at=self._started_at,
            committed_at=now,
            **self._counts,
        )

    def rollback(self) -> None:
        """Undo what was written."""
        if not self._open:
            return
        self._open = False
        try:
            if self._known is not None:
                self._known.rollback()
            # there is no transaction any more where its begin or its commit failed, and no connection where it died
            with contextlib.suppress(duckdb.Error):
                self._connection.execute("rollback")
        finally:
            self._ended()

    def _grow(self, schema: Schema) -> None:
        """Bring the table up to the schema the rows follow."""
        if schema == self._schema:
            return
        self._destination.spare_memory(len(schema.columns))
        added = added_columns(self._schema, schema)
        if self._schema.version == 0 and not self._has_table():
            self._create(schema)
        else:
            for column in added:
                self._connection.execute(
                    f"alter table {self._table} add column {identifier(column.name)} {duckdb_type(column.type)}"
                )
        for row in column_rows(self._target.stream, self._schema, schema):
            self._connection.execute(ledger_sql("add_column"), row)
        self._connection.execute(delta_view(self._target.stream))
        self._schema = schema

    def _check_table(self) -> None:
        """The table as the ledger has it, or an error."""
        rows = self._connection.execute(
            "select column_name, data_type, not is_nullable and column_default is null"
            " from duckdb_columns() where schema_name = 'raw' and table_name = $1",
            [self._target.stream],
        ).fetchall()
        expected = {c.name: duckdb_type(c.type).upper() for c in self._schema.columns}
        if not self._schema.version:
            check_foreign(self._table, [name for name, *_ in rows])
            if self._target.identity:
                check_raw(self._connection.execute, where=str(self._destination.path))
            return
        own = {"_pen_id": "UUID", "_pen_load": "BIGINT", "_pen_origin": "VARCHAR", "_pen_rescued": "JSON"}
        actual, needed = {name: type_ for name, type_, _ in rows}, [name for name, _, has_to_be in rows if has_to_be]
        check_table(self._table, expected | own, actual, needed=needed, where=str(self._destination.path))

    def _has_table(self) -> bool:
        """A stream whose records have all been empty has a table, and no column in the ledger."""
        asked = "select 1 from duckdb_tables() where schema_name = 'raw' and table_name = $1"
        return bool(self._connection.execute(asked, [self._target.stream]).fetchall())

    def _names(self, sql: str) -> list[str]:
        return [column[0] for column in self._connection.execute(sql).description]

    def _create(self, schema: Schema) -> None:
        columns = [f"{identifier(c.name)} {duckdb_type(c.type)}" for c in schema.columns]
        columns += own_columns(self._target, json="json")
        self._connection.execute(f"create table {self._table} ({', '.join(columns)})")

    def _insert(self, shaped: Shaped) -> int:
        """Insert the rows whose identity is new, and put those in the place of others that win it."""
        if not shaped.rows.num_rows:
            return 0
        columns = [identifier(name) for name in shaped.rows.column_names]
        fresh = "true"
        if self._target.disposition != "append":
            if self._target.disposition == "replace":
                self._connection.execute("insert into refreshed select _pen_id from rows_in_hand")
            wins = wins_sql(self._target, new="n", old="r", load_id=self._load_id)
            self._connection.execute(
                "create or replace temp table settled as select n._pen_id, coalesce(" + wins + ", false) as wins"
                f" from rows_in_hand n join {self._table} r on n._pen_id = r._pen_id"
            )
            self._connection.execute(
                f"delete from {self._table} where _pen_id in (select _pen_id from settled where wins)"
            )
            fresh = "_pen_id not in (select _pen_id from settled where not wins)"
        elif self._known is None:
            fresh = f"not exists (select 1 from {self._table} r where r._pen_id = n._pen_id)"
        else:
            halves = id_halves(shaped.rows["_pen_id"])[:, 0].view(np.uint64)
            maybe, loads = self._known.maybe(halves)
            if maybe.any():
                present = self._present(shaped.rows["_pen_id"].filter(pa.array(maybe)), *loads)
                new = np.ones(len(halves), dtype=bool)
                new[np.flatnonzero(maybe)[present]] = False
                halves = halves[new]
                rows = shaped.rows.filter(pa.array(new))
                self._known.add(halves, self._load_id, self._load_id)
                with Registered(self._connection, "rows_in_hand", rows):
                    return self._insert_rows(columns, "true")
            self._known.add(halves, self._load_id, self._load_id)
        return self._insert_rows(columns, fresh)

    def _without_conflicts(self, shaped: Shaped) -> Shaped:
        """Message ids that are known with another content are conflicts."""
        if not self._target.message or self._target.disposition != "append" or not shaped.rows.num_rows:
            return shaped

        def ask(asked: pa.Table, operator: str) -> list[int]:
            with Registered(self._connection, "asked", asked):
                found = self._connection.execute(
                    f"select i from asked a join {self._table} r on r._pen_id = a._pen_id"
                    f" where r._pen_content {operator} a._pen_content"
                ).fetchall()
            return [i for (i,) in found]

        return without_conflicts(shaped, ask)

    def _insert_rows(self, columns: Sequence[str], fresh: str) -> int:
        listed = ", ".join(columns)
        row = _first(
            self._connection.execute(
                f"insert into {self._table} ({listed}, _pen_load, _pen_loaded_at)"
                f" select {listed}, {self._load_id}, {literal(self._started_at.isoformat())}::timestamptz"
                f" from rows_in_hand n where {fresh}"
            )
        )
        assert row is not None
        return int(row[0])

    def _present(self, ids: pa.ChunkedArray, first: int, last: int) -> Any:
        """Which of ``ids`` are in the table, landed by one of the loads ``first`` to ``last``."""
        landed = f"(select _pen_id from {self._table} where _pen_load between {first} and {last})"
        with Registered(self._connection, "asked", pa.table({"i": np.arange(len(ids)), "_pen_id": ids})):
            found = self._connection.sql(f"select i from asked semi join {landed} using (_pen_id)").fetchnumpy()["i"]
        present = np.zeros(len(ids), dtype=bool)
        present[found] = True
        return present

    def _quarantine(self, shaped: Shaped) -> int:
        new = 0
        if (size := refused_bytes(shaped.rejects)) > 0:
            self._refused_bytes += size
            self._destination.spare_memory(len(shaped.schema.columns), self._largest, self._refused_bytes)
        for part in quarantine_parts(self._target, shaped.rejects, self._load_id):
            with Registered(self._connection, "refused_in_hand", part):
                row = _first(self._connection.execute(ledger_sql("quarantine", rows="from refused_in_hand")))
            new += row[0] if row else 0
        return new


def _first(cursor: duckdb.DuckDBPyConnection) -> tuple[Any, ...] | None:
    """The first row; takes all of them, since an unfinished result keeps the connection from other work."""
    rows = cursor.fetchall()
    return rows[0] if rows else None
