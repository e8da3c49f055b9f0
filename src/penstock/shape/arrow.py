"""Arrow arrays and tables: what shaping does to them outside of SQL."""

from __future__ import annotations

from binascii import unhexlify
from typing import Any

import numpy as np
import pyarrow as pa


def cast(column: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray:
    """``column`` as ``type_``, which may be an extension type."""
    if column.type == type_:
        return column
    if isinstance(type_, pa.BaseExtensionType):
        storage = column.cast(type_.storage_type)
        return pa.chunked_array([type_.wrap_array(c) for c in storage.chunks], type_)
    return column.cast(type_)


def hashed(rows: pa.Table, *names: str) -> pa.Table:
    """``rows`` with the first 128 bits of the hexadecimal hashes in the named columns, as UUIDs. None may be null."""
    for name in names:
        ids = []
        for chunk in filter(len, rows[name].chunks):
            offsets = np.frombuffer(chunk.buffers()[1], np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
            text = memoryview(chunk.buffers()[2] or b"")[offsets[0] : offsets[-1]]
            whole = np.frombuffer(unhexlify(text), np.uint8).reshape(len(chunk), 32)
            storage = pa.Array.from_buffers(pa.binary(16), len(chunk), [None, pa.py_buffer(whole[:, :16].tobytes())])
            ids.append(pa.ExtensionArray.from_storage(pa.uuid(), storage))
        rows = rows.set_column(rows.schema.get_field_index(name), name, pa.chunked_array(ids, pa.uuid()))
    return rows


def first_of_each(rows: pa.Table) -> pa.Array | None:
    """Which rows are the first of their identity in record order, as a mask; None when all are."""
    halves = id_halves(rows["_pen_id"])
    high = halves[:, 0].view("<u8")
    ranked = np.sort(high)
    twice = ranked[1:][ranked[1:] == ranked[:-1]]
    if not len(twice):
        return None
    places = np.searchsorted(twice, high)
    places[places == len(twice)] = 0
    twins = np.flatnonzero(twice[places] == high)
    order = rows["_pen_o"].to_numpy()
    twins = twins[np.lexsort((order[twins], halves[twins, 1], halves[twins, 0]))]
    later = twins[1:][(halves[twins][1:] == halves[twins][:-1]).all(axis=1)]
    first = np.ones(len(high), dtype=bool)
    first[later] = False
    return pa.array(first)


def id_halves(ids: pa.ChunkedArray) -> Any:
    """Identities as an ``(n, 2)`` array of big-endian 64-bit halves, without a copy where that is possible."""
    array = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], ids.type)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    buffer = array.buffers()[1]
    if buffer is None:
        return np.empty((0, 2), dtype=">u8")
    raw = np.frombuffer(buffer, dtype=">u8")
    return raw.reshape(-1, 2)[array.offset : array.offset + len(array)]
