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
from penstock.engine_errors import error_text
from penstock.errors import PenstockError
from penstock.land.session import Session
from penstock.logs import Summary, described, get_log
from penstock.transform.perform import Attempt, Transformer
from penstock.transform.workspace import project_fingerprint
from penstock.troubles import Troubles

if TYPE_CHECKING:
    from penstock.land.loop import Stop
    from penstock.ports import Receipt
    from penstock.project import Project
    from penstock.transform.built import Built
    from penstock.transform.dbt import Node

_log = get_log("transform")

FIRST_BACKOFF_SECONDS = 1.0
LAST_BACKOFF_SECONDS = 60.0
BACKOFF_FACTOR = 8.0
"""The first wait is short, as some failures mend themselves; a broken model stays so until somebody mends it."""
NEWS_SHARE = 0.25
"""How much of the wait is left once something has landed. With none, a stream that never rests would be a failure after
the other."""
_LOOK_SECONDS = 1.0
"""How often the ledger is asked for loads by other processes, and a warehouse that is away, whether it is there."""
_STOP_SECONDS = 0.05
NEWEST = "select coalesce(max(seq), 0) from penstock.loads where landed > 0 or deleted > 0"
"""The newest load that models have to take in."""


@dataclass(slots=True)
class Heard:
    """What the trigger's builds did while somebody listened."""

    nodes: list[Node] = field(default_factory=list)
    error: Exception | None = None


class Trigger(Troubles):
    """Builds in the thread that calls :meth:`run`, one build at a time; everything else may be used from any thread.

    A build starts ``debounce_seconds`` after the last commit, or ``debounce_most_seconds`` after the first. One that
    fails is tried again after 1 s, 8 s, and then each 60 s: when something has landed, after a quarter of that, and at
    once when dbt's files have changed. When it failed because the warehouse is away, it is tried again as soon as that
    is back. Landing does not wait for it. dbt reads the project at the start, so that the first load need not wait.
    ``on_built`` is called after each build, with the seconds it took and the rows it wrote.
    """

    def __init__(
        self, project: Project, *, stop: Stop, on_built: Callable[[float, int], None] = lambda _, __: None
    ) -> None:
        assert project.transform is not None
        self.builds = 0
        """Builds that went well."""
        self.failures = 0
        self.failed_run: int | None = None
        """Which run the last build that failed was; None when it did not come so far."""
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
        self._failed_at = 0.0
        self._rest = 0.0
        self._news = False
        self._away = False
        self._failed_attempt = Attempt()
        self._backoff = Backoff(FIRST_BACKOFF_SECONDS, LAST_BACKOFF_SECONDS, factor=BACKOFF_FACTOR)
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
                self._news = True
                self._note()

    def run(self) -> None:
        """Build what is not modelled yet, then follow each load, until stopped."""
        with Session(self._project) as session:
            every = timedelta(seconds=self._settings.test_every_seconds)
            transformer = Transformer(session, following=True, test_every=every, wait=self._stop.wait)
            try:
                self._warm(transformer)
                with self._lock:
                    self._note()
                while self._wait(session):
                    self._build(transformer, session)
            finally:
                self._summary.flush()
                transformer.close()

    def _warm(self, transformer: Transformer) -> None:
        """Have dbt read the project; what is wrong with it, the first build says."""
        try:
            transformer.warm()
        except Exception as e:  # noqa: BLE001 - as with a build
            _log.warning("the models cannot be read", **described(e))

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
                    self._first, self._news = None, False
                    return True
                self._lock.wait(min(_STOP_SECONDS, due - now) if due is not None else _STOP_SECONDS)
            if now - looked > _LOOK_SECONDS:
                looked = now
                if self._away:
                    self._look_for_warehouse(session)
                elif due is None:
                    self._look(session)
                elif self._failed_attempt.fingerprint and now < self._failed_at + self._rest:
                    self._look_for_news(session)
        return False

    def _due(self) -> float | None:
        if self._first is None or self._away:
            return None
        settings = self._settings
        quiet = min(self._last + settings.debounce_seconds, self._first + settings.debounce_most_seconds)
        return max(quiet, self._failed_at + self._rest * (NEWS_SHARE if self._news else 1.0))

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

    def _look_for_warehouse(self, session: Session) -> None:
        """Notice that the warehouse is back: what waits for it is built at once."""
        if _answers(session):
            self._backoff.reset()
            with self._lock:
                self._away, self._rest = False, 0.0

    def _look_for_news(self, session: Session) -> None:
        """Notice, while a build that failed waits, what it might go well with."""
        tried = self._failed_attempt
        try:
            if project_fingerprint(self._project) != tried.fingerprint:
                self._backoff.reset()
                with self._lock:
                    self._rest = 0.0
            elif not self._news and int(session.destination.query(NEWEST).rows[0][0]) > tried.upper_seq:
                with self._lock:
                    self._news = True
        except (OSError, PenstockError):  # a file that is being written, a warehouse that is away: the next try says it
            session.release()

    def _build(self, transformer: Transformer, session: Session) -> None:
        started = time.monotonic()
        try:
            built = transformer.run()
        except Exception as e:  # noqa: BLE001 - dbt and adapters raise anything; whatever it was, it is tried again
            self._failed(e, session, transformer.attempt)
        else:
            self._built(built, time.monotonic() - started)

    def _built(self, built: Built, seconds: float) -> None:
        for heard in self._listeners:
            heard.nodes += built.nodes
        self.upper_seq = max(self.upper_seq, built.upper_seq)
        self.last_error = ""
        self.succeeded_at = time.time()
        self._rest = 0.0
        self._backoff.reset()
        if built.nodes:
            self.builds += 1
            known = [n.rows for n in built.nodes if n.kind == "model" and n.rows is not None]
            rows = sum(known)
            counts = {
                "models": built.count("model", "success"),
                **({"rows": rows} if known else {}),  # DuckDB's adapter does not say
                "tests": built.count("test") + built.count("unit_test"),
                "seconds": round(seconds, 3),
            }
            self._summary.add("builds", counts, upper_seq=built.upper_seq)
            self._on_built(seconds, rows)

    def _failed(self, error: Exception, session: Session, attempt: Attempt | None = None) -> None:
        self._failed_attempt = attempt or Attempt()
        self.failed_run = self._failed_attempt.run_id
        self.failures += 1
        self.last_error = error_text(error)
        session.release()
        self._away = not _answers(session)
        seconds = self._backoff.next_seconds()
        event = "the build failed; it waits for the warehouse" if self._away else "the build failed"
        _log.error(event, **described(error), again_in_seconds=None if self._away else seconds)
        for heard in self._listeners:
            heard.error = error
        with self._lock:
            self._failed_at, self._rest = time.monotonic(), seconds
            self._note()


def _answers(session: Session) -> bool:
    """Whether the warehouse is there."""
    try:
        session.destination.query("select 1")
    except Exception:  # noqa: BLE001 - a driver may raise its own kinds while a server goes down or comes up
        session.release()
        return False
    return True
