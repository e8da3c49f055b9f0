"""A circuit breaker: a host that fails again and again is left alone for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half-open"]
Probe = asyncio.Event
"""Set when it has said what it can of the host."""


class CircuitOpen(Exception):
    """No request is sent now; again in ``seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"open for another {seconds:.0f} s")
        self.seconds = seconds


class CircuitBreaker:
    """closed → (so many failures in a row) → open → (some time) → half-open → closed or open again.

    Half-open lets one request through; the others wait for what becomes of it, so that a host that recovers is not
    met by all tasks at once. A request that is cancelled says nothing about the host.
    """

    def __init__(
        self,
        *,
        failures: int,
        open_seconds: float,
        changed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._threshold = failures
        self._open_seconds = open_seconds
        self._changed = changed
        self._clock = clock
        self._opened_at = 0.0
        self._probe: Probe | None = None
        self.state: State = "closed"
        self.failures = 0
        """How many in a row."""

    @property
    def open_seconds(self) -> float:
        """For how long no request will be sent."""
        return max(0.0, self._opened_at + self._open_seconds - self._clock()) if self.state == "open" else 0.0

    async def enter(self) -> Probe | None:
        """Before a request: wait for the outcome of a probe. This request is itself the probe when one is returned;
        give it to the methods below.

        Raises:
            CircuitOpen: no request is to be sent.
        """
        while self.state != "closed":
            if self._probe is not None:
                await self._probe.wait()
            elif (seconds := self.open_seconds) > 0:
                raise CircuitOpen(seconds)
            else:
                self._probe = asyncio.Event()
                self._turn("half-open")
                return self._probe
        return None

    def answered(self, probe: Probe | None) -> None:
        """The host has begun to answer well."""
        if self._settles(probe):
            self.failures = 0
            self._turn("closed")

    def succeeded(self) -> None:
        """A whole answer came."""
        if self.state == "closed":
            self.failures = 0

    def failed(self, probe: Probe | None) -> None:
        """The host did not answer, or not well."""
        settles = self._settles(probe)
        if settles or self.state == "closed":
            self.failures += 1
        if settles or (self.state == "closed" and self.failures >= self._threshold):
            self._opened_at = self._clock()
            self._turn("open")

    def left(self, probe: Probe | None) -> None:
        """After a request, whatever became of it. A probe that was cancelled leaves its part to the next request."""
        if self._settles(probe):
            self._turn("open")

    def _settles(self, probe: Probe | None) -> bool:
        """Whether this is the probe that the others wait for; they wait no longer."""
        if probe is None or probe is not self._probe:
            return False
        self._probe = None
        probe.set()
        return True

    def _turn(self, state: State) -> None:
        if self.state != state:
            self.state = state
            self._changed()
