"""What ran, when and with which outcome: the ledger's ``runs`` and ``run_steps``, written and read."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from penstock.engine_errors import error_text
from penstock.errors import PenstockError, redact
from penstock.ledger import ledger_sql
from penstock.system import is_alive

if TYPE_CHECKING:
    from penstock.ports import Ledger, Receipt, Rows

KEPT = timedelta(days=30)
"""How long runs stay in the ledger."""
FORGET_EVERY = 1_000
_MOST_TEXT = 4_000
"""Characters of an error that are kept."""
_AT_ONCE = 500
_COUNTS = ("read", "landed", "duplicates", "quarantined")
_ASKED = ("schedule", "layer", "fingerprint", "whole", "selected")
"""What of a run's detail has a column of its own, since statements ask for it."""

Query = Callable[[str], "Rows"]


@dataclass(slots=True, kw_only=True)
class RunStep:
    """One load, model or test of a run. ``status`` is ``success``, ``error``, or dbt's word."""

    kind: str
    name: str
    source: str | None = None
    status: str = "success"
    attempt: int = 1
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    rows: int | None = None
    error: str | None = None
    fix: str | None = None

    def committed(self, receipt: Receipt) -> None:
        """Add what a commit landed."""
        for name in _COUNTS:
            self.counts[name] = self.counts.get(name, 0) + getattr(receipt, name)

    def failed(self, error: BaseException) -> None:
        """Take down what it failed of."""
        self.status = "error"
        if isinstance(error, PenstockError):
            self.error = short(f"{error.where}: {error.what}" if error.where else error.what)
            self.fix = short(error.fix) or None
        else:
            self.error = short(error_text(error))

    def ended(self, failure: BaseException | None, *, stopped: bool) -> None:
        """Take down how it ended, though it raised nothing."""
        if failure is not None:
            self.failed(failure)
        elif stopped:
            self.status = "stopped"

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "kind": self.kind,
            "name": self.name,
            "source": self.source,
            "status": self.status,
            "attempt": self.attempt,
            "started_at": self.started_at,
            "seconds": round(self.seconds, 3),
            **{name: self.counts.get(name) for name in _COUNTS},
            "rows": self.rows,
            "error": self.error,
            "fix": self.fix,
        }


class RunRecord:
    """One run in the ledger, from :meth:`begin` to :meth:`end`. Killed between them, it stays ``running``: readers see
    by the process that it names that it was cut off."""

    def __init__(self, ledger: Ledger, run_id: int, detail: Mapping[str, Any]) -> None:
        self.run_id = run_id
        self.detail = dict(detail)
        self._ledger = ledger
        self._steps = 0

    @classmethod
    def begin(
        cls,
        ledger: Ledger,
        kind: str,
        *,
        upper_seq: int | None = None,
        parent: int | None = None,
        **detail: Any,
    ) -> RunRecord:
        """Enter a run."""
        run_id = int(ledger.query("select nextval('penstock.run_ids')").rows[0][0])
        detail = {"pid": os.getpid(), "host": socket.gethostname(), **_airflow(os.environ), **detail}
        ledger.query(
            ledger_sql("begin_run", **ledger.types),
            [run_id, kind, datetime.now(UTC), upper_seq, parent, *_columns(detail)],
        )
        return cls(ledger, run_id, detail)

    @contextmanager
    def step(self, kind: str, name: str, source: str | None = None, attempt: int = 1) -> Iterator[RunStep]:
        """A step for the block; what the block raises is entered with it, and raised."""
        step = RunStep(kind=kind, name=name, source=source, attempt=attempt)
        started = time.monotonic()
        try:
            yield step
        except BaseException as e:
            step.seconds = time.monotonic() - started
            step.failed(e)
            with suppress(PenstockError):  # the warehouse may be what failed
                self.keep(step)
            raise
        step.seconds = time.monotonic() - started
        self.keep(step)

    def keep(self, *steps: RunStep) -> None:
        """Enter steps."""
        for first in range(0, len(steps), _AT_ONCE):
            values: list[Any] = []
            rows = []
            for step in steps[first : first + _AT_ONCE]:
                self._steps += 1
                row = self._row(step)
                rows.append(f"({', '.join(f'${len(values) + i}' for i in range(1, len(row) + 1))})")
                values += row
            self._ledger.query(ledger_sql("keep_steps", values=", ".join(rows)), values)

    def _row(self, step: RunStep) -> list[Any]:
        return [
            self.run_id,
            self._steps,
            step.attempt,
            step.kind,
            step.name,
            step.source,
            step.status,
            step.started_at,
            step.seconds,
            *(step.counts.get(name) for name in _COUNTS),
            step.rows,
            step.error,
            step.fix,
        ]

    def end(self, status: str, **detail: Any) -> None:
        """Enter how it ended: ``success``, ``error``, ``stopped``. Now and then, forget what is older than KEPT."""
        self.detail |= detail
        self._ledger.query(
            ledger_sql("end_run", **self._ledger.types),
            [self.run_id, status, datetime.now(UTC), *_columns(self.detail)],
        )
        if self.run_id % FORGET_EVERY == 0:
            forget(self._ledger, self.run_id)


def forget(ledger: Ledger, before: int, *, now: datetime | None = None) -> None:
    """Delete runs before run ``before`` that began longer than :data:`KEPT` ago, but for builds that tell what later
    ones have to do."""
    until = (datetime.now(UTC) if now is None else now) - KEPT
    ledger.query(ledger_sql("forget_runs"), [before, until])
    ledger.query(ledger_sql("forget_steps"), [until])


def read_runs(query: Query, last: int, *, failed: bool = False) -> list[dict[str, Any]]:
    """The last runs, newest first, each with the number of its steps and of those that failed; with ``failed`` those
    that ended badly or were cut off."""
    sql = ledger_sql("runs_listed", last=str(int(last)), but="'success', 'stopped'" if failed else "''")
    runs = [_with_fate(row) for row in _dicts(query(sql))]
    return [run for run in runs if not failed or run["status"] != "running"]


def read_run(query: Query, run_id: int) -> dict[str, Any] | None:
    """One run and its ``steps``; None when there is none."""
    runs = _dicts(query(ledger_sql("run_found", run=str(int(run_id)))))
    if not runs:
        return None
    return {**_with_fate(runs[0]), "steps": _dicts(query(ledger_sql("run_steps", run=str(int(run_id)))))}


def _with_fate(row: dict[str, Any]) -> dict[str, Any]:
    """A run with its detail as data, and ``cut off`` if the process that it ran in is gone."""
    detail = row["detail"]
    detail = json.loads(detail) if isinstance(detail, str) else detail or {}
    columns = {name: row.pop(name) for name in _ASKED}
    detail |= {name: value for name, value in columns.items() if value is not None}
    gone = row["status"] == "running" and detail.get("host") == socket.gethostname() and not _lives(detail.get("pid"))
    return {**row, "detail": detail, "status": "cut off" if gone else row["status"]}


def _columns(detail: Mapping[str, Any]) -> list[Any]:
    """What of a detail has columns, and the rest as JSON."""
    rest = {name: value for name, value in detail.items() if name not in _ASKED}
    return [*(detail.get(name) for name in _ASKED), json.dumps(rest)]


def _airflow(environ: Mapping[str, str]) -> dict[str, Any]:
    """The task of Airflow that this process is, by what Airflow tells each command."""
    names = {"dag": "DAG_ID", "run": "DAG_RUN_ID", "task": "TASK_ID", "try": "TRY_NUMBER"}
    task = {key: environ[f"AIRFLOW_CTX_{name}"] for key, name in names.items() if f"AIRFLOW_CTX_{name}" in environ}
    return {"airflow": task} if "dag" in task else {}


def _lives(pid: Any) -> bool:
    return not isinstance(pid, int) or is_alive(pid)


def _dicts(rows: Rows) -> list[dict[str, Any]]:
    return [dict(zip(rows.columns, row, strict=True)) for row in rows.rows]


def short(text: str) -> str:
    """A text without secrets, and not endless."""
    return redact(text)[:_MOST_TEXT]
