"""A run: load steps, then models, with one way to fail and one record in the ledger, whoever calls it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from penstock.engine_errors import error_text
from penstock.errors import DestinationError, LockedError, PenstockError, RejectedRows, together
from penstock.land.loop import Stop
from penstock.ledger.runs import RunRecord
from penstock.lineage import lineage_of
from penstock.logs import bound
from penstock.runs.plan import ending, left_to_consume, plan_loads

if TYPE_CHECKING:
    from penstock.land.loop import Landed
    from penstock.land.session import Session
    from penstock.ledger.runs import RunStep
    from penstock.ports import Batch, Receipt, Window
    from penstock.project import Project
    from penstock.project.steps import LoadStep
    from penstock.transform.outcome import Built

UNBUILT = "models were not built, since the warehouse is away"

Status = Literal["success", "error", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """The schedule that a run belongs to: ``due`` is the moment it is for, ``manual`` says that somebody asked."""

    schedule: str
    due: datetime | None = None
    manual: bool = False

    @property
    def detail(self) -> dict[str, Any]:
        """As the ledger has it."""
        due = None if self.due is None else self.due.isoformat()
        return {"schedule": self.schedule, "due": due, "manual": self.manual}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """What a run is to do: the ``loads`` one after another, then models, of one ``layer`` or all, or those that dbt's
    selectors choose.

    ``warnings`` say in a sentence each what was asked for and is left out. What fails is tried ``retries`` times more,
    ``retry_delay`` apart.
    """

    kind: str = "run"
    loads: Sequence[LoadStep] = ()
    models: bool = False
    full_refresh: bool = False
    layer: str | None = None
    select: Sequence[str] = ()
    exclude: Sequence[str] = ()
    warnings: Sequence[str] = ()
    retries: int = 0
    retry_delay: timedelta = timedelta()
    occasion: Occasion | None = None

    @property
    def job(self) -> str:
        """The name of such runs in lineage."""
        return self.kind if self.occasion is None else f"schedule.{self.occasion.schedule.replace(' ', '.')}"


@dataclass(slots=True, kw_only=True)
class StepReport:
    """What became of a load step: what it ``landed``, or the ``error`` for which it landed nothing more."""

    step: LoadStep
    attempt: int = 1
    seconds: float = 0.0
    landed: Landed | None = None
    error: Exception | None = None

    @property
    def failures(self) -> list[Exception]:
        """All that went wrong."""
        if self.error is not None:
            return [self.error]
        return [] if self.landed is None else list(self.landed.failures)


@dataclass(slots=True, kw_only=True)
class Report:
    """What a run did. ``run_id`` is its number in the ledger; None for models alone, which are a run of their own.

    ``loads`` has every step as it was tried, ``built`` what dbt did, or ``unbuilt`` why it was not asked, ``failures``
    what the last attempt failed of.
    """

    plan: RunPlan
    run_id: int | None = None
    status: Status = "success"
    attempts: int = 1
    loads: list[StepReport] = field(default_factory=list)
    built: Built | None = None
    unbuilt: str = ""
    failures: list[Exception] = field(default_factory=list)

    @property
    def error(self) -> Exception | None:
        """All failures as one error: the first fault of ours, or the project's and the world's together."""
        ours = next((e for e in self.failures if not isinstance(e, PenstockError)), None)
        if ours is not None or not self.failures:
            return ours
        return together([e for e in self.failures if isinstance(e, PenstockError)])

    def total(self, name: str) -> int:
        """Sum of a receipt's count over all that landed: ``read``, ``landed``, ``duplicates``, ``quarantined``."""
        return sum(load.landed.total(name) for load in self.loads if load.landed is not None)

    def raise_for_error(self) -> None:
        """Raise :attr:`error`, if there is one."""
        if (error := self.error) is not None:
            raise error


class Listener:
    """Is told of a run while it goes on. Each method may be left as it is, which does nothing."""

    def began(self, run_id: int) -> None:
        """The run is in the ledger."""

    @contextmanager
    def loading(self, step: LoadStep) -> Iterator[Callable[[Batch], None]]:
        """Around a load step; what it gives is told of each batch."""
        del step
        yield lambda _: None

    def committed(self, receipt: Receipt) -> None:
        """A commit is durable."""

    def loaded(self, load: StepReport) -> None:
        """A load step has ended, well or not."""

    @contextmanager
    def building(self) -> Iterator[Callable[[str], object]]:
        """Around a build; what it gives is told in words what is being done."""
        yield str

    def built(self, built: Built, seconds: float) -> None:
        """dbt has ended, well or not."""

    def unbuilt(self, reason: str) -> None:
        """The models are not built."""

    def attempted(self, error: Exception | None, attempt: int, *, again: bool) -> None:
        """An attempt has ended; with ``again`` the next one follows."""

    def ended(self, report: Report) -> None:
        """The run has ended, and the ledger says so."""


Build = Callable[[RunRecord | None, int], "Built | None"]
"""Builds the models, as steps of a run and of an attempt; raises what it fails of."""
Models = Callable[[], AbstractContextManager[Build]]
"""Builds the models of an attempt: entered before its loads."""


def plan_run(
    project: Project,
    streams: Sequence[str] = (),
    *,
    kind: str = "run",
    window: Window | None = None,
    fingerprint: bool = True,
    lookback: timedelta = timedelta(),
    land: bool = False,
    from_lake: bool = False,
    models: bool = True,
    full_refresh: bool = False,
) -> RunPlan:
    """What a run of these streams is to do, of all when none is named: the sources that come to an end, then models.

    Raises:
        UsageError: as :func:`penstock.runs.plan.plan_loads` has it, or none of the sources comes to an end.
    """
    steps = plan_loads(
        project,
        streams,
        window=window,
        fingerprint=fingerprint,
        land=land,
        from_lake=from_lake,
        lookback=lookback,
    )
    return RunPlan(
        kind=kind,
        loads=tuple(ending(project, steps)),
        models=models and project.has_models,
        full_refresh=full_refresh,
        warnings=tuple(left_to_consume(project, steps, dated=window is not None)) if streams or window else (),
    )


def perform(
    plan: RunPlan,
    session: Session,
    listener: Listener | None = None,
    *,
    stop: Stop | None = None,
    models: Models | None = None,
) -> Report:
    """Do what is planned, keep it in the ledger's runs, and report it. What fails is in the report, not raised.

    What happens when something fails:

    - A step that fails, of whatever, is entered with its error, and the next one is performed all the same. What it had
      committed stays. The parts of a source that could not be read count as failures of its step.
    - A warehouse that does not answer stops the attempt: the steps that are left would fail of it too, and no models
      are built.
    - Models are built in an attempt whose loads went well, and in the last one whatever failed: what has landed is
      modelled. What they fail of is one more failure.
    - While ``retries`` are left, what failed is tried again, and nothing else.
    - ``stop`` has the batch in hand committed, and nothing else begun.
    - The run ends ``error`` when the last attempt failed of anything, else ``stopped`` when it was stopped, else
      ``success``. :attr:`Report.error` has all failures as one error with the exit code of the command.

    Args:
        plan: what to do.
        session: an open session of the project.
        listener: is told of it meanwhile.
        stop: a wish to stop.
        models: builds the models; dbt in this thread by default.

    Raises:
        DestinationError: the run cannot be entered, or, when nothing else failed, its end.
        KeyboardInterrupt: and what else is no :class:`Exception`; the ledger then shows the run as cut off.
    """
    return _Run(plan, session, listener or Listener(), stop or Stop(), models).perform()


class _Run:
    """One run at work."""

    def __init__(self, plan: RunPlan, session: Session, listener: Listener, stop: Stop, models: Models | None) -> None:
        self._plan = plan
        self._session = session
        self._listener = listener
        self._stop = stop
        self._models = models or self._dbt
        self._report = Report(plan=plan)
        self._away = False

    def perform(self) -> Report:
        plan, report = self._plan, self._report
        record = None
        if plan.kind != "transform":  # which enters itself
            detail = {} if plan.occasion is None else plan.occasion.detail
            record = RunRecord.begin(self._session.destination, plan.kind, **detail)
            report.run_id = record.run_id
        due = None if plan.occasion is None else plan.occasion.due
        with (
            nullcontext() if record is None else bound(run_id=record.run_id),
            lineage_of(self._session.project).run(plan.job, due=due) as told,
        ):
            if record is not None:
                self._listener.began(record.run_id)
            self._attempts(record)
            error = report.error
            report.status = "error" if error is not None else "stopped" if self._stop else "success"
            told.error, told.stopped = error, report.status == "stopped"
            if record is not None:
                detail = {} if plan.occasion is None else {"attempts": report.attempts}
                # the warehouse may be what failed
                with suppress(PenstockError) if error is not None else nullcontext():
                    record.end(report.status, **detail)
            self._listener.ended(report)
        return report

    def _attempts(self, record: RunRecord | None) -> None:
        """The steps, then the models; and again what failed of them."""
        plan, report = self._plan, self._report
        left = list(plan.loads)
        while True:
            again = report.attempts <= plan.retries
            report.failures, self._away = [], False
            with self._models() if plan.models else nullcontext() as build:
                left = self._load(record, left)
                if build is not None and not self._stop and not (report.failures and again):
                    self._build(record, build)
            again = again and bool(report.failures) and not self._stop
            self._listener.attempted(report.error, report.attempts, again=again)
            if not again:
                return
            self._session.release()
            if self._stop.wait(plan.retry_delay.total_seconds()):
                return
            report.attempts += 1

    def _load(self, record: RunRecord | None, steps: Sequence[LoadStep]) -> list[LoadStep]:
        """Perform load steps; gives those to try again."""
        failed: list[LoadStep] = []
        for number, step in enumerate(steps):
            if self._stop:
                break
            assert record is not None
            load = StepReport(step=step, attempt=self._report.attempts)
            started = time.monotonic()
            try:
                with record.step("load", step.stream, step.source, load.attempt) as entry:
                    load.landed = self._land(step, entry)
            except Exception as e:  # noqa: BLE001 - the policy: whatever a load dies of, the others go on
                load.landed, load.error = None, e
            load.seconds = time.monotonic() - started
            self._report.loads.append(load)
            self._listener.loaded(load)
            if load.failures:
                failed.append(step)
                self._report.failures += load.failures
            if load.error is not None and self._is_away(load.error):
                self._away = True
                return [*failed, *steps[number + 1 :]]
        return failed

    def _land(self, step: LoadStep, entry: RunStep) -> Landed:
        def committed(receipt: Receipt) -> None:
            entry.committed(receipt)
            self._listener.committed(receipt)

        with self._listener.loading(step) as progress:
            landed = self._session.load(step, progress=progress, on_commit=committed, stop=self._stop)
        entry.ended(landed.failure, stopped=landed.stopped)
        return landed

    def _build(self, record: RunRecord | None, build: Build) -> None:
        if self._away:
            self._report.unbuilt = UNBUILT
            self._listener.unbuilt(UNBUILT)
            return
        try:
            built = build(record, self._report.attempts)
        except Exception as e:  # noqa: BLE001 - the policy: whatever a build dies of is the run's failure
            self._report.failures.append(e)
        else:
            self._report.built = built or self._report.built

    @contextmanager
    def _dbt(self) -> Iterator[Build]:
        """Models by dbt in this thread."""
        from penstock.transform.perform import Transformer

        def build(record: RunRecord | None, attempt: int) -> Built | None:
            del attempt
            started = time.monotonic()
            ended: list[Built] = []
            try:
                with self._listener.building() as progress:
                    transformer = Transformer(self._session, wait=self._stop.wait)
                    built = transformer.run(
                        full_refresh=self._plan.full_refresh,
                        layer=self._plan.layer,
                        select=self._plan.select,
                        exclude=self._plan.exclude,
                        ended=ended.append,
                        progress=progress,
                        parent=record,
                    )
                    ended[:] = ended or [built]
            finally:
                for built in ended:
                    self._report.built = built
                    self._listener.built(built, time.monotonic() - started)
            return ended[0]

        yield build

    def _is_away(self, error: Exception) -> bool:
        """Whether a load failed of what the next one would fail of too: a warehouse that does not answer."""
        if isinstance(error, LockedError):
            return True
        if not isinstance(error, DestinationError) or isinstance(error, RejectedRows):
            return False
        try:
            self._session.destination.query("select 1")
        except PenstockError:
            return True
        return False


def words_of(error: Exception) -> str:
    """An error in one line, as a run says it beside the step."""
    return error.what if isinstance(error, PenstockError) else f"{type(error).__name__}: {error_text(error)}"
