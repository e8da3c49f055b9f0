"""What is done by the clock: waits until it is due, does it, and waits again; one run at a time, in however many
processes.

What was done is in the ledger: a moment counts as done once its run has ended, well or not. Killed in the middle, it is
missed, and what ``missed:`` says happens at the next start.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from penstock.land.session import Session
from penstock.ledger import ledger_sql
from penstock.runs.schedules import claim_of
from penstock.troubles import Troubles
from penstock.up.ticks import due

if TYPE_CHECKING:
    from penstock.land.loop import Stop
    from penstock.project import Clock, Project
    from penstock.runs.outcome import Report

_LOOK_SECONDS = 0.2


class Clocked(Troubles):
    """Runs by a clock in the thread that calls :meth:`run`. What a run does, :meth:`perform` says.

    Args:
        name: the name of the schedule.
        clock: when it is due; None when only something else has it run.
        now: the time; the warehouse's by default.
        draw: gives a random number between two, for jitter.
    """

    def __init__(
        self,
        project: Project,
        name: str,
        clock: Clock | None,
        *,
        stop: Stop,
        now: Callable[[], datetime] | None = None,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.name = name
        self.last: Report | None = None
        """The last run."""
        self.runs: Counter[str] = Counter()
        """Runs by how they ended."""
        self._project = project
        self._clock = clock
        self._stop = stop
        self._own_clock = now is None
        self._ahead = timedelta()
        self._now = now or (lambda: datetime.now(UTC) + self._ahead)
        self._draw = draw
        self._wake = threading.Condition()
        self._begun = False
        self._last: datetime | None = None
        self._next: datetime | None = None

    def run(self) -> None:
        """Wait and run until stopped.

        Raises:
            DestinationError: the warehouse is away. Called again, it goes on with what was missed.
        """
        with Session(self._project) as session:
            try:
                while not self._stop:
                    # one process at a time: another one that runs the same schedule may have done what was due
                    with session.destination.claim(claim_of(self.name), self._stop.wait) as mine:
                        if mine:
                            self._take_up(session)
                            self.answer(session)
                            for moment in self._due(session):
                                if not self._stop:
                                    self._run_due(session, moment)
                                self.answer(session)
                    session.release()
                    self._wait(self._next)
            finally:
                self.refuse()

    def perform(self, session: Session, since: datetime | None, moment: datetime) -> Report:
        """Do what is due at a moment; ``since`` is the moment that was done before it. The report is :attr:`last`."""
        raise NotImplementedError

    @property
    def asked(self) -> bool:
        """Whether something else than the clock asks for a run."""
        return False

    def answer(self, session: Session) -> None:
        """Do what was asked for."""

    def refuse(self) -> None:
        """The thread ends: nobody does what is still asked for."""

    def _take_up(self, session: Session) -> None:
        """Take up what the ledger says: what was done here or by others, and what was cut off."""
        query = session.destination.query
        if self._own_clock:
            # machines differ about the time; what is due, the warehouse's clock says
            self._ahead = query("select now()").rows[0][0] - datetime.now(UTC)
        query(ledger_sql("cut_off_runs"), [self.name, self._now()])
        if self._clock is None:
            return
        kept = query(ledger_sql("schedule"), [self.name]).rows
        if kept:
            last, _, spec = kept[0]
            # of cron that was changed, what it would have meant before now does not matter
            changed = not self._begun and self._clock.cron is not None and spec != self._clock.words
            self._last = self._now() if changed else last
        self._begun = True

    def _due(self, session: Session) -> tuple[datetime, ...]:
        """The moments to run for."""
        if self._clock is None:
            return ()
        now_due = due(self._clock, self._last, self._now())
        if (now_due.done, now_due.next) != (self._last, self._next):
            self._last, self._next = now_due.done, now_due.next
            self._keep(session, None)
        return now_due.runs

    def _keep(self, session: Session, run_id: int | None) -> None:
        assert self._clock is not None
        session.destination.query(
            ledger_sql("keep_schedule"),
            [self.name, self._clock.words, self._last, self._next, run_id, datetime.now(UTC)],
        )

    def _wait(self, until: datetime | None) -> None:
        """Wait for a moment, a request, or the end."""
        while not self._stop and not self.asked:
            # the clock is looked at again and again: it may be put, and the machine may sleep
            left = _LOOK_SECONDS if until is None else (until - self._now()).total_seconds()
            if left <= 0:
                return
            with self._wake:
                if not self.asked:
                    self._wake.wait(min(_LOOK_SECONDS, left))

    def _run_due(self, session: Session, moment: datetime) -> None:
        assert self._clock is not None
        jitter = self._clock.jitter.total_seconds()
        if jitter and self._stop.wait(self._draw(0.0, jitter)):
            return
        report = self.perform(session, self._last, moment)
        # what was being stopped is due again, whatever became of it
        if not self._stop:
            self._last = moment
        self._keep(session, report.run_id)
        session.release()
