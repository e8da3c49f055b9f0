"""Arrow tables as tables of a DuckDB connection."""

from __future__ import annotations

import contextlib

import duckdb
import pyarrow as pa


class Offered:
    """Arrow tables, one after the other, under one name, which is registered once for all that are alike."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        self._connection, self._name = connection, name
        self._table: pa.Table | None = None
        self._registered: pa.Schema | None = None

    def offer(self, table: pa.Table) -> None:
        """Have the name stand for this table from now on."""
        self._table = table
        if self._registered != table.schema:
            self._connection.register(self._name, self)
            self._registered = table.schema

    def end(self) -> None:
        """Give the name up, before the transaction ends."""
        self._table = None
        if self._registered is not None:
            self._registered = None
            _unregister(self._connection, self._name)

    def __arrow_c_schema__(self) -> object:
        assert self._table is not None
        return self._table.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        assert self._table is not None
        return self._table.__arrow_c_stream__(requested_schema)


class Registered:
    """An Arrow table under a name, for a ``with`` block."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
        self._connection, self._name, self._table = connection, name, table

    def __enter__(self) -> None:
        self._connection.register(self._name, self._table)

    def __exit__(self, *_: object) -> None:
        _unregister(self._connection, self._name)


def _unregister(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    # an aborted transaction takes no statement but a rollback, which ends the name too
    with contextlib.suppress(duckdb.TransactionException):
        connection.unregister(name)
