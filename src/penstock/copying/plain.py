"""Rows on their way, in plain Arrow: identities as texts of 36 characters, JSON as text, all else as what it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from penstock.shape.types import arrow_type
from penstock.sql import identifier, literal

BATCH_ROWS = 50_000
BATCH_BYTES = 32 << 20
"""No more rows, and not many more bytes, are in hand at once."""
_MORE: Mapping[str, pa.DataType] = {"bytes": pa.binary(), "integer": pa.int32()}
_AS_TEXT = ("uuid", "json")
_JSON_SPACES = r'("(?:[^"\\]|\\.)*")|([:,]) '


def plain_type(type_: str) -> pa.DataType:
    """The Arrow type of a column on its way."""
    return pa.string() if type_ in _AS_TEXT else _MORE.get(type_) or arrow_type(type_)


def select(columns: Mapping[str, str], table: str, condition: str = "", order: str = "") -> str:
    """A statement of DuckDB and PostgreSQL that gives rows in a form that :func:`plain` understands."""
    # a driver may have no number of its own for a decimal
    texts = ("uuid", "json", "decimal")
    listed = ", ".join(
        f"cast({identifier(name)} as text) as {identifier(name)}" if type_.startswith(texts) else identifier(name)
        for name, type_ in columns.items()
    )
    where = f" where {condition}" if condition else ""
    return f"select {listed} from {table}{where}{f' order by {order}' if order else ''}"


def after(load: int, id_: str) -> str:
    """The condition on the rows behind one, in the order of loads and identities."""
    return f"(_pen_load > {load} or (_pen_load = {load} and _pen_id > cast({literal(id_)} as uuid)))"


def plain(rows: pa.Table, columns: Mapping[str, str]) -> pa.Table:
    """Rows as an engine gave them, with plain types."""
    arrays = {}
    for name, type_ in columns.items():
        column = rows.column(name)
        if isinstance(column.type, pa.BaseExtensionType):
            column = pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
        arrays[name] = column.cast(plain_type(type_))
    return pa.table(arrays)


def without_spaces(rows: pa.Table, columns: Mapping[str, str]) -> pa.Table:
    """Rows whose JSON has none of the spaces that ``jsonb`` shows between the parts of a document."""
    for i, name in enumerate(rows.column_names):
        if columns[name] == "json":
            dense = pc.replace_substring_regex(rows.column(name), pattern=_JSON_SPACES, replacement=r"\1\2")
            rows = rows.set_column(i, name, dense)
    return rows


def typed(rows: pa.Table, columns: Mapping[str, str]) -> pa.Table:
    """Plain rows with Arrow's own types for identities and JSON, as a landing's rows have them."""
    for i, name in enumerate(rows.column_names):
        if columns[name] == "json":
            rows = rows.set_column(i, name, _wrapped(pa.json_(pa.string()), rows.column(name)))
        elif columns[name] == "uuid":
            rows = rows.set_column(i, name, _wrapped(pa.uuid(), _sixteen_bytes(rows.column(name))))
    return rows


def gathered(parts: Iterable[pa.Table], *, most_rows: int | None = None) -> Iterator[pa.Table]:
    """The same rows in larger tables, of up to :data:`BATCH_ROWS` or ``most_rows``."""
    most = BATCH_ROWS if most_rows is None else most_rows
    hand: list[pa.Table] = []
    rows = size = 0
    for part in parts:
        while part.num_rows:
            taken = part.slice(0, most - rows)
            part = part.slice(taken.num_rows)
            hand.append(taken)
            rows += taken.num_rows
            size += taken.nbytes
            if rows >= most or size >= BATCH_BYTES:
                yield pa.concat_tables(hand)
                hand, rows, size = [], 0, 0
    if hand:
        yield pa.concat_tables(hand)


def _wrapped(type_: pa.DataType, column: pa.ChunkedArray) -> pa.ChunkedArray:
    chunks = [pa.ExtensionArray.from_storage(type_, chunk) for chunk in column.chunks]
    return pa.chunked_array(chunks, type_)


def _sixteen_bytes(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """``f1a5…`` as 16 bytes each."""
    chunks = []
    for chunk in texts.chunks:
        digits = pc.replace_substring(chunk.fill_null("0" * 32), "-", "")
        raw = bytes.fromhex("".join(digits.to_pylist()))
        whole = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(chunk), [None, pa.py_buffer(raw)])
        nothing = pa.scalar(None, pa.binary(16))
        chunks.append(pc.if_else(chunk.is_valid(), whole, nothing) if chunk.null_count else whole)
    return pa.chunked_array(chunks, pa.binary(16))
