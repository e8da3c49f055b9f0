"""Landings that find out which rows a PostgreSQL refuses. Each part is written behind a savepoint, so that those before
it stay when it is refused.

ADBC runs nothing more in a transaction in which a statement failed, not even what goes back to a savepoint. So these
landings have a connection of psycopg's, and rows travel as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa

from penstock.destinations.landing import WarehouseLanding
from penstock.destinations.postgres.statements import LandingStatements, ReadingStatements
from penstock.destinations.postgres.writer import Database, PostgresWriter
from penstock.destinations.refusals import refusals
from penstock.errors import RejectedRows
from penstock.sql import identifier

if TYPE_CHECKING:
    from penstock.ports import Ledger, Rows, Shaped, Target


class TrialStatements(LandingStatements):
    """A landing's statements, on a connection of psycopg's."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        super().__init__(connection)
        self._reading = ReadingStatements(lambda: connection)

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run one statement; its rows."""
        return self._reading.query(sql, parameters)

    def execute(self, sql: str) -> None:
        """Run a statement that gives no rows."""
        self._connection.execute(sql)

    def table(self, sql: str) -> pa.Table:
        """The rows of a statement."""
        rows = self.query(sql)
        columns = zip(*rows.rows, strict=True) if rows.rows else [()] * len(rows.columns)
        return pa.Table.from_arrays([pa.array(list(values)) for values in columns], names=list(rows.columns))

    def copy(self, table: str, rows: pa.Table, *, schema: str | None = None, temporary: bool = False) -> None:
        """Copy rows into a table that is there, or into a temporary one that is not."""
        if temporary:
            types = {"_pen_id": "uuid", "_pen_content": "uuid", "i": "bigint"}
            columns = ", ".join(f"{name} {types.get(name, 'text')}" for name in rows.column_names)
            self.execute(f"create temp table {table} ({columns})")
        listed = ", ".join(map(identifier, rows.column_names))
        name = identifier(table) if schema is None else f"{schema}.{identifier(table)}"
        with self._connection.cursor().copy(f"copy {name} ({listed}) from stdin") as copy:
            for row in zip(*map(_texts, rows.columns), strict=True):
                copy.write_row(row)


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    """Values as PostgreSQL reads them."""
    if column.type == pa.uuid():
        return [None if value is None else str(value) for value in column.to_pylist()]
    storage = getattr(column.type, "storage_type", column.type)
    texts: list[str | None] = column.cast(storage).cast(pa.string()).to_pylist()
    return texts


class TrialWriter(PostgresWriter):
    """A transaction that can go back to where its last part began."""

    def __init__(self, database: Database, target: Target, connection: psycopg.Connection[Any]) -> None:
        super().__init__(database, target)
        self._connection = connection
        self._statements = TrialStatements(connection)
        self._staged: list[str] = []
        self._before: tuple[bool, list[str]] = (False, [])
        self._look = ""

    def recall(self, last_seq: int) -> None:
        """Ask the table about all identities: memory would go on knowing rows that were undone."""
        del last_seq

    def savepoint(self) -> None:
        """Where the next :meth:`undo` goes back to, unless it is released before."""
        self.finish()
        self.execute("savepoint penstock_part")
        self._before = (self._refreshing, self._staged)

    def undo(self) -> None:
        """Go back to the savepoint."""
        self.execute("rollback to savepoint penstock_part; release savepoint penstock_part")
        self._refreshing, self._staged = self._before

    def release(self) -> None:
        """Keep what was written since the savepoint."""
        self.execute("release savepoint penstock_part")

    def look(self) -> None:
        """Look at the constraints that wait for the commit."""
        if not self._look:
            deferred = self.deferred()
            self._look = "set constraints all immediate"
            if deferred:
                self._look += f"; set constraints {deferred} deferred"
        self.execute(self._look)

    def rollback(self) -> None:
        """Undo all."""
        self._connection.close()

    def _stage(self, rows: pa.Table) -> None:
        # a transaction holds a lock for each table that it makes, and has room for some thousands
        if rows.column_names == self._staged:
            self.execute("delete from pg_temp.penstock_batch")
            self._statements.copy("penstock_batch", rows)
        else:
            super()._stage(rows)
            self._staged = rows.column_names


class PostgresTrial(WarehouseLanding):
    """A landing that tells which parts of batches are refused."""

    def __init__(self, writer: TrialWriter, ledger: Ledger, target: Target) -> None:
        super().__init__(writer, ledger, target)
        self._trial_writer = writer

    def attempt(self, parts: Sequence[Shaped]) -> tuple[str, bool] | None:
        """Write parts of batches together; when they are refused, all is as before. What the server says, and whether
        it does as late as at the commit."""
        with self._refusals():
            for part in parts:
                self._grow(part.schema)
            self._trial_writer.savepoint()
        late = False
        try:
            for part in parts:
                self.write(part)
            late = True
            with self._refusals():
                self._trial_writer.look()
        except RejectedRows as e:
            self._undo()
            return e.what, late
        with self._refusals():
            self._trial_writer.release()
        return None

    def end_refresh(self) -> None:
        """Delete the rows that no part named, unless that is refused."""
        writer = self._trial_writer
        with refusals(self):
            writer.savepoint()
        try:
            with self._refusals():
                writer.delete_unrefreshed(empty=True)
                writer.look()
                writer.release()
        except RejectedRows:
            self._undo()

    def _undo(self) -> None:
        with refusals(self):
            self._trial_writer.undo()
