"""CSV and Parquet: a column for each value of the records, for people and other tools, and one with the record itself.

Loading goes by that one alone, for nothing flat tells null from absent, 1 from "1", or an object from its parts.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from penstock.jsonpath import pointer
from penstock.lake.sink import Sink
from penstock.records.lake_files import RECORD
from penstock.schema import MAX_COLUMNS, name_columns
from penstock.sql import identifier, literal, statement

MAX_DEPTH = 8
"""Objects deeper than this stay JSON in one column."""

_BETWEEN = "\x1f"
Tree = Mapping[str, Any]
"""Field → what DuckDB's ``json_structure`` calls its type, or the tree of an object."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value inside the records: the fields that lead to it, and the type of its column."""

    path: tuple[str, ...]
    type: str

    @property
    def field(self) -> str:
        """What its column is named after, unlike that of every other leaf."""
        return _BETWEEN.join(part.replace(_BETWEEN, " ") for part in self.path)

    @property
    def pointer(self) -> str:
        """Its JSON pointer (RFC 6901)."""
        return pointer(self.path)


class Flattener:
    """Makes records flat. Its columns are those of all records so far, so that files differ as little as can be."""

    def __init__(self, *, typed: bool) -> None:
        self._typed = typed
        self._tree: Tree = {}
        self._connection = duckdb.connect(":memory:", config={"threads": 1, "memory_limit": "1GB"})
        self._connection.execute("set TimeZone = 'UTC'; set enable_progress_bar = false")

    def close(self) -> None:
        """Free the memory."""
        self._connection.close()

    def flat(self, records: pa.Array, broken: Collection[bytes]) -> pa.Table:
        """A row for each record, in their order; what is ``broken`` has only its own column."""
        wide = pa.types.is_large_string(records.type)
        refused = pa.array(list(broken), pa.large_binary() if wide else pa.binary())
        self._connection.register("records", pa.table({"body": records}))
        self._connection.register("broken", pa.table({"body": refused.view(records.type)}))
        try:
            self._connection.execute(statement("penstock.lake", "sound.sql")).fetchall()
            [(structure,)] = self._connection.execute(
                "select json_group_structure(body::json) from sound where body is not null"
            ).fetchall()
            tree = json.loads(structure or "null")
            self._tree = merged(self._tree, tree) if isinstance(tree, dict) else self._tree
            leaves = leaves_of(self._tree, typed=self._typed)
            names = name_columns([leaf.field for leaf in leaves], ())
            columns = "".join(
                f"{_cast(i, leaf.type)} as {identifier(names[leaf.field])}, " for i, leaf in enumerate(leaves, 1)
            )
            paths = ", ".join(literal(leaf.pointer) for leaf in leaves)
            query = statement("penstock.lake", "flat.sql", columns=columns, paths=paths, record=identifier(RECORD))
            return self._connection.sql(query).to_arrow_table()
        finally:
            self._connection.unregister("records")
            self._connection.unregister("broken")


def _cast(place: int, type_: str) -> str:
    return f"t[{place}]" if type_ == "varchar" else f"try_cast(t[{place}] as {type_})"


def merged(one: Any, other: Any) -> Any:
    """The type of a value that is of one type here and of another there."""
    if one == other or other == "NULL":
        return one
    if one == "NULL":
        return other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return {
            k: merged(one.get(k, "NULL"), other.get(k, "NULL")) for k in (*one, *(k for k in other if k not in one))
        }
    if {str(one), str(other)} <= {"UBIGINT", "BIGINT"}:
        return "BIGINT"
    if {str(one), str(other)} <= {"UBIGINT", "BIGINT", "DOUBLE"}:
        return "DOUBLE"
    return "JSON"


def leaves_of(tree: Tree, *, typed: bool) -> list[Leaf]:
    """The columns of a tree: objects are taken apart unless they are deep, empty, or so many that no table holds them.

    Without ``typed`` all are texts; with it, a field that was always null has no column yet.
    """
    for depth in (MAX_DEPTH, 1):
        leaves = [leaf for leaf in _leaves(tree, (), depth) if not typed or leaf.type]
        if len(leaves) <= MAX_COLUMNS:
            break
    return [Leaf(leaf.path, leaf.type if typed and leaf.type else "varchar") for leaf in leaves[:MAX_COLUMNS]]


def _leaves(tree: Tree, path: tuple[str, ...], depth: int) -> list[Leaf]:
    leaves = []
    for field, type_ in tree.items():
        here = (*path, field)
        if isinstance(type_, Mapping) and type_ and len(here) < depth:
            leaves += _leaves(type_, here, depth)
        else:
            leaves.append(Leaf(here, _TYPES.get(str(type_), "varchar")))
    return leaves


_TYPES = {"NULL": "", "BOOLEAN": "boolean", "UBIGINT": "bigint", "BIGINT": "bigint", "DOUBLE": "double"}


class _TableEncoder(ABC):
    """Starts another file when records bring new columns, for a file has one header."""

    def __init__(self, sink: Callable[[], Sink], file_bytes: int, *, typed: bool) -> None:
        self._new = sink
        self._file_bytes = file_bytes
        self._flattener = Flattener(typed=typed)
        self._sink: Sink | None = None
        self._writer: Any = None
        self._schema: pa.Schema | None = None

    def add(self, records: pa.Array, broken: Collection[bytes]) -> None:
        """Write rows."""
        table = self._flattener.flat(records, broken)
        if self._sink is None or table.schema != self._schema or self._sink.size >= self._file_bytes:
            self.end()
            self._sink, self._schema = self._new(), table.schema
            self._writer = self._writer_of(self._sink, table.schema)
        self._writer.write_table(table)

    def end(self) -> None:
        """Complete the file in hand."""
        writer, self._writer, self._sink = self._writer, None, None
        if writer is not None:
            writer.close()

    def close(self) -> None:
        """Free the memory."""
        self._flattener.close()

    @abstractmethod
    def _writer_of(self, sink: Sink, schema: pa.Schema) -> Any:
        """Begin a file."""


class CsvEncoder(_TableEncoder):
    """RFC 4180 with a header; texts are quoted, so that an empty one is not null."""

    def __init__(self, sink: Callable[[], Sink], file_bytes: int) -> None:
        super().__init__(sink, file_bytes, typed=False)

    def _writer_of(self, sink: Sink, schema: pa.Schema) -> Any:
        return pa_csv.CSVWriter(pa.PythonFile(sink, mode="w"), schema)


class ParquetEncoder(_TableEncoder):
    """Compressed by zstd, a row group a batch."""

    def __init__(self, sink: Callable[[], Sink], file_bytes: int) -> None:
        super().__init__(sink, file_bytes, typed=True)

    def _writer_of(self, sink: Sink, schema: pa.Schema) -> Any:
        return pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema, compression="zstd")
