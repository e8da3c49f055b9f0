"""A run: load steps, then models, with one way to fail and one record in the ledger, whoever calls it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

from penstock.copying.record import expect_copied
from penstock.errors import DestinationError, LockedError, PenstockError, RejectedRows
from penstock.land.loop import Stop
from penstock.ledger.run_records import RunRecord
from penstock.lineage import lineage_of
from penstock.logs import bound
from penstock.runs.outcome import Listener, Report, StepReport
from penstock.runs.plan import RunPlan, expect_end

if TYPE_CHECKING:
    from penstock.land.loop import Landed
    from penstock.land.session import Session
    from penstock.ledger.run_records import RunStep
    from penstock.ports import Receipt
    from penstock.project.steps import LoadStep
    from penstock.transform.built import Built

UNBUILT = "models were not built, since the warehouse is away"


Build = Callable[[RunRecord | None, int], "Built | None"]
"""Builds the models, as steps of a run and of an attempt; raises what it fails of."""
Models = Callable[[], AbstractContextManager[Build]]
"""Builds the models of an attempt: entered before its loads."""


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
    - The run ends ``stopped`` when it is stopped while it waits to try again. Else it ends ``error`` when its last
      attempt failed of anything, ``stopped`` when it was stopped, ``success`` when it is through.
      :attr:`Report.error` has all failures of that attempt as one error, with the exit code of the command.

    Args:
        plan: what to do.
        session: an open session of the project.
        listener: is told of it meanwhile.
        stop: a wish to stop.
        models: builds the models; dbt in this thread by default.

    Raises:
        UsageError: none of the sources comes to an end; or a copy into the warehouse is not finished.
        DestinationError: the run cannot be entered, or, when nothing else failed, its end.
        KeyboardInterrupt: and what else is no :class:`Exception`; the ledger then shows the run as cut off.
    """
    expect_end(session.project, plan.loads, plan.left_out)
    return _Run(plan, session, listener or Listener(), Stop() if stop is None else stop, models).perform()


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
            self._expect_copied()
            detail = {} if plan.occasion is None else plan.occasion.detail
            record = RunRecord.begin(self._session.destination.ledger, plan.kind, **detail)
            report.run_id = record.run_id
        due = None if plan.occasion is None else plan.occasion.due
        with (
            nullcontext() if record is None else bound(run_id=record.run_id),
            lineage_of(self._session.project).run(plan.job, due=due) as telling,
        ):
            if record is not None:
                self._listener.began(report)
            self._attempts(record)
            error = report.error
            if report.status != "stopped":
                report.status = "error" if error is not None else "stopped" if self._stop else "success"
            telling.error, telling.stopped = error, report.status == "stopped"
            if record is not None:
                detail = {} if plan.occasion is None else {"attempts": report.attempts}
                # the warehouse may be what failed
                with suppress(PenstockError) if error is not None else nullcontext():
                    record.end(report.status, **detail)
            self._listener.ended(report)
        return report

    def _expect_copied(self) -> None:
        expect_copied(self._session.destination, self._session.project.target)

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
            self._listener.attempted(report, again=again)
            if not again:
                return
            self._session.release()
            if self._stop.wait(plan.retry_delay.total_seconds()):
                report.status = "stopped"
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
            if record is None:
                self._expect_copied()
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
