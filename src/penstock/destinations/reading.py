"""Statements of DuckDB, one at a time, and the rows that they give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
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
"""Types that have an ``infinity``, for which Python's would give their last day."""
_TIMES = (*_ENDLESS, "TIME")


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
    if statement.type != duckdb.StatementType.SELECT:
        cursor = connection.execute(statement, list(parameters))
        return Rows(columns=[d[0] for d in cursor.description or ()], rows=cursor.fetchall())
    relation = connection.sql(statement.query, params=list(parameters))
    names, types = relation.columns, [str(t) for t in relation.types]
    exact = {
        i: f"cast(#{i + 1} as varchar)"
        if type_ in _CHANGED
        else f"case when not isfinite(#{i + 1}) then cast(#{i + 1} as varchar) end"
        for i, type_ in enumerate(types)
        if type_ in _CHANGED or type_ in _ENDLESS
    }
    if exact:
        relation = relation.project(", ".join([*(f"#{i + 1}" for i in range(len(types))), *exact.values()]))
    rows = relation.fetchall()
    readers = {i: partial(_read, _reader(t)) for i, t in enumerate(types) if t in _TIMES or t in (*_CHANGED, "JSON")}
    if not readers:
        return Rows(columns=names, rows=rows)
    places = {column: len(types) + k for k, column in enumerate(exact)}
    return Rows(
        columns=names,
        rows=[
            tuple(
                readers[i](row[i] if row[places.get(i, i)] is None else row[places.get(i, i)])
                if i in readers
                else row[i]
                for i in range(len(types))
            )
            for row in rows
        ],
    )


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


def _reader(type_: str) -> Callable[[str], Stored]:
    return Document if type_ == "JSON" else Stored if type_ == "INTERVAL" else stored_time


def _read(reader: Callable[[str], Stored], value: Any) -> Any:
    """Text stands for what Python's types cannot hold; whatever they can is left alone."""
    return reader(value) if isinstance(value, str) else value
