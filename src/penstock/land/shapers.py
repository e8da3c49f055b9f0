"""The shapers of a stream: one for each batch that is shaped at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from penstock.system import cores

if TYPE_CHECKING:
    from penstock.ports import Batch, Shaped, Window
    from penstock.schema import Schema
    from penstock.shape.rejects import Refused
    from penstock.shape.shaper import Shaper

MOST_AT_ONCE = 8
"""However many cores there are: reading and writing, which take one batch after the other, keep no more at work."""


class Shapes(Protocol):
    """Shapes batches, some of them at once."""

    @property
    def at_once(self) -> int:
        """How many threads may call :meth:`shape` at a time."""
        ...

    def shape(
        self, batch: Batch, schema: Schema, window: Window | None = None, refused: Refused | None = None, /
    ) -> Shaped:
        """See :meth:`penstock.shape.shaper.Shaper.shape`."""
        ...


class Shapers:
    """As many shapers as there are cores, up to eight, each made when those before it are all at work.

    Args:
        make: makes one, which uses one thread.
    """

    def __init__(self, make: Callable[[], Shaper], *, at_once: int | None = None) -> None:
        self.at_once = min(cores(), MOST_AT_ONCE) if at_once is None else at_once
        self._make = make
        self._changing = threading.Lock()
        self._all: list[Shaper] = []
        self._free: list[Shaper] = []

    def shape(
        self, batch: Batch, schema: Schema, window: Window | None = None, refused: Refused | None = None, /
    ) -> Shaped:
        """Shape a batch by a shaper that is free."""
        with self._changing:
            if not self._free:
                self._free.append(self._make())
                self._all.append(self._free[-1])
            shaper = self._free.pop()
        try:
            return shaper.shape(batch, schema, window, refused)
        finally:
            with self._changing:
                self._free.append(shaper)

    def close(self) -> None:
        """Free their memory."""
        for shaper in self._all:
            shaper.close()
        self._all, self._free = [], []
