"""Models follow loads: a commit starts a build of what depends on it, and what commits meanwhile is taken together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from penstock.backoff import Backoff
from penstock.errors import PenstockError
from penstock.logs import Summary, described, get_log
from penstock.session import Session
from penstock.transform.transform import Transformer

if TYPE_CHECKING:
    from penstock.ports import Receipt
    from penstock.project import Project
    from penstock.run import Stop
    from penstock.transform.dbt import Node
    from penstock.transform.transform import Built

_log = get_log("transform")

FIRST_BACKOFF_SECONDS = 1.0
LAST_BACKOFF_SECONDS = 60.0
_LOOK_SECONDS = 1.0
"""How often the ledger is asked for loads by other processes."""
_STOP_SECONDS = 0.05
NEWEST = "select coalesce(max(seq), 0) from penstock.loads where landed > 0 or deleted > 0"
"""The newest load that models have to take in."""


@dataclass(slots=True)
class Heard:
    """What the trigger's builds did while somebody listened."""

    nodes: list[Node] = field(default_factory=list)
    error: Exception | None = None


class Trigger:
    """Builds in the thread that calls :meth:`run`, one build at a time; everything else may be used from any thread.

    A build starts ``debounce_seconds`` after the last commit, or ``debounce_most_seconds`` after the first. One that
    fails is tried again after 1 s, 2 s, … 60 s, with what has landed by then; landing does not wait for it.
    ``on_built`` is called after each build, with the seconds it took and the rows it wrote.
    """

    def __init__(
        self, project: Project, *, stop: Stop, on_built: Callable[[float, int], None] = lambda _, __: None
    ) -> None:
        assert project.transform is not None
        self.builds = 0
        """Builds that went well."""
        self.failures = 0
        self.last_error = ""
        """Why the last build failed; empty after one that went well."""
        self.succeeded_at: float | None = None
        """When models were last found or made new, in seconds since 1970."""
        self.upper_seq = 0
        """Loads up to here are modelled."""
        self._project = project
        self._settings = project.transform
        self._stop = stop
        self._on_built = on_built
        self._lock = threading.Condition()
        self._first: float | None = None
        self._last = 0.0
        self._retry_at = 0.0
        self._backoff = Backoff(FIRST_BACKOFF_SECONDS, LAST_BACKOFF_SECONDS)
        self._listeners: list[Heard] = []
        self._summary = Summary(_log, "built", "models built")

    @contextmanager
    def listening(self) -> Iterator[Heard]:
        """Take down what is built during the block."""
        heard = Heard()
        self._listeners.append(heard)
        try:
            yield heard
        finally:
            self._listeners = [other for other in self._listeners if other is not heard]

    def wait_for(self, seq: int, heard: Heard) -> None:
        """Wait until the loads up to ``seq`` are modelled, or all is stopped.

        Raises:
            Exception: that with which a build failed meanwhile. It is tried again all the same.
        """
        heard.error = None
        while self.upper_seq < seq and not self._stop:
            if heard.error is not None:
                raise heard.error
            self._stop.wait(_STOP_SECONDS)

    def landed(self, receipt: Receipt) -> None:
        """Take note of a commit."""
        if receipt.landed or receipt.deleted:
            with self._lock:
                self._note()

    def run(self) -> None:
        """Build what is not modelled yet, then follow each load, until stopped."""
        with Session(self._project) as session:
            every = timedelta(seconds=self._settings.test_every_seconds)
            transformer = Transformer(session, following=True, test_every=every, wait=self._stop.wait)
            try:
                with self._lock:
                    self._note()
                while self._wait(session):
                    self._build(transformer, session)
            finally:
                self._summary.flush()
                transformer.close()

    def _note(self) -> None:
        self._last = time.monotonic()
        self._first = self._last if self._first is None else self._first
        self._lock.notify()

    def _wait(self, session: Session) -> bool:
        """Wait for loads to take in; False when stopped."""
        looked = time.monotonic()
        while not self._stop:
            now = time.monotonic()
            with self._lock:
                due = self._due()
                if due is not None and due <= now:
                    self._first = None
                    return True
                self._lock.wait(min(_STOP_SECONDS, due - now) if due is not None else _STOP_SECONDS)
            if due is None and now - looked > _LOOK_SECONDS:
                looked = now
                self._look(session)
        return False

    def _due(self) -> float | None:
        if self._first is None:
            return None
        settings = self._settings
        quiet = min(self._last + settings.debounce_seconds, self._first + settings.debounce_most_seconds)
        return max(quiet, self._retry_at)

    def _look(self, session: Session) -> None:
        """Notice what other processes have landed."""
        try:
            newest = int(session.destination.query(NEWEST).rows[0][0])
        except PenstockError as e:
            self._failed(e, session)
        else:
            if newest > self.upper_seq:
                with self._lock:
                    self._note()

    def _build(self, transformer: Transformer, session: Session) -> None:
        started = time.monotonic()
        try:
            built = transformer.run()
        except Exception as e:  # noqa: BLE001 - dbt and adapters raise anything; whatever it was, it is tried again
            self._failed(e, session)
        else:
            self._built(built, time.monotonic() - started)

    def _built(self, built: Built, seconds: float) -> None:
        for heard in self._listeners:
            heard.nodes += built.nodes
        self.upper_seq = max(self.upper_seq, built.upper_seq)
        self.last_error = ""
        self.succeeded_at = time.time()
        self._retry_at = 0.0
        self._backoff.reset()
        if built.nodes:
            self.builds += 1
            rows = sum(n.rows or 0 for n in built.nodes if n.kind == "model")
            counts = {
                "models": built.count("model", "success"),
                "rows": rows,
                "tests": built.count("test") + built.count("unit_test"),
                "seconds": round(seconds, 3),
            }
            self._summary.add("builds", counts, upper_seq=built.upper_seq)
            self._on_built(seconds, rows)

    def _failed(self, error: Exception, session: Session) -> None:
        self.failures += 1
        self.last_error = str(error) or type(error).__name__
        seconds = self._backoff.next_seconds()
        _log.error("the build failed", **described(error), again_in_seconds=seconds)
        for heard in self._listeners:
            heard.error = error
        session.release()
        with self._lock:
            self._retry_at = time.monotonic() + seconds
            self._note()
