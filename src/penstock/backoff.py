"""How long to wait before the next attempt at what failed."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Exponential backoff: attempt ``n`` (from 1) is waited for ``first * factor^(n-1)`` seconds, ``last`` at most.

    So that many who lost the same server do not come back at once, it is with ``jitter`` half of that to all of it,
    evenly; with ``added_seconds`` up to so much longer, ``last`` at most.
    """

    def __init__(
        self,
        first_seconds: float,
        last_seconds: float,
        *,
        factor: float = 2.0,
        jitter: bool = False,
        added_seconds: float = 0.0,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._first = self._seconds = min(first_seconds, last_seconds)
        self._last = last_seconds
        self._factor = factor
        self._jitter = jitter
        self._added = added_seconds
        self._draw = draw

    def next_seconds(self) -> float:
        """How long to wait now; the time after, longer by the factor."""
        seconds, self._seconds = self._seconds, min(self._factor * self._seconds, self._last)
        if self._jitter:
            seconds *= self._draw(0.5, 1.0)
        return min(seconds + self._draw(0.0, self._added), self._last) if self._added else seconds

    def reset(self) -> None:
        """It went well: start anew."""
        self._seconds = self._first
