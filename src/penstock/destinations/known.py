"""Which identities a raw table holds, remembered by the process that lands into it."""

from __future__ import annotations

from typing import Any

import numpy as np

MAX_ROWS = 20_000_000
"""Identities remembered: 8 bytes each. A bigger table is asked instead."""

MAX_RUN_ROWS = 1_000_000


class KnownIds:
    """The upper halves of the identities in one table, sorted, so that a batch is looked up in no time.

    A half that is absent proves the record new; one that is present has to be asked for in full. What a landing adds
    counts at once and is forgotten again if the landing is rolled back.
    """

    def __init__(self) -> None:
        self._runs: list[Any] = []
        self._uncommitted: list[Any] = []
        self._rows = 0

    @property
    def overflowed(self) -> bool:
        """Whether the table is too big to be remembered."""
        return self._rows > MAX_ROWS

    def maybe(self, halves: Any) -> Any:
        """For each half (``uint64``), whether the table may hold it; False is certain."""
        found = np.zeros(len(halves), dtype=bool)
        for run in (*self._runs, *self._uncommitted):
            found |= _in_sorted(run, halves)
        return found

    def add(self, halves: Any) -> None:
        """Remember what the open landing inserted."""
        _append(self._uncommitted, np.sort(halves))

    def commit(self) -> None:
        """Keep what the landing added."""
        for run in self._uncommitted:
            self._rows += len(run)
            _append(self._runs, run)
        self._uncommitted = []

    def rollback(self) -> None:
        """Forget what the landing added."""
        self._uncommitted = []


def _append(runs: list[Any], run: Any) -> None:
    """Add a run, and merge runs of like size, so that there are few; never big ones, so that it takes little memory."""
    if not len(run):
        return
    runs.append(run)
    while len(runs) > 1 and len(runs[-1]) * 2 >= len(runs[-2]) and len(runs[-1]) + len(runs[-2]) <= MAX_RUN_ROWS:
        last = runs.pop()
        runs[-1] = np.sort(np.concatenate((runs[-1], last)), kind="stable")


def _in_sorted(run: Any, halves: Any) -> Any:
    places = np.searchsorted(run, halves)
    places[places == len(run)] = 0
    return run[places] == halves
