"""Lines: the records of a batch that are still to be shaped, numbered in their order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

SUB_RECORDS = 2**24
"""Order numbers a line has for the records in it."""

_CHUNK_ROWS = 8_192


@dataclass(frozen=True, slots=True)
class Lines:
    """Raw bodies, one record a row as far as anybody knows, each with its order number, ascending.

    Args:
        orders: numpy array of 64-bit integers, :data:`SUB_RECORDS` times the place in the batch.
        bodies: bytes as they came, which need not be UTF-8.
    """

    orders: Any
    bodies: pa.BinaryArray

    @classmethod
    def of(cls, bodies: pa.BinaryArray) -> Lines:
        """All of a batch's bodies."""
        return cls(np.arange(len(bodies), dtype=np.int64) * SUB_RECORDS, bodies)

    def __len__(self) -> int:
        return len(self.bodies)

    def texts(self) -> pa.Table:
        """A table ``(o, body)`` for SQL, null for what is not UTF-8; in chunks, which DuckDB's threads can share."""
        texts = _utf8(self.bodies)
        schema = pa.schema([("o", pa.int64()), ("body", texts.type)])
        columns = (pa.array(self.orders), texts)
        starts = range(0, max(len(self), 1), _CHUNK_ROWS)
        chunks = [pa.record_batch([c.slice(i, _CHUNK_ROWS) for c in columns], schema=schema) for i in starts]
        return pa.Table.from_batches(chunks)

    def first(self, count: int) -> Lines:
        """The first of them."""
        return Lines(self.orders[:count], self.bodies.slice(0, count))

    def only(self, orders: Any) -> Lines:
        """Those of the given order numbers."""
        mask = np.isin(self.orders, orders)
        return Lines(self.orders[mask], self.bodies.filter(pa.array(mask)))


def without(texts: pa.Table, orders: Any) -> pa.Table:
    """A table of texts but for those of the given order numbers."""
    return texts.filter(pa.array(~np.isin(texts["o"].to_numpy(), orders)))


def places_of(orders: pa.ChunkedArray, others: Iterable[int]) -> Any:
    """The places in their batch of the bodies that records of the given order numbers came in, and those of others:
    each once, in their order."""
    return np.unique(np.union1d(orders.to_numpy(), np.fromiter(others, np.int64)) // SUB_RECORDS)


def _utf8(bodies: pa.BinaryArray) -> pa.Array:
    text = pa.large_string() if pa.types.is_large_binary(bodies.type) else pa.string()
    try:
        return bodies.cast(text)
    except pa.ArrowInvalid:
        return pa.array([_text(body.as_py()) for body in bodies], text)


def _text(body: bytes) -> str | None:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return None
