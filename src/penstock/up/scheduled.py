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
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from penstock.engine_errors import error_text
from penstock.errors import DestinationError, PenstockError
from penstock.faults import fault_point
from penstock.land.session import Session
from penstock.ledger import ledger_sql
from penstock.ledger.runs import RunRecord, RunStep, read_run
from penstock.lineage import lineage_of
from penstock.logs import bound, described, get_log
from penstock.runs.plan import of_interval
from penstock.transform.outcome import node_step
from penstock.troubles import Troubles
from penstock.up.ticks import due
from penstock.up.trigger import NEWEST

if TYPE_CHECKING:
    from penstock.land.loop import Stop
    from penstock.ports import Receipt
    from penstock.project import Project
    from penstock.project.steps import LoadStep
    from penstock.runs.plan import ScheduledLoads
    from penstock.up.trigger import Heard, Trigger

_log = get_log("schedule")

_LOOK_SECONDS = 0.2


@dataclass(slots=True)
class Request:
    """A wish for a run at once. ``run`` is what the ledger says of it at its end, or ``error`` why there is none."""

    steps: Sequence[LoadStep]
    run: dict[str, Any] | None = None
    error: PenstockError | None = None
    done: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run that has ended; ``error`` is None when it went well. ``manual`` says that somebody asked for it."""

    run_id: int
    status: str
    manual: bool
    error: Exception | None


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
        self.last: Ended | None = None
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
        query(ledger_sql("cut_off_runs", text="text"), [f'%"schedule": "{name}"%', self._now(), name])
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
        found = due(self._schedule, self._last, self._now())
        if (found.done, found.next) != (self._last, self._next):
            self._last, self._next = found.done, found.next
            self._keep(session, None)
        return found.runs

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
            run_id, _ = self._perform(session, request.steps, retries=0, manual=True)
            request.run = read_run(session.destination.query, run_id)
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
        run_id, status = self._perform(session, steps, retries=self._schedule.retries, due=moment)
        if status != "stopped":
            self._last = moment
        self._keep(session, run_id)
        session.release()

    def _perform(
        self,
        session: Session,
        steps: Sequence[LoadStep],
        *,
        retries: int,
        due: datetime | None = None,
        manual: bool = False,
    ) -> tuple[int, str]:
        """A run: the steps, those that failed again, and the models; its id and its status."""
        delay = self._schedule.retry_delay if self._schedule is not None else timedelta()
        record = RunRecord.begin(
            session.destination,
            "schedule",
            schedule=self.loads.name,
            due=None if due is None else due.isoformat(),
            manual=manual,
        )
        fault_point("scheduled_run")
        telling = lineage_of(self._project)
        with (
            bound(run_id=record.run_id, schedule=self.loads.name),
            telling.run(f"schedule.{self.loads.name.replace(' ', '.')}", due=due) as told,
        ):
            streams = list(dict.fromkeys(step.stream for step in steps))
            _log.info("run started", due=None if due is None else due.isoformat(), manual=manual, streams=streams)
            started = self._now()
            status, attempts, error = self._attempts(session, record, steps, retries, delay)
            record.end(status, attempts=attempts)
            told.error, told.stopped = error, status == "stopped"
            self.runs[status] += 1
            self.last = Ended(run_id=record.run_id, status=status, manual=manual, error=error)
            said = {"status": status, "attempts": attempts, "seconds": (self._now() - started).total_seconds()}
            if status == "error" and error is not None:
                _log.error("run failed", **said, **described(error))
            else:
                _log.info("run ended", **said)
        return record.run_id, status

    def _attempts(
        self, session: Session, record: RunRecord, steps: Sequence[LoadStep], retries: int, delay: timedelta
    ) -> tuple[str, int, Exception | None]:
        """The steps, and again those that failed; how it ended, at which attempt, and why."""
        attempt, left = 1, list(steps)
        while True:
            with nullcontext() if self._trigger is None else self._trigger.listening() as heard:
                left, error = self._load(session, record, left, attempt)
                if heard is not None and error is None and not self._stop:
                    error = self._model(session, record, heard, attempt)
            self.last_error = "" if error is None else error_text(error)
            if self._stop or error is None or attempt > retries:
                break
            session.release()
            _log.warning("attempt failed", attempt=attempt, **described(error), again_in_seconds=delay.total_seconds())
            self._stop.wait(delay.total_seconds())
            if self._stop:
                break
            attempt += 1
        return "stopped" if self._stop else "success" if error is None else "error", attempt, error

    def _load(
        self, session: Session, record: RunRecord, steps: Sequence[LoadStep], attempt: int
    ) -> tuple[list[LoadStep], Exception | None]:
        """Perform load steps; those that failed, and why the first did."""
        failed: list[LoadStep] = []
        error: Exception | None = None
        for step in steps:
            if self._stop:
                break
            try:
                with record.step("load", step.stream, step.source, attempt) as entry:

                    def committed(receipt: Receipt, entry: RunStep = entry) -> None:
                        entry.committed(receipt)
                        self._on_commit(receipt)

                    landed = session.load(step, stop=self._stop, on_commit=committed)
                    entry.ended(landed.failure, stopped=landed.stopped)
                for text in landed.warnings:
                    _log.warning("the project file may be mistaken", stream=step.stream, detail=text)
                if landed.failure is not None:
                    failed.append(step)
                    error = error or landed.failure
            except Exception as e:  # noqa: BLE001 - whatever a load dies of, it is tried again and the others go on
                failed.append(step)
                error = error or e
        return failed, error

    def _model(self, session: Session, record: RunRecord, heard: Heard, attempt: int) -> Exception | None:
        """Wait until what has landed is modelled."""
        assert self._trigger is not None
        newest = int(session.destination.query(NEWEST).rows[0][0])
        try:
            self._trigger.wait_for(newest, heard)
        except Exception as e:  # noqa: BLE001 - as the trigger has it
            failed = RunStep(kind="transform", name="dbt", attempt=attempt)
            failed.failed(e)
            record.keep(*_tried(heard, attempt), failed)
            return e
        record.keep(*_tried(heard, attempt))
        return None


def _tried(heard: Heard, attempt: int) -> list[RunStep]:
    """The nodes that were built, each as it ended last: there may have been several builds."""
    steps = [node_step(node) for node in {(node.kind, node.name): node for node in heard.nodes}.values()]
    for step in steps:
        step.attempt = attempt
    return steps
