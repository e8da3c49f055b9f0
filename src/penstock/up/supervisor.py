"""A project that is up: performs what :mod:`penstock.up.parts` plans, in one process, and answers for it."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from os import getpid
from typing import TYPE_CHECKING, Any

from penstock.destinations import open_destination
from penstock.doctor.status import read_status
from penstock.errors import DestinationError, LockedError, PenstockError
from penstock.land.session import Session
from penstock.logs import get_log
from penstock.runs.consume import Consumer
from penstock.runs.schedules import named_streams
from penstock.runs.watch import Watcher
from penstock.sql import literal
from penstock.up.alert_part import Alerting
from penstock.up.changed import ChangedFile
from penstock.up.clocked import Clocked
from penstock.up.figures import Figures, LedgerFigures
from penstock.up.keeping import Job, Part
from penstock.up.measured import consumers_of, measure_parts, with_freshness
from penstock.up.parts import PlannedPart, plan_up
from penstock.up.running_process import Running, announce, running_process, withdraw
from penstock.up.scheduled import Scheduled
from penstock.up.serving import Answers, Server, listening
from penstock.up.tidied import Tidied
from penstock.up.trigger import Trigger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.land.loop import Stop
    from penstock.ports import Receipt, Rows
    from penstock.project import Project
    from penstock.up.figures import Values

_log = get_log("up")

GRACE_SECONDS = 10.0
"""How long parts may take to end once they are asked to."""
_LOOK_SECONDS = 0.2


class Supervisor:
    """The parts of a project in one process.

    Args:
        models: whether models follow loads.
        host, port: where the health endpoint listens; the project's own settings when left out.
        on_up: is told where it answers, before any part is started.
    """

    def __init__(
        self,
        project: Project,
        *,
        models: bool,
        stop: Stop,
        host: str | None = None,
        port: int | None = None,
        on_up: Callable[[Running], None] = lambda _: None,
    ) -> None:
        self.figures = Figures()
        self.parts: list[Part] = []
        self.running: Running | None = None
        self._project = project
        self._stop = stop
        self._on_up = on_up
        self._address = (project.up.host, project.up.port)
        self._trigger: Trigger | None = None
        self._schedules: list[Clocked] = []
        self._session = Session(project)
        self._ledger = LedgerFigures(project.name)
        self._asking = threading.Lock()
        self._server: Server | None = None
        self._changed = ChangedFile(project)
        for stream in project.streams:
            self.figures.stream(stream)
        for planned in plan_up(project, models=models, host=host, port=port):
            if planned.address is not None:
                self._address = planned.address
            else:
                self.parts.append(Part(planned.name, self._maker(planned)))
        measure_parts(self.figures, project, self.parts, self._schedules, self._trigger)
        self.figures.measure_all(self._of_ledger)

    def start(self) -> Running:
        """Start everything; returns where it answers.

        Raises:
            LockedError: the project is up already, or another process holds the warehouse.
            UsageError: the address cannot be listened on.
            DestinationError: the warehouse is away.
        """
        other = running_process(self._project)
        if other is not None:
            raise LockedError(
                f"the project is up already, in process {other.pid}",
                where=other.url,
                fix="leave it at that, or stop it with Ctrl-C or SIGTERM",
                pid=other.pid,
            )
        self._forget_schedules()
        token = secrets.token_urlsafe(32)
        answers = Answers(
            unready=self.unready,
            note=self._changed.look,
            metrics=self.figures.page,
            status=self.status,
            query=self._query,
            run=self.run_now,
        )
        host, port = self._address
        self._server = listening(host, port, token, answers)
        near = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
        self.running = Running(
            pid=getpid(), target=self._project.target, host=near, port=self._server.port, token=token
        )
        announce(self._project, self.running)
        self._on_up(self.running)
        for part in self.parts:
            part.start(self._stop)
        return self.running

    def close(self) -> list[str]:
        """Wait for the parts, which have been asked to stop; returns those that have not ended in time."""
        until = time.monotonic() + GRACE_SECONDS
        for part in self.parts:
            if part.thread is not None:
                part.thread.join(max(0.0, until - time.monotonic()))
        if self.running is not None:
            withdraw(self._project)
        if self._server is not None:
            self._server.close()
        late = [p.name for p in self.parts if p.thread is not None and p.thread.is_alive()]
        if not late:
            self._session.close()
        if late:
            # the transactions of what is cut off here are rolled back: the next start does it again
            _log.warning("not waited for any longer", parts=late)
        return late

    def unlanded(self) -> list[Consumer]:
        """The consumers that ended with messages that could not land."""
        return [consumer for _, consumer in consumers_of(self.parts) if consumer.unlanded]

    def unready(self) -> list[str]:
        """Why the process is not ready; empty when it is."""
        reasons = [f"{p.name}: {p.condition}; {p.error}" for p in self.parts if p.condition != "running"]
        for part, consumer in consumers_of(self.parts):
            if part.condition == "running" and not consumer.connected:
                reasons.append(f"{part.name}: not connected; {consumer.last_error}")
        try:
            with self._asking:
                self._session.destination.query("select 1")
        except PenstockError as e:
            self._session.release()
            reasons.append(f"destination: {e.what}")
        return reasons

    def status(self) -> dict[str, Any]:
        """The parts, and the ledger."""
        note = self._changed.look()
        parts = [p.as_dict() for p in self.parts]
        return {"note": note or None, "parts": parts, **read_status(self._project)}

    def look(self) -> None:
        """Log what was changed that the process does not take up."""
        self._changed.look()

    def _query(self, sql: str, parameters: Sequence[Any], read_only: bool) -> Rows:
        destination = open_destination(self._project.destination)
        try:
            return destination.query(sql, parameters, read_only=read_only)
        finally:
            destination.close()

    def run_now(self, streams: Sequence[str]) -> list[dict[str, Any]]:
        """Run what is scheduled at once, of these streams or of all, and wait; the runs as the ledger has them.

        Raises:
            UsageError: no schedule loads that.
            DestinationError: the run was cut off.
        """
        jobs = [job for job in self._schedules if isinstance(job, Scheduled)]
        wanted = named_streams(self._project, [job.loads for job in jobs], streams, up=True)
        by_name = {job.name: job for job in jobs}
        requests = [by_name[loads.name].ask(loads.steps) for loads in wanted]
        runs = []
        for request in requests:
            while not request.done.wait(_LOOK_SECONDS):
                if self._stop:
                    raise DestinationError("the run was cut off: penstock up is being stopped", fix="ask again")
            if request.error is not None:
                raise request.error
            runs += [request.run] if request.run is not None else []
        return runs

    def _forget_schedules(self) -> None:
        """Of schedules that the project has no longer, nothing is due."""
        names = ", ".join(literal(job.name) for job in self._schedules) or "''"
        self._session.destination.query(f"delete from penstock.schedules where schedule not in ({names})")

    def _maker(self, planned: PlannedPart) -> Callable[[], Job]:
        """What makes the job of a part, each time that it is started. Some are made once, and live as long as the
        process: others ask them."""
        project, stop = self._project, self._stop
        job: Job
        match planned.kind:
            case "consumer":
                (step,) = planned.steps
                return lambda: Consumer(
                    project, step.stream, step.source, stop=stop, patient=True, on_commit=self._committed
                )
            case "watcher":
                (step,) = planned.steps
                return lambda: Watcher(project, step.stream, step.source, stop=stop, on_commit=self._committed)
            case "trigger":
                job = self._trigger = Trigger(project, stop=stop, on_built=self.figures.built)
            case "schedule":
                assert planned.loads is not None
                job = loads = Scheduled(
                    project, planned.loads, stop=stop, on_commit=self._committed, trigger=self._trigger
                )
                self._schedules.append(loads)
                if planned.loads.schedule is None:
                    for stream in dict.fromkeys(step.stream for step in planned.steps):
                        _log.warning("it has no schedule, and is loaded by penstock run --now alone", stream=stream)
            case "tidy":
                assert planned.clock is not None
                job = tidied = Tidied(project, planned.clock, stop=stop)
                self._schedules.append(tidied)
            case "alerts":
                job = alerting = Alerting(
                    project, parts=self.parts, schedules=self._schedules, trigger=self._trigger, stop=stop
                )
                self.figures.measure("expectation_ok", alerting.figures)
            case "server":
                raise AssertionError("the server has no job")
        return lambda: job

    def _committed(self, receipt: Receipt) -> None:
        self.figures.committed(receipt)
        if self._trigger is not None:
            self._trigger.landed(receipt)

    def _of_ledger(self) -> Mapping[str, Values]:
        """What the ledger says, and how old models are by it; nothing while the warehouse is away."""
        try:
            with self._asking:
                return with_freshness(self._ledger.read(self._session.destination.query))
        except PenstockError:
            self._session.release()
            return {}
