"""Identities of messages, by the kernel."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pyarrow as pa


def message_identities(library: ctypes.CDLL, ids: pa.StringArray, parts: Any) -> pa.Array:
    """The identities of messages' records as UUIDs: of ids, null where there is none, and which record of its message
    each is, from 0. Where there is no id, what stands there means nothing."""
    ids = pa.concat_arrays([ids.fill_null("")])  # from offset 0 on
    _, offsets, data = ids.buffers()
    parts = np.ascontiguousarray(parts, np.int64)
    hashes = np.empty(16 * len(ids), np.uint8)
    if len(ids) and not library.penstock_message_identities(
        data.address if data is not None else None,
        offsets.address,
        parts.ctypes.data,
        len(ids),
        0,
        hashes.ctypes.data,
    ):
        raise MemoryError
    storage = pa.Array.from_buffers(pa.binary(16), len(ids), [None, pa.py_buffer(hashes)])
    return pa.ExtensionArray.from_storage(pa.uuid(), storage)
