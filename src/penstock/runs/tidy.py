"""Looks after a warehouse's tables as a run, which the ledger has with a step for each table."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

from penstock.copying.record import expect_copied
from penstock.errors import PenstockError, UsageError
from penstock.land.loop import Stop
from penstock.ledger.run_records import RunRecord, RunStep
from penstock.logs import bound
from penstock.runs.outcome import Listener, Report
from penstock.upkeep import KeepsFiles, TidiedTable

if TYPE_CHECKING:
    from penstock.land.session import Session
    from penstock.runs.plan import RunPlan

TIDY = "tidy"
"""The name of its schedule, and what its runs and steps are called."""
_SUMS = ("rewritten", "snapshots_expired", "files_removed", "orphans_removed", "bytes_removed")


def keeps_files(session: Session) -> KeepsFiles:
    """The warehouse, as one whose tables have to be looked after.

    Raises:
        UsageError: there is nothing to look after.
    """
    warehouse = session.destination
    if not isinstance(warehouse, KeepsFiles):
        raise UsageError(
            f"a warehouse of type {warehouse.kind} has no files and snapshots to look after",
            where=session.project.destination.address,
            fix="nothing: it frees space by itself",
        )
    return warehouse


def tidy(
    plan: RunPlan,
    session: Session,
    streams: Sequence[str] = (),
    listener: Listener | None = None,
    *,
    stop: Stop | None = None,
) -> Report:
    """Look after the tables of these streams, or all. What fails of a table leaves the others to be looked after, and
    is in the report, not raised; while the plan has ``retries``, all is gone over again.

    Args:
        plan: what kind of run it is, on what occasion, and how often it is tried again.
        session: an open session of the project.
        streams: whose tables; of all, and those of models, where none is named.
        listener: is told of it meanwhile.
        stop: a wish to stop: the table in hand is the last.

    Raises:
        UsageError: there is nothing to look after; a copy into the warehouse is not finished.
        DestinationError: the run cannot be entered.
    """
    warehouse = keeps_files(session)
    expect_copied(session.destination, session.project.target)
    stop, listener = Stop() if stop is None else stop, listener or Listener()
    report = Report(plan=plan)
    detail = {} if plan.occasion is None else plan.occasion.detail
    record = RunRecord.begin(session.destination.ledger, plan.kind, **detail)
    report.run_id = record.run_id
    with bound(run_id=record.run_id):
        listener.began(report)
        sums = dict.fromkeys(_SUMS, 0)
        while True:
            report.failures = []
            for table in _attempt(warehouse, streams, record, report, stop):
                for name in _SUMS:
                    sums[name] += getattr(table, name)
                listener.tidied(table)
            again = bool(report.failures) and report.attempts <= plan.retries and not stop
            listener.attempted(report, again=again)
            if not again or stop.wait(plan.retry_delay.total_seconds()):
                break
            report.attempts += 1
        report.status = "error" if report.failures else "stopped" if stop else "success"
        # the warehouse may be what failed
        with suppress(PenstockError) if report.failures else nullcontext():
            record.end(report.status, attempts=report.attempts, **sums)
        listener.ended(report)
    return report


def _attempt(
    warehouse: KeepsFiles, streams: Sequence[str], record: RunRecord, report: Report, stop: Stop
) -> Iterator[TidiedTable]:
    """Each table as it was looked after; what fails is in the report, and the ledger."""
    tables = warehouse.tidy_tables(streams, wait=stop.wait)
    while True:
        started = time.monotonic()
        try:
            table = next(tables, None)
        except Exception as e:  # noqa: BLE001 - whatever it is, the run is entered with it
            report.failures.append(e)
            failed = RunStep(kind=TIDY, name="tables", attempt=report.attempts, seconds=time.monotonic() - started)
            failed.failed(e)
            with suppress(PenstockError):
                record.keep(failed)
            return
        if table is None:
            return
        step = RunStep(kind=TIDY, name=table.table, attempt=report.attempts, seconds=time.monotonic() - started)
        if table.error is not None:
            report.failures.append(table.error)
            step.failed(table.error)
        record.keep(step)
        yield table
