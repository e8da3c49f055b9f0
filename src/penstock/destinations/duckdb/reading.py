"""Statements of DuckDB, one at a time, and the rows that they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import duckdb

from penstock.errors import DestinationError
from penstock.ports import Rows
from penstock.stored import Document, Stored, stored_time

_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.MULTI)
"""What gives rows. DuckDB makes several statements of a ``pivot`` whose columns it has to find first."""

_CHANGED = ("INTERVAL", "TIMESTAMP_NS")
"""Types whose values Python's would change: months have no fixed length, and nanoseconds are cut off."""
_ENDLESS = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_S", "TIMESTAMP_MS")
"""Types that have an ``infinity``, for which Python's would give their first or last day."""
_TEXTS: Mapping[str, Callable[[str], Stored]] = {
    **dict.fromkeys((*_ENDLESS, "TIME", "TIMESTAMP_NS"), stored_time),
    "JSON": Document,
    "INTERVAL": Stored,
}
"""Types of which some values come as text, and what that is."""
_ENDS = {
    end.replace(tzinfo=zone) for end in (datetime.min, datetime.max) for zone in (None, UTC)
} | {date.min, date.max}  # fmt: skip


def one_statement(connection: duckdb.DuckDBPyConnection, sql: str, where: str) -> duckdb.Statement:
    """The statement that a text is.

    Raises:
        DestinationError: it is none, or several.
        duckdb.Error: DuckDB cannot read it.
    """
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise DestinationError(
            f"{len(statements)} statements, where exactly one may be asked", where=where, fix="ask one statement"
        )
    return statements[0]


def fetched(connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement, parameters: Sequence[Any]) -> Rows:
    """Run a statement; all of its rows, each value as it is stored.

    Raises:
        duckdb.Error: DuckDB refused it.
    """
    cursor = connection.execute(statement, list(parameters))
    names, types = [], []
    for name, type_, *_ in cursor.description or ():
        names.append(name)
        types.append(str(type_))
    rows = cursor.fetchall()
    doubtful = [i for i, t in enumerate(types) if t in _CHANGED or (t in _ENDLESS and any(r[i] in _ENDS for r in rows))]
    if doubtful and statement.type == duckdb.StatementType.SELECT:
        # asked once more, with the text of what Python's types would change
        texts = [f"cast(#{i + 1} as varchar)" if i in doubtful else f"#{i + 1}" for i in range(len(types))]
        rows = connection.sql(statement.query, params=list(parameters)).project(", ".join(texts)).fetchall()
    readers = [(i, _TEXTS[t]) for i, t in enumerate(types) if t in _TEXTS]
    if readers and any(isinstance(row[i], str) for row in rows for i, _ in readers):
        rows = [_with_texts(row, readers) for row in rows]
    return Rows(columns=names, rows=rows)


def rows_of(executed: duckdb.DuckDBPyConnection) -> int:
    """How many rows a statement has given, or written."""
    if executed.description is None:
        return 0
    rows = executed.fetchall()
    counted = [name for name, *_ in executed.description] == ["Count"]
    return int(rows[0][0]) if counted and rows else len(rows)


def _with_texts(row: tuple[Any, ...], readers: Sequence[tuple[int, Callable[[str], Stored]]]) -> tuple[Any, ...]:
    """A row whose texts that stand for other values say so."""
    values = list(row)
    for i, reader in readers:
        if isinstance(values[i], str):
            values[i] = reader(values[i])
    return tuple(values)


def read_only(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any], where: str) -> Rows:
    """The rows of one statement that reads, from a transaction that cannot write and is rolled back.

    The transaction refuses what a ``select`` would change. It is one statement, since another could end the transaction
    and go on.

    Raises:
        DestinationError: they are several statements, or one that does not read.
        duckdb.Error: DuckDB refused it.
    """
    statement = one_statement(connection, sql, where)
    if statement.type not in _READING:
        raise DestinationError(
            f"cannot execute {statement.type.name} in a read-only transaction",
            where=where,
            fix="leave out what changes something",
        )
    connection.execute("begin transaction read only")
    try:
        return fetched(connection, statement, parameters)
    finally:
        connection.execute("rollback")
