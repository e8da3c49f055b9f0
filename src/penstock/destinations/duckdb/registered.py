"""Arrow tables as tables of a DuckDB connection."""

from __future__ import annotations

import contextlib

import duckdb
import pyarrow as pa


class Registered:
    """An Arrow table under a name, for a ``with`` block."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
        self._connection, self._name, self._table = connection, name, table

    def __enter__(self) -> None:
        self._connection.register(self._name, self._table)

    def __exit__(self, *_: object) -> None:
        # an aborted transaction takes no statement but a rollback, which ends the name too
        with contextlib.suppress(duckdb.TransactionException):
            self._connection.unregister(self._name)
