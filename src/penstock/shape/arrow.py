"""Arrow tables of lines and rows: what shaping does to them outside of SQL."""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.ports import Batch, Window

SUB_RECORDS = 2**24
"""Order numbers a line has for the records in it."""

_CHUNK_ROWS = 8_192


def cast(column: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray:
    """``column`` as ``type_``, which may be an extension type."""
    if column.type == type_:
        return column
    if isinstance(type_, pa.BaseExtensionType):
        storage = column.cast(type_.storage_type)
        return pa.chunked_array([type_.wrap_array(c) for c in storage.chunks], type_)
    return column.cast(type_)


def lines_of(bodies: pa.Array) -> tuple[pa.Table, list[int]]:
    """A table ``(o, body)`` in chunks, so that DuckDB's threads can share it, and the places that are not UTF-8."""
    texts, unreadable = _utf8(bodies)
    orders = pa.array(np.arange(len(texts), dtype=np.int64) * SUB_RECORDS)
    schema = pa.schema([("o", pa.int64()), ("body", texts.type)])
    starts = range(0, max(len(texts), 1), _CHUNK_ROWS)
    chunks = [pa.record_batch([a.slice(i, _CHUNK_ROWS) for a in (orders, texts)], schema=schema) for i in starts]
    return pa.Table.from_batches(chunks), unreadable


def _utf8(bodies: pa.Array) -> tuple[pa.Array, list[int]]:
    """Bodies as texts, with null for what is not UTF-8, and the places of those."""
    text = pa.large_string() if pa.types.is_large_binary(bodies.type) else pa.string()
    try:
        return bodies.cast(text), []
    except pa.ArrowInvalid:
        pass
    unreadable = []
    values: list[str | None] = []
    for n, body in enumerate(bodies):
        try:
            values.append(body.as_py().decode("utf-8"))
        except UnicodeDecodeError:
            values.append(None)
            unreadable.append(n)
    return pa.array(values, text), unreadable


def hashed(rows: pa.Table, *names: str) -> pa.Table:
    """``rows`` with the first 128 bits of the hexadecimal hashes in the named columns, as UUIDs."""
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


def without(lines: pa.Table, orders: Any) -> pa.Table:
    """``lines`` but for those of the given order numbers."""
    return lines.filter(pa.array(~np.isin(lines["o"].to_numpy(), orders)))


def rows_inside(rows: pa.Table, window: Window) -> pa.Table:
    """The rows whose event time lies in the window, and those that have none."""
    times = rows["_pen_event_time"]
    start, end = (pa.scalar(t, pa.timestamp("us")) for t in (window.start, window.end))
    inside = pc.and_(pc.greater_equal(times, start), pc.less(times, end))
    return rows.filter(pc.fill_null(inside, True))


def places_of(orders: pa.ChunkedArray, others: Iterable[int]) -> Any:
    """The places in their batch of the bodies that records of the given order numbers came in, and others: each once,
    in their order."""
    return np.union1d(orders.to_numpy() // SUB_RECORDS, np.fromiter(others, np.int64))


def rewritten(sound: Sequence[tuple[int, str]], type_: pa.DataType) -> pa.Table:
    orders, bodies = zip(*sound, strict=True) if sound else ((), ())
    return pa.table({"o": pa.array(orders, pa.int64()), "body": pa.array(bodies, type_)})


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


def origins_of(batch: Batch, orders: pa.ChunkedArray) -> pa.ChunkedArray:
    """``place#number`` of each row, or just its place."""
    lines = orders.to_numpy() // SUB_RECORDS
    starts = np.array([s.start for s in batch.segments], dtype=np.int64)
    which = np.searchsorted(starts, lines, side="right") - 1
    bases = np.array([(s.number or 0) - s.start for s in batch.segments], dtype=np.int64)
    numbers = pa.array(lines + bases[which] if len(lines) else lines).cast(pa.string())
    if len(batch.segments) == 1 and batch.segments[0].number is not None:
        return pc.binary_join_element_wise(pa.scalar(batch.segments[0].place), numbers, "#")
    places = pa.array([s.place for s in batch.segments], pa.string()).take(pa.array(which))
    numbered = np.array([s.number is not None for s in batch.segments], dtype=bool)
    return pc.if_else(pa.array(numbered[which]), pc.binary_join_element_wise(places, numbers, "#"), places)
