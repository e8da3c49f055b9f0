"""Which identities a raw table holds, remembered by the process that lands into it."""

from __future__ import annotations

from typing import Any

import numpy as np

MAX_ROWS = 20_000_000
"""Identities remembered: 8 bytes each. A bigger table is asked instead."""


class KnownIds:
    """The upper halves of the identities in one table, sorted, so that a batch is looked up in no time.

    A half that is absent proves the record new; one that is present has to be asked for in full. What a landing adds
    counts at once and is forgotten again if the landing is rolled back.
    """

    def __init__(self) -> None:
        self._main = np.empty(0, dtype=np.uint64)
        self._recent: list[Any] = []
        self._recent_rows = 0
        self._uncommitted: list[Any] = []
        self.overflowed = False

    def maybe(self, halves: Any) -> Any:
        """For each half (``uint64``), whether the table may hold it; False is certain."""
        found = _in_sorted(self._main, halves)
        for run in (*self._recent, *self._uncommitted):
            found |= _in_sorted(run, halves)
        return found

    def add(self, halves: Any) -> None:
        """Remember what the open landing inserted."""
        if len(halves):
            self._uncommitted.append(np.sort(halves))
        if len(self._uncommitted) > 8:
            self._uncommitted = [np.sort(np.concatenate(self._uncommitted))]

    def commit(self) -> None:
        """Keep what the landing added."""
        self._recent += self._uncommitted
        self._recent_rows += sum(map(len, self._uncommitted))
        self._uncommitted = []
        if len(self._recent) > 8 or self._recent_rows > len(self._main) // 4:
            if self._recent_rows < len(self._main) // 16:
                self._recent = [np.sort(np.concatenate(self._recent))]
            else:
                self._main = np.sort(np.concatenate((self._main, *self._recent)), kind="stable")
                self._recent, self._recent_rows = [], 0
        self.overflowed = len(self._main) + self._recent_rows > MAX_ROWS

    def rollback(self) -> None:
        """Forget what the landing added."""
        self._uncommitted = []


def _in_sorted(run: Any, halves: Any) -> Any:
    if not len(run):
        return np.zeros(len(halves), dtype=bool)
    places = np.searchsorted(run, halves)
    places[places == len(run)] = 0
    return run[places] == halves
