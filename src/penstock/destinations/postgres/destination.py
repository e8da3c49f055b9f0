"""PostgreSQL 13 and later. Landings have a connection of their own, ADBC's; all else goes by psycopg."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import adbc_driver_postgresql.dbapi as adbc
import psycopg
from adbc_driver_manager import Error as AdbcError

from penstock.destinations.known import KnownIds
from penstock.destinations.landing import WarehouseLanding, opened
from penstock.destinations.postgres.capabilities import CAPABILITIES
from penstock.destinations.postgres.claims import claimed
from penstock.destinations.postgres.driver_errors import first_line, query_refusal, refusal
from penstock.destinations.postgres.exactly import exactly
from penstock.destinations.postgres.liveness import noticing
from penstock.destinations.postgres.rights import check_rights, lacks_raw, missing_schemas
from penstock.destinations.postgres.statements import LandingStatements, ReadingStatements, rows_of
from penstock.destinations.postgres.trial import PostgresTrial, TrialStatements, TrialWriter
from penstock.destinations.postgres.writer import PostgresWriter
from penstock.destinations.refusals import SortedExecutor, sorting
from penstock.errors import DestinationError
from penstock.ledger import create_statements
from penstock.ledger.soundness import is_complete, tell_lost
from penstock.ledger.sql_ledger import SqlLedger
from penstock.ports import Rows, Target

MIN_VERSION = 13


class PostgresDestination:
    """A PostgreSQL database.

    Args:
        conninfo: libpq's connection string or URL. Kept out of every message.
        shown: the same without its password, for messages.
    """

    kind = "postgres"
    capabilities = CAPABILITIES
    commit_bytes = 512 << 20

    def __init__(self, conninfo: str, *, shown: str) -> None:
        self.shown = shown
        self._conninfo = noticing(conninfo)
        self._landing_connection: Any = None
        self._reading_connection: psycopg.Connection[Any] | None = None
        self._known: dict[str, tuple[int, KnownIds]] = {}
        self._statements = ReadingStatements(lambda: self.reading)
        self.ledger = SqlLedger(SortedExecutor(self._statements, self), self.kind)

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
        present = self.ledger.tables()
        if is_complete(present) and not lacks_raw(self.query):
            return
        self.check_rights()
        try:
            with self.reading.transaction():
                self.ledger.hold_numbers()
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
        return is_complete(self.ledger.tables())

    def check_rights(self) -> None:
        """Whether the user may make what landing needs.

        Raises:
            DestinationError: it may not; names what to grant.
        """
        check_rights(self.query, shown=self.shown)

    @sorting()
    def land(self, target: Target) -> WarehouseLanding:
        """Open a transaction that lands into ``target``'s stream; waits for others that land into it."""
        if target.immediate:
            connection = self._connect()
            connection.autocommit = False
            tried = SqlLedger(TrialStatements(connection), self.kind)
            return opened(PostgresTrial(TrialWriter(self, target, connection), tried, target))
        writer = PostgresWriter(self, target)
        ledger = SqlLedger(LandingStatements(self.landing_connection), self.kind)
        return opened(WarehouseLanding(writer, ledger, target))

    def query(self, sql: str, parameters: Sequence[Any] = (), *, read_only: bool = False) -> Rows:
        """Run one statement and return its rows; with ``read_only`` one that changes nothing.

        Raises:
            DestinationError: the server refused it.
        """
        try:
            return self._statements.query(sql, parameters, read_only=read_only)
        except psycopg.Error as e:
            raise query_refusal(e, self.shown) from None

    @contextlib.contextmanager
    def transaction(self, streams: Sequence[str] = ()) -> Iterator[None]:
        """One transaction for the queries inside, holding the locks of ``streams``."""
        try:
            with self.reading.transaction():
                for stream in sorted(streams):
                    self.ledger.hold(stream)
                yield
        except psycopg.Error as e:
            raise DestinationError(first_line(e), where=self.shown) from None

    @contextlib.contextmanager
    def writing(self) -> Iterator[Callable[[str], int]]:
        """One transaction for the texts of statements."""
        try:
            connection = self.reading
            with connection.transaction():
                # as in dbt's sessions: what a date of a moment is depends on it
                connection.execute("set local timezone to default")
                yield lambda sql: rows_of(connection.execute(sql, prepare=False))
        except psycopg.Error as e:
            raise query_refusal(e, self.shown) from None

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
