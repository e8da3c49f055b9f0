"""The warehouse's tables are looked after by the clock, as ``penstock tidy`` does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.logs import bound
from penstock.runs.plan import Occasion, RunPlan
from penstock.runs.tidy import TIDY, tidy
from penstock.up.clocked import Clocked
from penstock.up.schedule_log import ScheduleLog

if TYPE_CHECKING:
    from datetime import datetime

    from penstock.land.loop import Stop
    from penstock.land.session import Session
    from penstock.project import Clock, Project
    from penstock.runs.outcome import Report


class Tidied(Clocked):
    """Looks after all tables in the thread that calls :meth:`run`. What it fails of is told, and nothing else stops."""

    def __init__(self, project: Project, clock: Clock, *, stop: Stop) -> None:
        super().__init__(project, TIDY, clock, stop=stop)
        self._retries = clock.retries
        self._retry_delay = clock.retry_delay

    def perform(self, session: Session, since: datetime | None, moment: datetime) -> Report:
        """All tables, one after the other."""
        del since
        plan = RunPlan(
            kind="schedule",
            retries=self._retries,
            retry_delay=self._retry_delay,
            occasion=Occasion(schedule=TIDY, due=moment),
        )
        with bound(schedule=TIDY):
            self.last = tidy(plan, session, listener=ScheduleLog(self), stop=self._stop)
        self.runs[self.last.status] += 1
        return self.last
