"""A PostgreSQL database as an end of a copy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from adbc_driver_manager import Error as AdbcError

from penstock.copying.ends import End
from penstock.copying.plain import plain, select, typed, without_spaces
from penstock.destinations.postgres.destination import PostgresDestination
from penstock.destinations.postgres.statements import LandingStatements
from penstock.destinations.postgres.writer import PostgresWriter
from penstock.destinations.refusals import refusals
from penstock.faults import fault_point

if TYPE_CHECKING:
    from penstock.copying.parts import Part, RawPart
    from penstock.ports import Destination


def end(destination: Destination) -> End:
    """The end of a database."""
    assert isinstance(destination, PostgresDestination)
    tables = PostgresTables(destination)
    return End(destination=destination, raw=tables, ledger=tables, source=True)


class PostgresTables:
    """The tables of a database, on its connection for landings."""

    def __init__(self, destination: PostgresDestination) -> None:
        self._destination = destination

    def read(self, part: Part, condition: str = "", order: str = "") -> Iterator[pa.Table]:
        """The rows as they were at one moment."""
        conditions = " and ".join(filter(None, (part.condition, condition)))
        with self._transaction(commit=False) as connection, connection.cursor() as cursor:
            cursor.execute("set transaction isolation level repeatable read, read only")
            cursor.execute(select(part.columns, part.table, conditions, order))
            for batch in cursor.fetch_record_batch():
                yield without_spaces(plain(pa.table(batch), part.columns), part.columns)

    def make(self, part: RawPart) -> None:
        """Make the table with its indexes, so that no row can be in it twice, and the view of its latest load."""
        writer = PostgresWriter(self._destination, part.target)
        with refusals(self._destination):
            try:
                writer.begin(0, datetime.now(UTC))
                writer.create(part.known)
                writer.finish()
                writer.show_delta()
                writer.commit(0)
            except BaseException:
                writer.rollback()
                raise

    def append(self, part: RawPart, rows: pa.Table) -> None:
        """Copy rows in."""
        with self._transaction() as connection:
            _copy(connection, part, rows)

    def refill(self, part: Part, batches: Iterable[pa.Table]) -> None:
        """Delete what is there and copy the rows in."""
        with self._transaction() as connection:
            LandingStatements(connection).execute(f"delete from {part.table}")
            for rows in batches:
                _copy(connection, part, rows)

    @contextlib.contextmanager
    def _transaction(self, *, commit: bool = True) -> Iterator[Any]:
        with refusals(self._destination, rows=commit):
            connection = self._destination.landing_connection
            try:
                yield connection
                if commit:
                    fault_point("copy_before_commit")
                    connection.commit()
            finally:
                try:
                    connection.rollback()
                except AdbcError:
                    self._destination.drop_landing_connection()


def _copy(connection: Any, part: Part, rows: pa.Table) -> None:
    if rows.num_rows:
        LandingStatements(connection).copy(part.name, typed(rows, part.columns), schema=part.schema)
