"""Plans: what records of a stream look like to the kernel, and the rows that it makes of them."""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

TYPES = ("text", "bigint", "double", "boolean", "date", "timestamp", "timestamptz", "uuid", "json", "decimal")
"""The types of columns by their numbers in ``arrow.h``."""

_NO_MEMORY = -1


class Left(enum.IntEnum):
    """Why the kernel leaves a record to the other lanes, as ``kernel.h`` numbers it."""

    TAKEN = 0
    SYNTAX = 1
    TWICE = 2
    CHARACTER = 3
    NUMBER = 4
    UNKNOWN = 5
    MISFIT = 6
    DEPTH = 7
    UTF8 = 8
    SIZE = 9
    IDENTITY = 10
    LAYOUT = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of the records. A dropped one is as good as never sent; a guarded one may hold something dropped, so that
    a record with an object or a list in it is left."""

    name: str
    dropped: bool = False
    guarded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A column: of which field, and of which of :data:`TYPES`.

    ``spelt`` says that texts that spell a number or a truth value fit. ``width_bytes`` is what a value takes of a row,
    0 when its length decides.
    """

    field: str
    type: str
    arrow: pa.DataType
    spelt: bool = False
    precision: int = 0
    scale: int = 0
    width_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a plan is made of.

    The columns of its rows are those of ``columns``, in their order, and then: ``_pen_o``, the order number;
    ``_pen_id``, the SHA-256 of the values of ``identity``, or of the content; with ``content`` that of the content,
    ``_pen_content``; with ``event_time`` the time in that field, in UTC; with ``version`` the text of that field; with
    ``raw`` the canonical record, ``_pen_json``. Hashes are their first 128 bits.

    Args:
        dropped: flat names that stand for all names that go on behind them with an underscore.
        max_width_bytes: what a row may take; 0 when that is not asked.
        portable: hash without the processor's own instructions.
    """

    fields: Sequence[Field]
    columns: Sequence[Target]
    identity: Sequence[str] = ()
    dropped: Sequence[str] = ()
    flat: bool = False
    content: bool = False
    event_time: str | None = None
    version: str | None = None
    raw: bool = False
    max_bytes: int
    max_width_bytes: int = 0
    portable: bool = False

    def schema(self) -> pa.Schema:
        """The columns of the rows."""
        columns = [(f"_{i}", target.arrow) for i, target in enumerate(self.columns)]
        columns += [("_pen_o", pa.int64()), ("_pen_id", pa.binary(16))]
        if self.content and self.identity:
            columns.append(("_pen_content", pa.binary(16)))
        if self.event_time is not None:
            columns.append(("_pen_event_time", pa.timestamp("us")))
        if self.version is not None:
            columns.append(("_pen_version", pa.string()))
        if self.raw:
            columns.append(("_pen_json", pa.string()))
        return pa.schema(columns)


class _Field(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("name_bytes", ctypes.c_int32), ("roles", ctypes.c_int32))


class _Column(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_int32) for name in ("field", "type", "spelt", "precision", "scale", "width"))


class _Plan(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("fields", "columns", "identity", "dropped")),
        *((name, ctypes.c_int64) for name in ("max_bytes", "max_width")),
        *((f"{name}_count", ctypes.c_int32) for name in ("field", "column", "identity", "dropped")),
        *((name, ctypes.c_int32) for name in ("flat", "content", "event_time", "version", "raw", "portable")),
    )


class _ArrowArray(ctypes.Structure):
    _fields_ = (("sizes", ctypes.c_int64 * 5), ("pointers", ctypes.c_void_p * 5))


class Plan:
    """A plan in the kernel's memory. Shaping changes nothing of it, so that threads can share it."""

    def __init__(self, library: ctypes.CDLL, given: Given) -> None:
        self._library = library
        self.schema = given.schema()
        fields = sorted(given.fields, key=lambda field: field.name.encode())
        place = {field.name: i for i, field in enumerate(fields)}
        roles = [field.dropped | field.guarded << 1 for field in fields]
        arrays = (
            _fields([field.name for field in fields], roles),
            (_Column * max(len(given.columns), 1))(*_columns(given.columns, place)),
            (ctypes.c_int32 * max(len(given.identity), 1))(*(place[field] for field in given.identity)),
            _fields(given.dropped, [0] * len(given.dropped)),
        )
        raw = _Plan(
            *(ctypes.addressof(array) for array in arrays),
            given.max_bytes,
            given.max_width_bytes,
            len(fields),
            len(given.columns),
            len(given.identity),
            len(given.dropped),
            given.flat,
            given.content,
            -1 if given.event_time is None else place[given.event_time],
            -1 if given.version is None else place[given.version],
            given.raw,
            given.portable,
        )
        self._plan = library.penstock_plan(ctypes.addressof(raw))
        if not self._plan:
            raise MemoryError

    def __del__(self) -> None:
        if getattr(self, "_plan", None):
            self._library.penstock_plan_free(self._plan)

    def shape(self, bodies: pa.Array, orders: Any) -> tuple[pa.RecordBatch, Any] | None:
        """Shape bodies, binary without nulls, of the given order numbers.

        Returns:
            The rows of those that it takes, in their order, and for each body a :class:`Left` as ``uint8``. None when
            the rows would hold over 2 GiB of text in a column.
        """
        wide = pa.types.is_large_binary(bodies.type)
        _, offsets, data = bodies.buffers()
        left = np.zeros(len(bodies), np.uint8)
        orders = np.ascontiguousarray(orders, np.int64)
        rows = _ArrowArray()
        taken = self._library.penstock_shape(
            self._plan,
            data.address if data is not None and data.size else None,
            data.size if data is not None else 0,
            offsets.address + bodies.offset * (8 if wide else 4),
            wide,
            len(bodies),
            orders.ctypes.data,
            left.ctypes.data,
            ctypes.addressof(rows),
        )
        if taken == _NO_MEMORY:
            raise MemoryError
        if taken < 0:
            return None
        # the way into pyarrow that needs no Python.h on our side, by its own documentation
        batch = pa.RecordBatch._import_from_c(ctypes.addressof(rows), self.schema)  # noqa: SLF001
        return batch, left


def _fields(names: Sequence[str], roles: Sequence[int]) -> Any:
    encoded = [name.encode() for name in names]
    given = (_Field(name, len(name), role) for name, role in zip(encoded, roles, strict=True))
    return (_Field * max(len(encoded), 1))(*given)


def _columns(targets: Sequence[Target], place: dict[str, int]) -> Iterator[_Column]:
    for t in targets:
        yield _Column(place[t.field], TYPES.index(t.type), t.spelt, t.precision, t.scale, t.width_bytes)
