"""DuckDB: the embedded warehouse, one file. One process at a time may hold it; its threads land in turn."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import duckdb

from penstock.destinations.duckdb import reading
from penstock.destinations.duckdb.capabilities import CAPABILITIES
from penstock.destinations.duckdb.driver_errors import is_broken, refusal
from penstock.destinations.duckdb.held import held_file
from penstock.destinations.duckdb.held_file import open_file
from penstock.destinations.duckdb.rewriting import rewrite_file
from penstock.destinations.duckdb.schema_there import lacks_raw
from penstock.destinations.duckdb.sparing import Sparing
from penstock.destinations.duckdb.statements import Statements
from penstock.destinations.duckdb.writer import DuckDBWriter
from penstock.destinations.landing import WarehouseLanding, opened
from penstock.destinations.refusals import SortedExecutor, sorting
from penstock.engine_errors import error_text
from penstock.errors import DestinationError
from penstock.ledger import SCHEMAS, create_statements
from penstock.ledger.soundness import is_complete, tell_lost
from penstock.ledger.sql_ledger import SqlLedger
from penstock.ports import Rows, Target
from penstock.sql import literal


class DuckDBDestination:
    """A DuckDB file. Several threads of a process may have one of these each, of the same file.

    Args:
        path: the file; made when missing.
        lock_timeout_seconds: how long to wait for another process to let go of it.
        threads, memory_limit: DuckDB's, in its spelling.
    """

    kind = "duckdb"
    capabilities = CAPABILITIES
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
        self._connection: duckdb.DuckDBPyConnection | None = None
        self.held = held_file(path)
        """What the threads of this process share of the file."""
        self.sparing = Sparing(self.held, limit=memory_limit is not None, threads=bool(threads))
        """What of the machine landings leave to others."""
        self.ledger = SqlLedger(SortedExecutor(Statements(lambda: self.connection), self), self.kind)
        self._landing: WarehouseLanding | None = None

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
        present = self.ledger.tables()
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
        return is_complete(self.ledger.tables())

    @sorting()
    def land(self, target: Target) -> WarehouseLanding:
        """Open a transaction that lands into ``target``'s stream, after those of other threads have ended."""
        connection = self.connection
        self.held.landing.acquire()
        writer = DuckDBWriter(self, connection, target, self.held.landing.release)
        ledger = SqlLedger(Statements(lambda: connection), self.kind)
        self._landing = WarehouseLanding(writer, ledger, target)
        return opened(self._landing)

    def query(self, sql: str, parameters: Sequence[Any] = (), *, read_only: bool = False) -> Rows:
        """Run one statement and return its rows; with ``read_only`` one that changes nothing.

        Raises:
            DestinationError: DuckDB refused it.
        """
        try:
            self.sparing.nothing(self.connection)
            if read_only:
                return reading.read_only(self.connection, sql, parameters, str(self.path))
            statement = reading.one_statement(self.connection, sql, str(self.path))
            return reading.fetched(self.connection, statement, parameters)
        except (duckdb.Error, UnicodeDecodeError) as e:
            raise self._refused(e) from None

    def _refused(self, error: Exception) -> DestinationError:
        refused = self.refusal(error)
        kind = DestinationError if refused is None else type(refused)
        return kind(error_text(error), where=str(self.path))

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

    @contextlib.contextmanager
    def writing(self) -> Iterator[Callable[[str], int]]:
        """One transaction, beside landings, for the texts of statements."""
        connection = self.connection
        try:
            connection.execute("begin")
            try:
                yield lambda sql: reading.rows_of(connection.execute(sql))
                connection.execute("commit")
            except BaseException:
                with contextlib.suppress(duckdb.Error):
                    connection.execute("rollback")
                raise
        except duckdb.Error as e:
            raise self._refused(e) from None

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

    @sorting()
    def _open(self) -> duckdb.DuckDBPyConnection:
        connection = open_file(self.path, self.held, self._settings, self._timeout)
        if len(self.held.connections) > 1:
            self.sparing.nothing(connection)
        self.held.sparing, self.held.one_thread = "", False
        return connection
