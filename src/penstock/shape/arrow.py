"""Arrow arrays and tables: what shaping does to them outside of SQL."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa


def cast(column: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray:
    """``column`` as ``type_``, which may be an extension type."""
    if column.type == type_:
        return column
    if isinstance(type_, pa.BaseExtensionType):
        storage = cast(column, type_.storage_type)
        return pa.chunked_array([type_.wrap_array(c) for c in storage.chunks], type_)
    return column.cast(type_)


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
