"""Statements over lines, planned once: planning takes longer than a small batch."""

from __future__ import annotations

import itertools
from binascii import unhexlify
from collections.abc import Callable, Hashable

import duckdb
import numpy as np
import pyarrow as pa

from penstock.shape.memory import Memory

_MOST = 16
_HASHES = ("_pen_id", "_pen_content")
_NO_HASH = "0" * 64


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


class Statements:
    """The statements of one connection."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._bodies: dict[pa.DataType, _Bodies] = {}
        self._names: dict[tuple[Hashable, str], str] = {}
        self._numbers = itertools.count()

    def run(self, key: Hashable, written: Callable[[str], str], lines: pa.Table) -> pa.Table:
        """Run the statement that ``key`` stands for over ``lines``.

        Args:
            written: writes it, for the table that stands for the lines. Called when the statement is not known.
        """
        type_ = lines.schema.field("body").type
        if type_ not in self._bodies:
            self._bodies[type_] = _Bodies(self._memory.connection, f"bodies_{type_}", type_)
        bodies = self._bodies[type_]
        name = self._names.get((key, bodies.name))
        if name is None:
            name = self._prepared(key, bodies.name, written(bodies.name))
        bodies.table = lines
        rows = self._memory.connection.sql(f"execute {name}").to_arrow_table()
        bodies.table = None
        return with_uuids(_with_bits(rows))

    def _prepared(self, key: Hashable, bodies: str, sql: str) -> str:
        if len(self._names) == _MOST:
            self._memory.connection.execute(f"deallocate {self._names.pop(next(iter(self._names)))}")
        name = f"shape_{next(self._numbers)}"
        self._memory.connection.execute(f"prepare {name} as {sql}")
        self._names[key, bodies] = name
        return name


def _with_bits(rows: pa.Table) -> pa.Table:
    """``rows`` with truth values as bits; DuckDB gives a byte for each."""
    for place, column in enumerate(rows.schema):
        if column.type == pa.bool8():
            rows = rows.set_column(place, column.name, rows[place].cast(pa.bool_()))
    return rows


def with_uuids(rows: pa.Table) -> pa.Table:
    """``rows`` with the first 128 bits of hexadecimal SHA-256 hashes as UUIDs. A null becomes the UUID of zeros: no row
    that a lane keeps has one."""
    for name in _HASHES:
        place = rows.schema.get_field_index(name)
        if place < 0 or rows[name].type != pa.string():
            continue
        ids = []
        for chunk in filter(len, rows[name].chunks):
            hashes = chunk.fill_null(_NO_HASH) if chunk.null_count else chunk
            offsets = np.frombuffer(hashes.buffers()[1], np.int32)[hashes.offset : hashes.offset + len(hashes) + 1]
            text = memoryview(hashes.buffers()[2] or b"")[offsets[0] : offsets[-1]]
            whole = np.frombuffer(unhexlify(text), np.uint8).reshape(len(hashes), 32)
            storage = pa.Array.from_buffers(pa.binary(16), len(hashes), [None, pa.py_buffer(whole[:, :16].tobytes())])
            ids.append(pa.ExtensionArray.from_storage(pa.uuid(), storage))
        rows = rows.set_column(place, name, pa.chunked_array(ids, pa.uuid()))
    return rows
