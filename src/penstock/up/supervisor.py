"""Keeps the parts of ``penstock up`` alive: a consumer for each queue, a watcher for each folder, a
thread for each schedule, the trigger."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from os import getpid
from typing import TYPE_CHECKING, Any

from penstock.alerts.subjects import part_of_load, part_of_schedule
from penstock.backoff import Backoff
from penstock.destinations import open_destination
from penstock.doctor.status import read_status
from penstock.engine_errors import error_text
from penstock.errors import DestinationError, LockedError, PenstockError, UsageError
from penstock.land.session import Session
from penstock.lineage.emitter import counted
from penstock.logs import described, get_log
from penstock.runs.consume import Consumer
from penstock.runs.plan import named_streams, plan_loads, plan_schedules
from penstock.runs.watch import Watcher
from penstock.sources.http import tally
from penstock.sources.http.standing import read_standing
from penstock.sql import literal
from penstock.up.alerting import Alerting
from penstock.up.changed import ChangedFile
from penstock.up.figures import Figures, LedgerFigures
from penstock.up.metrics import PREFIX
from penstock.up.parts import Job
from penstock.up.running import Running, announce, running_process, withdraw
from penstock.up.scheduled import Scheduled
from penstock.up.serving import Answers, Server
from penstock.up.trigger import Trigger

if TYPE_CHECKING:
    from penstock.land.loop import Stop
    from penstock.ports import Receipt, Rows
    from penstock.project import Project
    from penstock.project.steps import LoadStep
    from penstock.up.figures import Values

_log = get_log("up")

FIRST_BACKOFF_SECONDS = 1.0
LAST_BACKOFF_SECONDS = 60.0
GRACE_SECONDS = 10.0
"""How long parts may take to end once they are asked to."""
_LOOK_SECONDS = 0.2
_STEADY_SECONDS = 60.0
"""A part that lived so long is restarted as if it were the first time."""


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
        self._host = project.up.host if host is None else host
        self._port = project.up.port if port is None else port
        self._trigger: Trigger | None = None
        self._session = Session(project)
        self._ledger = LedgerFigures(project.name)
        self._asking = threading.Lock()
        self._server: Server | None = None
        planned = plan_schedules(project)
        scheduled = {step for loads in planned for step in loads.steps}
        for step in plan_loads(project):
            self._add(step, scheduled)
        for stream in dict.fromkeys(s.stream for p in planned if p.schedule is None for s in p.steps):
            _log.warning("it has no schedule, and is loaded by penstock run --now alone", stream=stream)
        if models:
            self._trigger = trigger = Trigger(project, stop=stop, on_built=self.figures.built)
            self.parts.append(Part("trigger", lambda: trigger))
        self._schedules = [
            Scheduled(project, loads, stop=stop, on_commit=self._committed, trigger=self._trigger) for loads in planned
        ]
        for job in self._schedules:
            name = part_of_schedule(job.loads)
            self.parts.append(Part(name, lambda job=job: job))  # type: ignore[misc]  # it cannot tell the default's type
        self._changed = ChangedFile(project)
        self._alerting = alerting = Alerting(
            project, parts=self.parts, schedules=self._schedules, trigger=self._trigger, stop=stop
        )
        self.parts.append(Part("alerts", lambda: alerting))
        self._measure()

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
        try:
            self._server = Server(self._host, self._port, token, answers)
        except OSError as e:
            raise UsageError(
                f"cannot listen: {e}", where=f"{self._host}:{self._port}", fix="choose another with --host or --port"
            ) from None
        near = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104
        self.running = Running(
            pid=getpid(), target=self._project.target, host=near, port=self._server.port, token=token
        )
        announce(self._project, self.running)
        self._on_up(self.running)
        for part in self.parts:
            part.thread = threading.Thread(target=self._keep, args=(part,), name=part.name, daemon=True)
            part.thread.start()
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
        return [consumer for _, consumer in self._consumers() if consumer.unlanded]

    def unready(self) -> list[str]:
        """Why the process is not ready; empty when it is."""
        reasons = [f"{p.name}: {p.condition}; {p.error}" for p in self.parts if p.condition != "running"]
        for part, consumer in self._consumers():
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

    def _query(self, sql: str, read_only: bool) -> Rows:
        destination = open_destination(self._project.destination)
        try:
            return destination.query(sql, read_only=read_only)
        finally:
            destination.close()

    def run_now(self, streams: Sequence[str]) -> list[dict[str, Any]]:
        """Run what is scheduled at once, of these streams or of all, and wait; the runs as the ledger has them.

        Raises:
            UsageError: no schedule loads that.
            DestinationError: the run was cut off.
        """
        wanted = named_streams(self._project, [job.loads for job in self._schedules], streams, up=True)
        by_name = {job.loads.name: job for job in self._schedules}
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
        names = ", ".join(literal(job.loads.name) for job in self._schedules) or "''"
        self._session.destination.query(f"delete from penstock.schedules where schedule not in ({names})")

    def _add(self, step: LoadStep, scheduled: Container[LoadStep]) -> None:
        stream, source = step.stream, step.source

        def consumer() -> Job:
            return Consumer(self._project, stream, source, stop=self._stop, patient=True, on_commit=self._committed)

        def watcher() -> Job:
            return Watcher(self._project, stream, source, stop=self._stop, on_commit=self._committed)

        if step not in scheduled:
            make = watcher if self._project.sources[source].ends else consumer
            self.parts.append(Part(part_of_load(self._project, step), make))
        self.figures.stream(stream)

    def _committed(self, receipt: Receipt) -> None:
        self.figures.committed(receipt)
        if self._trigger is not None:
            self._trigger.landed(receipt)

    def _keep(self, part: Part) -> None:
        """Run a part until all is stopped."""
        backoff = Backoff(FIRST_BACKOFF_SECONDS, LAST_BACKOFF_SECONDS)
        while not self._stop:
            started = time.monotonic()
            error: Exception | None = None
            part.become("running")
            try:
                part.job = part.make()
                part.job.run()
                part.last_error = "" if self._stop else "it ended by itself"
            except Exception as e:  # noqa: BLE001 - whatever a part dies of, the others live on and it is started again
                error, part.last_error = e, error_text(e)
            if self._stop:
                break
            if time.monotonic() - started > _STEADY_SECONDS:
                backoff.reset()
                part.deaths = 0
            part.restarts += 1
            part.deaths += 1
            part.become("waiting")
            seconds = backoff.next_seconds()
            said = {"error": part.last_error} if error is None else described(error)
            _log.error(
                "a part failed, and is started again",
                part=part.name, **said, restarts=part.restarts, again_in_seconds=seconds,
            )  # fmt: skip
            self._stop.wait(seconds)
        part.become("stopped")

    def _consumers(self) -> list[tuple[Part, Consumer]]:
        return [(p, p.job) for p in self.parts if isinstance(p.job, Consumer)]

    def _measure(self) -> None:
        figures, measure = self.figures, self.figures.measure
        figures.project(self._project)
        measure("lag_messages", self._lag)
        measure("lag_seconds", self._lag_seconds)
        measure("source_connected", lambda: {(c.stream, c.source): float(c.connected) for _, c in self._consumers()})
        measure("reconnects_total", lambda: {(c.stream, c.source): float(c.reconnects) for _, c in self._consumers()})
        measure(
            "messages_received_total", lambda: {(c.stream, c.source): float(c.received) for _, c in self._consumers()}
        )
        measure("http_requests_total", lambda: {labels: float(n) for labels, n in tally.requests().items()})
        measure("http_retries_total", lambda: {(source,): float(n) for source, n in tally.retries().items()})
        measure("http_breaker_open", self._breakers)
        measure("part_restarts_total", lambda: {(p.name,): float(p.restarts) for p in self.parts})
        measure("part_up", lambda: {(p.name,): float(p.condition == "running") for p in self.parts})
        measure(
            "landing_blocked",
            lambda: {(c.stream, c.source): float(c.state == "blocked") for _, c in self._consumers()},
        )
        measure(
            "scheduled_runs_total",
            lambda: {(j.loads.name, s): float(n) for j in self._schedules for s, n in dict(j.runs).items()},
        )
        measure("expectation_ok", self._alerting.figures)
        if (trigger := self._trigger) is not None:
            measure("transform_failures_total", lambda: {(): float(trigger.failures)})
            measure(
                "transform_last_success_timestamp_seconds",
                lambda: {} if trigger.succeeded_at is None else {(): trigger.succeeded_at},
            )
        measure("lineage_events_total", lambda: {(o,): float(n) for o, n in counted().items()})
        figures.measure_all(self._of_ledger)

    def _breakers(self) -> Mapping[tuple[str, ...], float]:
        hosts = read_standing(self._project.directory, self._project.sources)
        return {(h["source"], h["host"]): float(h["breaker"] == "open") for h in hosts}

    def _lag(self) -> Mapping[tuple[str, ...], float]:
        lags = {(c.stream, c.source): c.lag() for _, c in self._consumers()}
        return {labels: float(lag) for labels, lag in lags.items() if lag is not None}

    def _lag_seconds(self) -> Mapping[tuple[str, ...], float]:
        now = time.time()
        found: dict[tuple[str, ...], float] = {}
        for part, consumer in self._consumers():
            lag = consumer.lag()
            if lag is not None:
                since = consumer.last_commit_at or part.since.timestamp()
                found[consumer.stream, consumer.source] = max(0.0, now - since) if lag else 0.0
        return found

    def _of_ledger(self) -> Mapping[str, Values]:
        """What the ledger says, and how old models are by it; nothing while the warehouse is away."""
        try:
            with self._asking:
                found = self._ledger.read(self._session.destination.query)
        except PenstockError:
            self._session.release()
            return {}
        now = time.time()
        loaded = found[f"{PREFIX}model_loaded_timestamp_seconds"]
        freshness: Values = {(model,): max(0.0, now - at) for (_, model), at in loaded.items()}
        return {**found, f"{PREFIX}model_freshness_seconds": freshness}
