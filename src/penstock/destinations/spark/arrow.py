"""Rows as a raw table of Iceberg holds them: identities as texts of 36 characters, JSON as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from datetime import datetime

_DIGITS = np.array([f"{byte:02x}" for byte in range(256)], dtype="S2").view(np.uint16)
"""Of each byte its two characters, as one number."""
_NIBBLES = np.zeros(256, dtype=np.uint8)
_NIBBLES[[ord(c) for c in "0123456789abcdef"]] = range(16)
NO_DAY = -(2**31)
_DAY_MICROSECONDS = 86_400_000_000
_GROUPS = ((0, 0, 8), (9, 8, 12), (14, 12, 16), (19, 16, 20), (24, 20, 32))
"""Where in a text which digits stand, between dashes."""
_PLACES = [place + i for place, first, end in _GROUPS for i in range(end - first)]


def as_stored(rows: pa.Table) -> pa.Table:
    """Rows with plain types alone."""
    columns = {name: _plain(rows.column(name)) for name in rows.column_names}
    return pa.table(columns)


def stamped(rows: pa.Table, load_id: int, at: datetime) -> pa.Table:
    """Rows with the load that landed them, and when."""
    load = pa.repeat(pa.scalar(load_id, pa.int64()), rows.num_rows)
    loaded_at = pa.repeat(pa.scalar(at, pa.timestamp("us", tz="UTC")), rows.num_rows)
    return rows.append_column("_pen_load", load).append_column("_pen_loaded_at", loaded_at)


def upper_halves(ids: pa.Array) -> Any:
    """The first 64 bits of identities that are texts of 36 characters."""
    fixed = ids.cast(pa.binary(36))
    if not len(fixed):
        return np.empty(0, dtype=np.uint64)
    characters = np.frombuffer(fixed.buffers()[1], dtype=np.uint8).reshape(-1, 36)
    nibbles = _NIBBLES[characters[fixed.offset : fixed.offset + len(fixed), _PLACES[:16]]]
    octets = np.ascontiguousarray(nibbles[:, ::2] << 4 | nibbles[:, 1::2])
    return octets.view(">u8").reshape(-1).astype(np.uint64)


def day_numbers(moments: pa.ChunkedArray) -> Any:
    """The days since 1970 of dates or moments; :data:`NO_DAY` where there is none."""
    if pa.types.is_date(moments.type):
        days = moments.cast(pa.int32()).fill_null(NO_DAY)
        return days.to_numpy()
    numbers = moments.cast(pa.int64())
    days = np.floor_divide(numbers.fill_null(0).to_numpy(), _DAY_MICROSECONDS)
    return np.where(numbers.is_valid().to_numpy(), days, NO_DAY)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not isinstance(column.type, pa.BaseExtensionType):
        return column
    if column.type == pa.uuid():
        return pa.chunked_array([_uuid_texts(chunk.storage) for chunk in column.chunks], pa.string())
    return pa.chunked_array([chunk.storage.cast(pa.string()) for chunk in column.chunks], pa.string())


def _uuid_texts(values: pa.FixedSizeBinaryArray) -> pa.Array:
    """``f1a5…`` of 16 bytes each."""
    count = len(values)
    if not count or values.null_count == count:
        return pa.nulls(count, pa.string())
    raw = np.frombuffer(values.buffers()[1], dtype=np.uint8).reshape(-1, 16)[values.offset : values.offset + count]
    characters: Any = np.full((count, 36), ord("-"), dtype=np.uint8)
    digits = _DIGITS[raw].view(np.uint8)
    for place, first, end in _GROUPS:
        characters[:, place : place + end - first] = digits[:, first:end]
    offsets = np.arange(0, 36 * (count + 1), 36, dtype=np.int32)
    texts = pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(characters))
    return pc.if_else(values.is_valid(), texts, None) if values.null_count else texts
