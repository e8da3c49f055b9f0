"""Cuts CSV into records by RFC 4180, by numpy, at about the speed of memory.

An end of line is LF, CR or CRLF, in any mixture. What RFC 4180 has no reading for (a quote inside a field that does not
begin with one, text behind a closing quote, a quote that is never closed) is a broken record: it reaches to the end of
the line in which it broke, and the next line is a record again. So a stray quote takes no sound line with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

_LF, _CR = b"\n\r"
MAX_QUOTED_BYTES = 1 << 26
"""A quote that is not closed within so many bytes is taken for one that never is."""


@dataclass(frozen=True, slots=True)
class CsvCut:
    """Records that stand in ``block`` one after the other, each with its end of line.

    Record ``i`` begins at ``bounds[i]`` and ends at ``bounds[i + 1]``. ``blank`` says which are empty lines; ``broken``
    why others are no CSV.
    """

    block: bytes
    bounds: Any
    blank: Any
    broken: dict[int, str]

    def record(self, place: int) -> bytes:
        """A record as it came, without its end of line."""
        raw = self.block[self.bounds[place] : self.bounds[place + 1]]
        for end in (b"\r\n", b"\n", b"\r"):
            if raw.endswith(end):
                return raw[: -len(end)]
        return raw

    def records(self, wanted: Any) -> bytes:
        """Those for which ``wanted`` is true, as a text of their own."""
        steps = np.flatnonzero(np.diff(np.concatenate(([False], wanted, [False]))))
        runs = [self.block[self.bounds[a] : self.bounds[b]] for a, b in zip(steps[::2], steps[1::2], strict=True)]
        return runs[0] if len(runs) == 1 else b"".join(runs)


class CsvSplitter:
    """Cuts one file, given in chunks of any size."""

    def __init__(self, delimiter: str, quote: str) -> None:
        self._quote = ord(quote)
        self._around = np.zeros(256, dtype=bool)
        self._around[[_LF, _CR, ord(delimiter)]] = True
        self._parts: list[bytes] = []
        self._enough = 0
        self.pending_bytes = 0
        """How much has come of a record whose end has not."""

    def cut(self, chunk: bytes) -> CsvCut | None:
        """The records complete with this chunk, or None when there is none yet."""
        self._parts.append(chunk)
        self.pending_bytes += len(chunk)
        # of a long record, what has come is looked through again only when it has doubled
        return None if self.pending_bytes < self._enough else self._cut(final=False)

    def finish(self) -> CsvCut | None:
        """What is left at the file's end."""
        return self._cut(final=True)

    def _cut(self, *, final: bool) -> CsvCut | None:
        block = b"".join(self._parts)
        data = np.frombuffer(block, np.uint8)
        bounds, broken = self._bounds(block, data, final=final)
        end = int(bounds[-1])
        self._parts = [block[end:]]
        self.pending_bytes = len(block) - end
        self._enough = 0 if end else 2 * len(block)
        if not end:
            return None
        return CsvCut(block, bounds, _blank(data, bounds), broken)

    def _bounds(self, block: bytes, data: Any, *, final: bool) -> tuple[Any, dict[int, str]]:
        """Where records end, the start before them, and which of them are broken."""
        ends = _line_ends(data, block, final=final)
        if self._quote not in block:
            last = [len(block)] if final and len(block) > (ends[-1] if len(ends) else 0) else []
            return np.concatenate(([0], ends, last)).astype(np.int64), {}
        return _Quoted(data, ends, np.flatnonzero(data == self._quote), self._around).bounds(final=final)


class _Quoted:
    """A block with quotes in it.

    Each quote opens or closes a field by turns, counted from where the last broken record ended; what is right for one
    that opens, and for one that closes, is looked up for all of them at once. A doubled quote closes and opens.
    """

    def __init__(self, data: Any, ends: Any, quotes: Any, around: Any) -> None:
        self._size = len(data)
        self._ends = ends
        self._quotes = quotes
        self._before_end = np.searchsorted(quotes, ends)
        doubled = np.diff(quotes) == 1
        self._follows = np.concatenate(([False], doubled))
        self._opens = self._follows | around[data[np.maximum(quotes - 1, 0)]]
        self._opens[0] |= quotes[0] == 0
        self._closes = np.concatenate((doubled, [False])) | around[data[np.minimum(quotes + 1, self._size - 1)]]
        self._closes[-1] |= quotes[-1] == self._size - 1
        self._wrong: dict[int, Any] = {}
        self._openings: dict[int, Any] = {}

    def bounds(self, *, final: bool) -> tuple[Any, dict[int, str]]:
        """As :meth:`CsvSplitter._bounds`."""
        parts: list[Any] = [[0]]
        broken: dict[int, str] = {}
        count = start = quote = line = 0
        while True:
            turn = quote % 2
            wrong = self._next_wrong(quote)
            until = len(self._ends) if wrong is None else int(np.searchsorted(self._ends, self._quotes[wrong]))
            outside = self._ends[line:until][self._before_end[line:until] % 2 == turn]
            if len(outside):
                parts.append(outside)
                count += len(outside)
                start = int(outside[-1])
            if wrong is not None:
                opening, reason = self._why(wrong, turn)
            elif self._open_at_end(quote) and (final or self._size - start > MAX_QUOTED_BYTES):
                opening, reason = self._last_opening(turn, len(self._quotes)), "a quote that is never closed"
            else:
                if final and start < self._size:
                    parts.append([self._size])
                break
            line = int(np.searchsorted(self._ends, self._quotes[opening], side="right"))
            if line == len(self._ends):
                if final:
                    parts.append([self._size])
                    broken[count] = reason
                break
            start = int(self._ends[line])
            parts.append([start])
            broken[count] = reason
            count += 1
            line += 1
            quote = int(np.searchsorted(self._quotes, start))
        return np.concatenate(parts).astype(np.int64), broken

    def _next_wrong(self, quote: int) -> int | None:
        """The first quote from this one on that stands where it may not; this one opens."""
        turn = quote % 2
        if turn not in self._wrong:
            fits = np.empty(len(self._quotes), dtype=bool)
            fits[turn::2], fits[1 - turn :: 2] = self._opens[turn::2], self._closes[1 - turn :: 2]
            self._wrong[turn] = np.flatnonzero(~fits)
        wrong = self._wrong[turn]
        at = int(np.searchsorted(wrong, quote))
        return int(wrong[at]) if at < len(wrong) else None

    def _why(self, wrong: int, turn: int) -> tuple[int, str]:
        """The quote in whose line the record breaks, and why it does."""
        if wrong % 2 == turn:
            return wrong, "a quote inside a CSV field that does not begin with one"
        opening = self._last_opening(turn, wrong)
        if np.searchsorted(self._ends, self._quotes[opening]) == np.searchsorted(self._ends, self._quotes[wrong]):
            return opening, "text behind the closing quote of a CSV field; a quote in it has to be doubled"
        return opening, "a quote that is not closed: text stands behind the next one, in a later line"

    def _last_opening(self, turn: int, before: int) -> int:
        if turn not in self._openings:
            self._openings[turn] = np.flatnonzero(~self._follows[turn::2]) * 2 + turn
        openings = self._openings[turn]
        return int(openings[np.searchsorted(openings, before) - 1])

    def _open_at_end(self, quote: int) -> bool:
        return (len(self._quotes) - quote) % 2 == 1


def _line_ends(data: Any, block: bytes, *, final: bool) -> Any:
    """The places behind the ends of lines. A CR at the end of what has come may yet be half of a CRLF."""
    ends = data == _LF
    if b"\r" in block:
        returns = data == _CR
        returns[:-1] &= ~ends[1:]
        returns[-1] &= final
        ends |= returns
    return np.flatnonzero(ends) + 1


def _blank(data: Any, bounds: Any) -> Any:
    """Which records are nothing but the end of a line."""
    sizes = np.diff(bounds)
    first, last = data[bounds[:-1]], data[bounds[1:] - 1]
    return ((sizes == 1) & ((first == _LF) | (first == _CR))) | ((sizes == 2) & (first == _CR) & (last == _LF))
