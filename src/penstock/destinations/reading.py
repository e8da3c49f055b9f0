"""Statements of DuckDB that change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from penstock.errors import DestinationError
from penstock.ports import Rows

_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.MULTI)
"""What gives rows. DuckDB makes several statements of a ``pivot`` whose columns it has to find first."""


def fetched(cursor: duckdb.DuckDBPyConnection) -> Rows:
    """All rows of what was run last."""
    return Rows(columns=[d[0] for d in cursor.description or ()], rows=cursor.fetchall())


def read_only(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any], where: str) -> Rows:
    """The rows of one statement that reads, from a transaction that cannot write and is rolled back.

    The transaction refuses what a ``select`` would change. It is one statement, since another could end the transaction
    and go on.

    Raises:
        DestinationError: they are several statements, or one that does not read.
        duckdb.Error: DuckDB refused it.
    """
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise DestinationError(
            f"{len(statements)} statements, where exactly one may be asked", where=where, fix="ask one statement"
        )
    if statements[0].type not in _READING:
        raise DestinationError(
            f"cannot execute {statements[0].type.name} in a read-only transaction",
            where=where,
            fix="leave out what changes something",
        )
    connection.execute("begin transaction read only")
    try:
        return fetched(connection.execute(statements[0], list(parameters)))
    finally:
        connection.execute("rollback")
