"""Cuts bytes into records without parsing them: by the kernel, or where it was not built by numpy, in the same places.

A splitter takes chunks of a file in any size and gives the records that are complete. Its ``rest`` is what is
left: the beginning of a record whose end has not come yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from penstock.native import cutting
from penstock.native.kernel import kernel

_QUOTE, _BACKSLASH, _COMMA = b'"\\,'
_OPEN = (ord("["), ord("{"))
_CLOSE = (ord("]"), ord("}"))
_SPACE = ord(" ")
_BLANK = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Cut:
    """Records cut from a chunk: row ``i`` of ``bodies`` is record number ``numbers[i]`` of its file.

    ``consumed`` is how many bytes of the file they took, from where the last cut ended.
    """

    bodies: pa.Array
    numbers: Any
    consumed: int


class Splitter(Protocol):
    """Cuts one file."""

    rest: bytes

    def cut(self, chunk: bytes) -> Cut | None:
        """The records complete with this chunk, or None when there is none yet."""
        ...

    def finish(self) -> Cut | None:
        """What is left at the file's end, as one record; None when that is blank."""
        ...


class LineSplitter:
    """One record a line. Blank lines are no records, but count in the numbers, which are line numbers from 1.

    Args:
        line_end: LF, which may follow a CR, or CR alone; None goes by the end of the first line.
    """

    def __init__(self, *, lines_before: int = 0, line_end: bytes | None = b"\n") -> None:
        self.rest = b""
        self.lines = lines_before
        self.line_end = line_end

    def cut(self, chunk: bytes) -> Cut | None:
        if self.line_end is None:
            # a CR that is the last byte may be half of a CRLF
            begun = self.rest + chunk
            self.line_end = b"\n" if b"\n" in begun else b"\r" if b"\r" in begun[:-1] else None
            chunk, self.rest = begun, b""
        end = 0 if self.line_end is None else chunk.rfind(self.line_end) + 1
        if not end:
            self.rest += chunk
            return None
        block = b"".join((self.rest, memoryview(chunk)[:end]))
        self.rest = chunk[end:]
        ends = _line_ends(block, ord(self.line_end or b"\n"))
        return self._take(block, np.concatenate(([0], ends)))

    def finish(self) -> Cut | None:
        block, self.rest = self.rest, b""
        return self._take(block, np.array([0, len(block)])) if block.strip(_BLANK) else None

    def _take(self, block: bytes, offsets: Any) -> Cut:
        numbers = np.arange(self.lines + 1, self.lines + len(offsets))
        self.lines += len(offsets) - 1
        bodies = _slices(block, offsets)
        short = np.flatnonzero(np.diff(offsets) < 8)
        blank = [i for i in short if not block[offsets[i] : offsets[i + 1]].strip(_BLANK)]
        if blank:
            keep = np.ones(len(numbers), dtype=bool)
            keep[blank] = False
            bodies, numbers = bodies.filter(pa.array(keep)), numbers[keep]
        return Cut(bodies, numbers, len(block))


class ValueSplitter:
    """JSON values one after the other, or the elements of one top-level array; numbered from 1.

    Finds where values end by counting brackets outside of strings, so it never holds more than what one
    value needs. Broken nesting shows as a long last record, which shaping then refuses.
    """

    def __init__(self) -> None:
        self.rest = b""
        self._count = 0
        self._array: bool | None = None
        self._closed = False

    def cut(self, chunk: bytes) -> Cut | None:
        block = self.rest + chunk
        skipped = 0
        if self._array is None:
            stripped = block.lstrip(_BLANK)
            if not stripped:
                return None
            self._array = stripped.startswith(b"[")
            skipped = len(block) - len(stripped) + self._array
            block = block[skipped:]
        if self._array and not self._closed:
            ends, closed = element_ends(block)
        else:
            ends, closed = _value_ends(block), False
        if not len(ends):
            self.rest = block
            return None
        last = int(ends[-1])
        self.rest, block = block[last:], block[:last]
        if self._array and not self._closed:
            block = _blanked(block, ends - 1)
        self._closed = self._closed or closed
        return self._take(block, np.concatenate(([0], ends)), skipped)

    def finish(self) -> Cut | None:
        block, self.rest = self.rest, b""
        return self._take(block, np.array([0, len(block)]), 0) if block.strip(_BLANK) else None

    def _take(self, block: bytes, offsets: Any, skipped: int) -> Cut:
        bodies = _records(block, offsets)
        numbers = np.arange(self._count + 1, self._count + 1 + len(bodies))
        self._count += len(bodies)
        return Cut(bodies, numbers, len(block) + skipped)


def _structure(block: bytes) -> tuple[Any, Any, Any]:
    """Places of brackets and commas outside of strings, the bytes there, and the depth after each."""
    data = np.frombuffer(block, np.uint8)
    quotes = np.flatnonzero(data == _QUOTE)
    if _BACKSLASH in block and len(quotes):
        quotes = quotes[~_escaped(data, quotes)]
    places = np.flatnonzero(_IS_STRUCTURE[data])
    outside = np.searchsorted(quotes, places) % 2 == 0
    places = places[outside]
    signs = data[places]
    return places, signs, np.cumsum(_STEP[signs])


def _escaped(data: Any, quotes: Any) -> Any:
    """Which quotes stand after an odd number of backslashes."""
    slashes = data == _BACKSLASH
    others = np.flatnonzero(~slashes)
    before = np.searchsorted(others, quotes) - 1
    last_other = np.where(before >= 0, others[np.maximum(before, 0)], -1)
    return (quotes - last_other - 1) % 2 == 1


def _line_ends(block: bytes, line_end: int) -> Any:
    if (library := kernel()) is not None:
        return cutting.line_ends(library, block, line_end)
    return np.flatnonzero(np.frombuffer(block, np.uint8) == line_end) + 1


def element_ends(block: bytes) -> tuple[Any, bool]:
    """Where elements of the open array end, separator included; and whether the array was closed."""
    if (library := kernel()) is not None:
        return cutting.element_ends(library, block)
    places, signs, depth = _structure(block)
    closing = np.flatnonzero(depth < 0)
    closed = len(closing) > 0
    if closed:
        places, signs, depth = places[: closing[0] + 1], signs[: closing[0] + 1], depth[: closing[0] + 1]
    ends = places[(depth == 0) & (signs == _COMMA)] + 1
    if closed:
        ends = np.append(ends, places[-1] + 1)
    return ends, closed


def _value_ends(block: bytes) -> Any:
    if (library := kernel()) is not None:
        return cutting.value_ends(library, block)
    places, signs, depth = _structure(block)
    return places[(depth <= 0) & ((signs == _CLOSE[0]) | (signs == _CLOSE[1]))] + 1


def elements(block: bytes, ends: Any) -> pa.Array:
    """The elements of an open list that end at ``ends``, the separator behind each taken off."""
    return _records(_blanked(block, ends - 1), np.concatenate(([0], ends)))


def value_end(block: bytes) -> int | None:
    """Where the value that begins ``block`` ends; None when it does not yet."""
    places, _, depth = _structure(block)
    closing = np.flatnonzero(depth <= 0)
    return int(places[closing[0]]) + 1 if len(closing) else None


def _records(block: bytes, offsets: Any) -> pa.Array:
    """The pieces of ``block`` between ``offsets`` that are not blank."""
    bodies = _slices(block, offsets)
    short = np.flatnonzero(np.diff(offsets) < 8)
    blank = [i for i in short if not block[offsets[i] : offsets[i + 1]].strip(_BLANK)]
    if not blank:
        return bodies
    keep = np.ones(len(bodies), dtype=bool)
    keep[blank] = False
    return bodies.filter(pa.array(keep))


def _blanked(block: bytes, places: Any) -> bytes:
    data = np.frombuffer(block, np.uint8).copy()
    data[places] = _SPACE
    return data.tobytes()


def _slices(block: bytes, offsets: Any) -> pa.Array:
    """The pieces of ``block`` between ``offsets``, without a copy."""
    wide = len(block) >= 2**31
    type_ = pa.large_binary() if wide else pa.binary()
    offsets = np.ascontiguousarray(offsets, dtype=np.int64 if wide else np.int32)
    return pa.Array.from_buffers(type_, len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(block)])


_IS_STRUCTURE = np.zeros(256, dtype=bool)
_STEP = np.zeros(256, dtype=np.int64)
for _byte in _OPEN:
    _IS_STRUCTURE[_byte] = True
    _STEP[_byte] = 1
for _byte in _CLOSE:
    _IS_STRUCTURE[_byte] = True
    _STEP[_byte] = -1
_IS_STRUCTURE[_COMMA] = True
