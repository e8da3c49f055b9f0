"""Keeps one part of ``penstock up`` alive: what it does is started again, ever later, until all is stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from penstock.backoff import Backoff
from penstock.engine_errors import error_text
from penstock.logs import described, get_log
from penstock.runs.consume import Consumer

if TYPE_CHECKING:
    from penstock.land.loop import Stop

_log = get_log("up")

FIRST_BACKOFF_SECONDS = 1.0
LAST_BACKOFF_SECONDS = 60.0
_STEADY_SECONDS = 60.0
"""A part that lived so long is restarted as if it were the first time."""


class Job(Protocol):
    """What a part does: runs in its thread until it is stopped, or fails."""

    def run(self) -> None:
        """Return once stopped."""
        ...


@dataclass(slots=True)
class Part:
    """One part, and how it fares. ``state`` is ``running``, ``waiting`` to be restarted, or ``stopped``; what keeps it
    from its work while it runs is in :attr:`condition`. ``deaths`` are those in a row, each soon after the start."""

    name: str
    make: Callable[[], Job]
    state: str = "stopped"
    restarts: int = 0
    deaths: int = 0
    last_error: str = ""
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    failed_at: datetime | None = None
    job: Job | None = None
    thread: threading.Thread | None = None

    def start(self, stop: Stop) -> None:
        """Keep it alive in a thread of its own until all is stopped."""
        self.thread = threading.Thread(target=self._keep, args=(stop,), name=self.name, daemon=True)
        self.thread.start()

    def become(self, state: str) -> None:
        """Change the state."""
        self.state, self.since = state, datetime.now(UTC)
        if state not in ("running", "stopped"):
            self.failed_at = self.since

    @property
    def condition(self) -> str:
        """The state. A part that runs is ``waiting`` while the warehouse is away, and ``blocked`` while somebody has to
        mend something."""
        return str(getattr(self.job, "state", self.state)) if self.state == "running" else self.state

    @property
    def error(self) -> str:
        """What the part itself struggles with, or the error of the last restart."""
        return getattr(self.job, "last_error", "") or self.last_error

    def as_dict(self) -> dict[str, Any]:
        """As plain data. Once the part has done well for a while, an error that it had is in the log alone."""
        error, at, well = self.error, self.failed_at, self.state == "running"
        if getattr(self.job, "last_error", ""):
            at, well = getattr(self.job, "last_error_at", None), isinstance(self.job, Consumer) and self.job.well
        if well and at is not None and (datetime.now(UTC) - at).total_seconds() > _STEADY_SECONDS:
            error = ""
        return {
            "part": self.name,
            "state": self.condition,
            "restarts": self.restarts,
            "since": self.since,
            "last_error": error,
            "last_error_at": at if error else None,
        }

    def _keep(self, stop: Stop) -> None:
        backoff = Backoff(FIRST_BACKOFF_SECONDS, LAST_BACKOFF_SECONDS)
        while not stop:
            started = time.monotonic()
            error: Exception | None = None
            self.become("running")
            try:
                self.job = self.make()
                self.job.run()
                self.last_error = "" if stop else "it ended by itself"
            except Exception as e:  # noqa: BLE001 - whatever a part dies of, the others live on and it is started again
                error, self.last_error = e, error_text(e)
            if stop:
                break
            if time.monotonic() - started > _STEADY_SECONDS:
                backoff.reset()
                self.deaths = 0
            self.restarts += 1
            self.deaths += 1
            self.become("waiting")
            seconds = backoff.next_seconds()
            detail = {"error": self.last_error} if error is None else described(error)
            _log.error(
                "a part failed, and is started again",
                part=self.name, **detail, restarts=self.restarts, again_in_seconds=seconds,
            )  # fmt: skip
            stop.wait(seconds)
        self.become("stopped")
