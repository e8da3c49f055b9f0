"""Statements on a DuckDB connection, as they are: no error is changed, and nothing is asked twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from penstock.destinations.duckdb.registered import Registered
from penstock.ledger import TYPES
from penstock.ports import Rows

_ARROW: Mapping[str, pa.DataType] = {
    "uuid": pa.uuid(),
    "bytes": pa.large_binary(),
    "bigint": pa.int64(),
    "timestamptz": pa.timestamp("us", "UTC"),
}
"""How values of a type travel; all others as text."""


class Statements:
    """The ledger's executor. ``connection`` gives the connection that is open now."""

    def __init__(self, connection: Callable[[], duckdb.DuckDBPyConnection]) -> None:
        self._connection = connection

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run one statement; its rows."""
        cursor = self._connection().execute(sql, list(parameters))
        names = [name for name, *_ in cursor.description or ()]
        return Rows(columns=names, rows=cursor.fetchall())

    def insert(self, table: str, columns: Mapping[str, str], rows: Sequence[Sequence[Any]], key: str) -> int:
        """Insert rows whose key is not there yet."""
        values = zip(*rows, strict=True)
        arrays = [_array(part, type_) for part, type_ in zip(values, columns.values(), strict=True)]
        connection = self._connection()
        types = TYPES["duckdb"]
        listed = ", ".join(f"cast({name} as {types.get(type_, type_)})" for name, type_ in columns.items())
        with Registered(connection, "entries_in_hand", pa.table(arrays, list(columns))):
            inserted = connection.execute(
                f"insert into {table} ({', '.join(columns)}) select {listed} from entries_in_hand"
                f" on conflict ({key}) do nothing"
            ).fetchall()
        return int(inserted[0][0]) if inserted else 0


def _array(values: Sequence[Any], type_: str) -> pa.Array:
    if type_ == "uuid":
        values = [value.bytes for value in values]
    return pa.array(values, _ARROW.get(type_, pa.string()))
