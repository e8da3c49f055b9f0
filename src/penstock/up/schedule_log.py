"""What a scheduled run logs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.engine_errors import error_text
from penstock.faults import fault_point
from penstock.logs import described, get_log
from penstock.runs.outcome import Listener

if TYPE_CHECKING:
    from penstock.ports import Receipt
    from penstock.runs.outcome import Report, StepReport
    from penstock.troubles import Troubles
    from penstock.upkeep import TidiedTable

_log = get_log("schedule")

_TIDIED = ("rewritten", "snapshots_expired", "files_removed", "orphans_removed", "bytes_removed")


class ScheduleLog(Listener):
    """Logs what a run does, and has the schedule's ``last_error`` be that of the last attempt."""

    def __init__(self, troubles: Troubles, on_commit: Callable[[Receipt], None] = lambda _: None) -> None:
        self._troubles = troubles
        self._on_commit = on_commit
        self._started = time.monotonic()

    def began(self, report: Report) -> None:
        fault_point("scheduled_run")
        streams = list(dict.fromkeys(step.stream for step in report.plan.loads))
        occasion = report.plan.occasion
        fields = {"streams": streams} if streams else {}
        _log.info("run started", **({} if occasion is None else occasion.detail), **fields)

    def committed(self, receipt: Receipt) -> None:
        self._on_commit(receipt)

    def loaded(self, load: StepReport) -> None:
        for text in () if load.landed is None else load.landed.warnings:
            _log.warning("the project file may be mistaken", stream=load.step.stream, detail=text)

    def tidied(self, table: TidiedTable) -> None:
        if table.error is not None:
            _log.error("a table was not looked after", table=table.table, **described(table.error))
        for reason in table.left:
            _log.warning("something of a table is left as it was", table=table.table, detail=reason)
        done = {name: number for name in _TIDIED if (number := getattr(table, name))}
        if done:
            _log.info("table looked after", table=table.table, **done)

    def attempted(self, report: Report, *, again: bool) -> None:
        error = report.error
        self._troubles.last_error = "" if error is None else error_text(error)
        if again and error is not None:
            seconds = report.plan.retry_delay.total_seconds()
            _log.warning("attempt failed", attempt=report.attempts, **described(error), again_in_seconds=seconds)

    def ended(self, report: Report) -> None:
        seconds = round(time.monotonic() - self._started, 3)
        outcome = {"status": report.status, "attempts": report.attempts, "seconds": seconds}
        if report.status == "error" and (error := report.error) is not None:
            _log.error("run failed", **outcome, **described(error))
        else:
            _log.info("run ended", **outcome)
