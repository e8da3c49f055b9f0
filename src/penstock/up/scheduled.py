"""Loads by the clock, and then the models that depend on them."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from penstock.errors import DestinationError, PenstockError
from penstock.ledger.run_records import read_run
from penstock.logs import bound
from penstock.runs.batch import perform
from penstock.runs.plan import Occasion, RunPlan
from penstock.runs.schedules import of_interval
from penstock.up.awaited import awaited_models
from penstock.up.clocked import Clocked
from penstock.up.schedule_log import ScheduleLog

if TYPE_CHECKING:
    from penstock.land.loop import Stop
    from penstock.land.session import Session
    from penstock.ports import Receipt
    from penstock.project import Project
    from penstock.project.steps import LoadStep
    from penstock.runs.outcome import Report
    from penstock.runs.schedules import ScheduledLoads
    from penstock.up.trigger import Trigger


@dataclass(slots=True)
class Request:
    """A wish for a run at once. ``run`` is what the ledger says of it at its end, or ``error`` why there is none."""

    steps: Sequence[LoadStep]
    run: dict[str, Any] | None = None
    error: PenstockError | None = None
    done: threading.Event = field(default_factory=threading.Event)


class Scheduled(Clocked):
    """Runs a schedule of loads in the thread that calls :meth:`run`; :meth:`ask` may be called from any.

    Args:
        on_commit: called after each commit.
        trigger: builds the models; None when there are none.
        now, draw: as :class:`penstock.up.clocked.Clocked` has them.
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
        super().__init__(project, loads.name, loads.schedule, stop=stop, now=now, draw=draw)
        self.loads = loads
        self._schedule = loads.schedule
        self._on_commit = on_commit
        self._trigger = trigger
        self._requests: deque[Request] = deque()

    def ask(self, steps: Sequence[LoadStep]) -> Request:
        """Have these steps run as soon as the run in hand, if there is one, has ended."""
        request = Request(steps)
        with self._wake:
            self._requests.append(request)
            self._wake.notify()
        return request

    @property
    def asked(self) -> bool:
        """Whether somebody has asked for a run."""
        return bool(self._requests)

    def answer(self, session: Session) -> None:
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

    def refuse(self) -> None:
        """Nobody waits for a thread that has ended."""
        while self._requests:
            request = self._requests.popleft()
            request.error = DestinationError(
                f"the run was cut off: {self.last_error or 'penstock up was stopped'}", fix="ask again"
            )
            request.done.set()

    def perform(self, session: Session, since: datetime | None, moment: datetime) -> Report:
        """A run of the loads that are due, and of the models."""
        assert self._schedule is not None
        steps: Sequence[LoadStep] = self.loads.steps
        if self._schedule.data_interval and since is not None:
            steps = of_interval(self._project, steps, since, moment, self._schedule.lookback)
        return self._perform(session, steps, retries=self._schedule.retries, due=moment)

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
