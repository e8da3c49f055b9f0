"""Statements on PostgreSQL's two connections, as they are: no error is changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

import psycopg
import pyarrow as pa

from penstock.ledger import TYPES
from penstock.ports import Rows

_PARAMETER = re.compile(r"\$(\d+)")


class _Queries(Protocol):
    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Rows: ...


class ReadingStatements:
    """The ledger's executor outside of landings. ``connection`` gives the connection that is open now."""

    def __init__(self, connection: Callable[[], psycopg.Connection[Any]]) -> None:
        self._connection = connection

    def query(self, sql: str, parameters: Sequence[Any] = (), *, read_only: bool = False) -> Rows:
        """Run one statement; its rows. With ``read_only`` it can change nothing."""
        named = None
        if parameters:
            sql = _PARAMETER.sub(r"%(p\1)s", sql.replace("%", "%%"))
            named = {f"p{i}": value for i, value in enumerate(parameters, 1)}
        connection = self._connection()
        # what is prepared can only be one statement: one more could end the transaction, or be forgotten
        if not read_only:
            return _rows(connection.execute(sql, named, prepare=True))
        with connection.transaction(force_rollback=True):
            connection.execute("set transaction read only")
            return _rows(connection.execute(sql, named, prepare=True))

    def insert(self, table: str, columns: Mapping[str, str], rows: Sequence[Sequence[Any]], key: str) -> int:
        """Insert rows whose key is not there yet."""
        return _insert(self, table, columns, rows, key)


class LandingStatements:
    """Statements in an open landing's transaction, on its ADBC connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run one statement; its rows."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql, tuple(parameters) or None)
            names = [name for name, *_ in cursor.description or ()]
            return Rows(columns=names, rows=cursor.fetchall() if names else ())

    def insert(self, table: str, columns: Mapping[str, str], rows: Sequence[Sequence[Any]], key: str) -> int:
        """Insert rows whose key is not there yet."""
        return _insert(self, table, columns, rows, key)

    def execute(self, sql: str) -> None:
        """Run a statement that gives no rows."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql)

    def table(self, sql: str) -> pa.Table:
        """The rows of a statement, as Arrow has them."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetch_arrow_table()

    def copy(self, table: str, rows: pa.Table, *, schema: str | None = None, temporary: bool = False) -> None:
        """Copy rows into a table that is there, or into a temporary one that is not."""
        with self._connection.cursor() as cursor:
            cursor.adbc_ingest(
                table,
                rows.to_reader(),
                mode="create" if temporary else "append",
                db_schema_name=schema,
                temporary=temporary,
            )


def _insert(executor: _Queries, table: str, columns: Mapping[str, str], rows: Sequence[Sequence[Any]], key: str) -> int:
    types = TYPES["postgres"]
    # values of these types travel as text: both drivers give that to every server alike
    texts = [f"::text::{types.get(type_, type_)}" if type_ in ("uuid", "json") else "" for type_ in columns.values()]
    places = ", ".join(f"${i}{cast}" for i, cast in enumerate(texts, 1))
    sql = f"insert into {table} ({', '.join(columns)}) values ({places}) on conflict ({key}) do nothing returning 1"
    new = 0
    for row in rows:
        new += len(executor.query(sql, [str(value) if isinstance(value, UUID) else value for value in row]).rows)
    return new


def rows_of(cursor: psycopg.Cursor[Any]) -> int:
    """How many rows the last of the statements that a cursor has run gave or wrote."""
    while cursor.nextset():
        pass
    return max(cursor.rowcount, 0)


def _rows(cursor: psycopg.Cursor[Any]) -> Rows:
    if cursor.description is None:
        return Rows(columns=(), rows=())
    return Rows(columns=[d.name for d in cursor.description], rows=cursor.fetchall())
