"""A DuckDB file as an end of a copy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from penstock.copying.ends import End
from penstock.copying.plain import plain, select
from penstock.destinations.duckdb.destination import DuckDBDestination
from penstock.destinations.duckdb.registered import Registered
from penstock.destinations.duckdb.writer import DuckDBWriter
from penstock.destinations.refusals import refusals
from penstock.faults import fault_point
from penstock.shape.types import duckdb_type
from penstock.sql import identifier

if TYPE_CHECKING:
    from penstock.copying.parts import Part, RawPart
    from penstock.ports import Destination

_READ_ROWS = 2048
_TYPES: Mapping[str, str] = {"bytes": "blob"}


def end(destination: Destination) -> End:
    """The end of a DuckDB file."""
    assert isinstance(destination, DuckDBDestination)
    tables = DuckDBTables(destination)
    return End(destination=destination, raw=tables, ledger=tables, source=True)


class DuckDBTables:
    """The tables of a file."""

    def __init__(self, destination: DuckDBDestination) -> None:
        self._destination = destination

    def read(self, part: Part, condition: str = "", order: str = "") -> Iterator[pa.Table]:
        """The rows, on a connection of their own."""
        conditions = " and ".join(filter(None, (part.condition, condition)))
        with refusals(self._destination), self._destination.connection.cursor() as reading:
            rows = reading.sql(select(part.columns, part.table, conditions, order))
            for batch in rows.to_arrow_reader(_READ_ROWS):
                yield plain(pa.table(batch), part.columns)

    def make(self, part: RawPart) -> None:
        """Make the table, and the view of its latest load."""
        writer = DuckDBWriter(self._destination, self._destination.connection, part.target, lambda: None)
        with refusals(self._destination):
            writer.begin(0, datetime.now(UTC))
            try:
                writer.create(part.known)
                writer.show_delta()
                writer.commit(0)
            finally:
                writer.rollback()

    def append(self, part: RawPart, rows: pa.Table) -> None:
        """Insert rows."""
        with self._transaction() as connection:
            _insert(connection, part, rows)

    def refill(self, part: Part, batches: Iterable[pa.Table]) -> None:
        """Delete what is there and insert the rows."""
        with self._transaction() as connection:
            connection.execute(f"delete from {part.table}")
            for rows in batches:
                _insert(connection, part, rows)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with refusals(self._destination, rows=True):
            connection = self._destination.connection
            connection.execute("begin")
            try:
                yield connection
                fault_point("copy_before_commit")
                connection.execute("commit")
            except BaseException:
                with contextlib.suppress(duckdb.Error):
                    connection.execute("rollback")
                raise


def _insert(connection: duckdb.DuckDBPyConnection, part: Part, rows: pa.Table) -> None:
    listed = ", ".join(identifier(name) for name in rows.column_names)
    values = ", ".join(f"cast({identifier(name)} as {_type(part.columns[name])})" for name in rows.column_names)
    with Registered(connection, "rows_to_copy", rows):
        connection.execute(f"insert into {part.table} ({listed}) select {values} from rows_to_copy").fetchall()


def _type(type_: str) -> str:
    return _TYPES.get(type_) or duckdb_type(type_)
