"""Statements over lines, planned once: planning takes longer than a small batch."""

from __future__ import annotations

import itertools

import duckdb
import pyarrow as pa

_MOST = 16
_TRUTHS = ("_pen_same", "_pen_more", "_pen_suspect")


class _Bodies:
    """The lines to be read, under a name that prepared statements keep."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, name: str, type_: pa.DataType) -> None:
        self.name = name
        self.table: pa.Table | None = None
        self._empty = pa.table({"o": pa.array([], pa.int64()), "body": pa.array([], type_)})
        connection.register(name, self)

    def __arrow_c_schema__(self) -> object:
        return self._empty.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return (self._empty if self.table is None else self.table).__arrow_c_stream__(requested_schema)


class Prepared:
    """The statements of one connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._bodies = {t: _Bodies(connection, f"bodies_{t}", t) for t in (pa.string(), pa.large_string())}
        self._known: dict[str, str] = {}
        self._names = itertools.count()

    def source(self, lines: pa.Table) -> str:
        """The table that stands for ``lines`` in a statement."""
        return self._bodies[lines.schema.field("body").type].name

    def run(self, sql: str, lines: pa.Table) -> pa.Table:
        """Run a statement over ``lines``."""
        if sql not in self._known:
            if len(self._known) == _MOST:
                self._connection.execute(f"deallocate {self._known.pop(next(iter(self._known)))}")
            self._known[sql] = f"shape_{next(self._names)}"
            self._connection.execute(f"prepare {self._known[sql]} as {sql}")
        holder = self._bodies[lines.schema.field("body").type]
        holder.table = lines
        rows = self._connection.sql(f"execute {self._known[sql]}").to_arrow_table()
        holder.table = None
        for name in _TRUTHS:
            place = rows.schema.get_field_index(name)
            if place >= 0:
                rows = rows.set_column(place, name, rows[name].cast(pa.bool_()))
        return rows
