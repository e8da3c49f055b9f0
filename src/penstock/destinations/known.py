"""Which identities a raw table holds, remembered by the process that lands into it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from penstock.destinations.sketch import Sketch

MAX_ROWS = 64_000_000
"""Identities remembered. A bigger table is asked instead."""

MAX_RUN_ROWS = 1_000_000
MAX_EXACT_ROWS = 2_000_000
"""Identities whose upper halves are kept, 8 bytes each; of those that landed before them there is a sketch."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Sorted upper halves of the rows that loads ``first`` to ``last`` landed, and the lower halves beside them."""

    high: Any
    low: Any
    first: int
    last: int


class KnownIds:
    """The upper halves of the newest identities in one table, sorted, so that a batch is looked up in no time, and a
    sketch of all before them: 48 MB at most, however large the table.

    A half that is absent proves the record new; one that is present has to be asked for in full, unless the lower
    halves are remembered too, which takes twice the memory. What a landing adds counts at once and is forgotten again
    if the landing is rolled back.
    """

    def __init__(self) -> None:
        self._sketch: Sketch | None = None
        self._sketched_loads = (0, 0)
        self._runs: list[_Run] = []
        self._uncommitted: list[_Run] = []
        self._rows = 0

    @property
    def overflowed(self) -> bool:
        """Whether the table is too big to be remembered."""
        return self._rows > MAX_ROWS

    def maybe(self, high: Any) -> tuple[Any, tuple[int, int]]:
        """For each half (``uint64``), whether the table may hold it; False is certain. And the first and the last of
        the loads that may have landed them."""
        order = np.argsort(high)  # a walk through a run in its order is five times as fast as jumps
        walked = high[order]
        here = np.zeros(len(high), dtype=bool)
        loads: list[int] = []
        if self._sketch is not None:
            here = self._sketch.maybe(walked)
            loads = [*self._sketched_loads] if here.any() else []
        for run in (*self._runs, *self._uncommitted):
            hit = run.high[_places(run.high, walked)] == walked
            if hit.any():
                here |= hit
                loads += [run.first, run.last]
        answers = np.empty_like(here)
        answers[order] = here
        return answers, (min(loads, default=0), max(loads, default=0))

    def held(self, high: Any, low: Any) -> Any:
        """For each identity, whether the table holds it, where all were added whole by one landing; None when only the
        table can tell, because two identities have one upper half."""
        order = np.argsort(high)
        walked, beside = high[order], low[order]
        here = np.zeros(len(high), dtype=bool)
        for run in (*self._runs, *self._uncommitted):
            places = _places(run.high, walked)
            hit = run.high[places] == walked
            if (run.low[places] != beside)[hit].any():
                return None
            here |= hit
        answers = np.empty_like(here)
        answers[order] = here
        return answers

    def add(self, high: Any, first: int, last: int, low: Any = None) -> None:
        """Remember what loads ``first`` to ``last`` inserted."""
        _append(self._uncommitted, _sorted(high, low, first, last))

    def halve(self) -> None:
        """Forget the lower halves."""
        for runs in (self._runs, self._uncommitted):
            runs[:] = [replace(run, low=None) for run in runs]

    def commit(self) -> None:
        """Keep what the landing added."""
        for run in self._uncommitted:
            self._rows += len(run.high)
            _append(self._runs, run)
        self._uncommitted = []
        exact = sum(len(run.high) for run in self._runs)
        while exact > MAX_EXACT_ROWS:
            oldest = self._runs.pop(0)
            exact -= len(oldest.high)
            self._into_sketch(oldest)

    def _into_sketch(self, run: _Run) -> None:
        if self._sketch is None:
            self._sketch, self._sketched_loads = Sketch(), (run.first, run.last)
        self._sketch.add(run.high)
        first, last = self._sketched_loads
        self._sketched_loads = (min(first, run.first), max(last, run.last))

    def rollback(self) -> None:
        """Forget what the landing added."""
        self._uncommitted = []


def _sorted(high: Any, low: Any, first: int, last: int) -> _Run:
    if low is None:
        return _Run(np.sort(high, kind="stable"), None, first, last)
    order = np.argsort(high, kind="stable")
    return _Run(high[order], low[order], first, last)


def _append(runs: list[_Run], run: _Run) -> None:
    """Add a run, and merge runs of like size, so that there are few; never big ones, so that it takes little memory."""
    if not len(run.high):
        return
    runs.append(run)
    while len(runs) > 1:
        a, b = runs[-2:]
        if len(b.high) * 2 < len(a.high) or len(a.high) + len(b.high) > MAX_RUN_ROWS:
            break
        high = np.concatenate((a.high, b.high))
        low = None if a.low is None else np.concatenate((a.low, b.low))
        runs[-2:] = [_sorted(high, low, min(a.first, b.first), max(a.last, b.last))]


def _places(run: Any, high: Any) -> Any:
    """Where in a sorted run each half is, if it is there."""
    places = np.searchsorted(run, high)
    places[places == len(run)] = 0
    return places
