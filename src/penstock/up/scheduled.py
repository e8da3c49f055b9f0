"""Loads by the clock: waits until a schedule is due, loads, and waits for the models; one run at a time, in however
many processes.

What was done is in the ledger: a moment counts as done once its run has ended, well or not. Killed in the middle, it is
missed, and what ``missed:`` says happens at the next start.
"""

from __future__ import annotations

import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from penstock.errors import DestinationError, PenstockError
from penstock.land.session import Session
from penstock.ledger import ledger_sql
from penstock.ledger.run_records import read_run
from penstock.logs import bound
from penstock.runs.batch import perform
from penstock.runs.plan import Occasion, RunPlan
from penstock.runs.schedules import of_interval
from penstock.troubles import Troubles
from penstock.up.awaited import awaited_models
from penstock.up.schedule_log import ScheduleLog
from penstock.up.ticks import due

if TYPE_CHECKING:
    from penstock.land.loop import Stop
    from penstock.ports import Receipt
    from penstock.project import Project
    from penstock.project.steps import LoadStep
    from penstock.runs.outcome import Report
    from penstock.runs.schedules import ScheduledLoads
    from penstock.up.trigger import Trigger

_LOOK_SECONDS = 0.2


@dataclass(slots=True)
class Request:
    """A wish for a run at once. ``run`` is what the ledger says of it at its end, or ``error`` why there is none."""

    steps: Sequence[LoadStep]
    run: dict[str, Any] | None = None
    error: PenstockError | None = None
    done: threading.Event = field(default_factory=threading.Event)


class Scheduled(Troubles):
    """Runs a schedule in the thread that calls :meth:`run`; :meth:`ask` may be called from any.

    Args:
        on_commit: called after each commit.
        trigger: builds the models; None when there are none.
        now: the clock; the warehouse's by default.
        draw: gives a random number between two, for jitter.
    """

    def __init__(
        self,
        project: Project,
        loads: ScheduledLoads,
        *,
        stop: Stop,
        on_commit: Callable[[Receipt], None] = lambda _: None,
        trigger: Trigger | None = None,
        now: Callable[[], datetime] | None = None,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.last: Report | None = None
        """The last run."""
        self.loads = loads
        self.runs: Counter[str] = Counter()
        """Runs by how they ended."""
        self._project = project
        self._schedule = loads.schedule
        self._stop = stop
        self._on_commit = on_commit
        self._trigger = trigger
        self._own_clock = now is None
        self._ahead = timedelta()
        self._now = now or (lambda: datetime.now(UTC) + self._ahead)
        self._draw = draw
        self._requests: deque[Request] = deque()
        self._wake = threading.Condition()
        self._begun = False
        self._last: datetime | None = None
        self._next: datetime | None = None

    def ask(self, steps: Sequence[LoadStep]) -> Request:
        """Have these steps run as soon as the run in hand, if there is one, has ended."""
        request = Request(steps)
        with self._wake:
            self._requests.append(request)
            self._wake.notify()
        return request

    def run(self) -> None:
        """Wait and run until stopped.

        Raises:
            DestinationError: the warehouse is away. Called again, it goes on with what was missed.
        """
        with Session(self._project) as session:
            try:
                while not self._stop:
                    # one process at a time: another one that runs the same schedule may have done what was due
                    with session.destination.claim(self.loads.claim, self._stop.wait) as mine:
                        if mine:
                            self._take_up(session)
                            self._answer(session)
                            for moment in self._due(session):
                                if not self._stop:
                                    self._run_due(session, moment)
                                self._answer(session)
                    session.release()
                    self._wait(self._next)
            finally:
                self._refuse()

    def _take_up(self, session: Session) -> None:
        """Take up what the ledger says: what was done here or by others, and what was cut off."""
        name = self.loads.name
        query = session.destination.query
        if self._own_clock:
            # machines differ about the time; what is due, the warehouse's clock says
            self._ahead = query("select now()").rows[0][0] - datetime.now(UTC)
        query(ledger_sql("cut_off_runs"), [name, self._now()])
        if self._schedule is None:
            return
        kept = query(ledger_sql("schedule"), [name]).rows
        if kept:
            last, _, spec = kept[0]
            # of cron that was changed, what it would have meant before now does not matter
            changed = not self._begun and self._schedule.cron is not None and spec != self._schedule.words
            self._last = self._now() if changed else last
        self._begun = True

    def _due(self, session: Session) -> tuple[datetime, ...]:
        """The moments to run for."""
        if self._schedule is None:
            return ()
        now_due = due(self._schedule, self._last, self._now())
        if (now_due.done, now_due.next) != (self._last, self._next):
            self._last, self._next = now_due.done, now_due.next
            self._keep(session, None)
        return now_due.runs

    def _keep(self, session: Session, run_id: int | None) -> None:
        assert self._schedule is not None
        session.destination.query(
            ledger_sql("keep_schedule"),
            [self.loads.name, self._schedule.words, self._last, self._next, run_id, datetime.now(UTC)],
        )

    def _wait(self, until: datetime | None) -> None:
        """Wait for a moment, a request, or the end."""
        while not self._stop and not self._requests:
            # the clock is looked at again and again: it may be put, and the machine may sleep
            left = _LOOK_SECONDS if until is None else (until - self._now()).total_seconds()
            if left <= 0:
                return
            with self._wake:
                if not self._requests:
                    self._wake.wait(min(_LOOK_SECONDS, left))

    def _answer(self, session: Session) -> None:
        """Do what was asked for."""
        while self._requests and not self._stop:
            with self._wake:
                request = self._requests[0]
            report = self._perform(session, request.steps, manual=True)
            assert report.run_id is not None
            request.run = read_run(session.destination.query, report.run_id)
            self._requests.popleft()
            request.done.set()
            session.release()

    def _refuse(self) -> None:
        """Nobody waits for a thread that has ended."""
        while self._requests:
            request = self._requests.popleft()
            request.error = DestinationError(
                f"the run was cut off: {self.last_error or 'penstock up was stopped'}", fix="ask again"
            )
            request.done.set()

    def _run_due(self, session: Session, moment: datetime) -> None:
        assert self._schedule is not None
        jitter = self._schedule.jitter.total_seconds()
        if jitter and self._stop.wait(self._draw(0.0, jitter)):
            return
        steps: Sequence[LoadStep] = self.loads.steps
        if self._schedule.data_interval and self._last is not None:
            steps = of_interval(self._project, steps, self._last, moment, self._schedule.lookback)
        report = self._perform(session, steps, retries=self._schedule.retries, due=moment)
        # what was being stopped is due again, whatever became of it
        if not self._stop:
            self._last = moment
        self._keep(session, report.run_id)
        session.release()

    def _perform(
        self,
        session: Session,
        steps: Sequence[LoadStep],
        *,
        retries: int = 0,
        due: datetime | None = None,
        manual: bool = False,
    ) -> Report:
        """A run of these steps and of the models."""
        plan = RunPlan(
            kind="schedule",
            loads=steps,
            models=self._trigger is not None,
            retries=retries,
            retry_delay=timedelta() if self._schedule is None else self._schedule.retry_delay,
            occasion=Occasion(schedule=self.loads.name, due=due, manual=manual),
        )
        models = None if self._trigger is None else awaited_models(self._trigger, session)
        with bound(schedule=self.loads.name):
            self.last = perform(plan, session, ScheduleLog(self, self._on_commit), stop=self._stop, models=models)
        self.runs[self.last.status] += 1
        return self.last
