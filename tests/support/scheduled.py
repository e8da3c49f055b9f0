"""A project that is loaded by the clock, and its schedule at work."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from penstock.land.loop import Stop
from penstock.land.session import Session
from penstock.project import Project
from penstock.runs.schedules import plan_schedules
from penstock.up.scheduled import Scheduled
from tests.support import commands
from tests.support.at_work import at_work
from tests.support.up import Up, call


def a_project(folder: Path, warehouse: dict[str, Any], schedule: Any, **stream: Any) -> Path:
    """A stream of files with a schedule, and no models."""
    directory = folder / "project"
    (directory / "data").mkdir(parents=True, exist_ok=True)
    settings = {
        "name": "counted",
        "destinations": {"here": warehouse},
        "sources": {"files": {"type": "files", "path": "data/*.ndjson"}},
        "streams": {"things": {"from": "files", **stream}},
        "transform": False,
        "schedule": schedule,
    }
    (directory / "penstock.yml").write_text(json.dumps(settings))
    drop(directory, "first")
    return directory


def drop(project: Path, name: str) -> None:
    """A file with one record."""
    (project / "data" / f"{name}.ndjson").write_text(json.dumps({"name": name}) + "\n")


def runs(project: Path) -> list[dict[str, Any]]:
    """The runs that were scheduled or asked for, oldest first."""
    found: list[dict[str, Any]] = json.loads(call(project, "runs", "--json").stdout)
    return [run for run in reversed(found) if run["kind"] == "schedule"]


def things(process: Up) -> Callable[[], int]:
    """How many have landed."""
    return lambda: int(next(iter(process.query("select count(*) from raw.things")), [0])[0])


def kept(project: Project) -> tuple[Any, ...]:
    """The ledger's word on the schedule: done up to, next due, last run."""
    with Session(project) as session:
        rows = session.destination.query("select last_due, next_due, last_run from penstock.schedules").rows
    return tuple(rows[0]) if rows else (None, None, None)


@contextmanager
def scheduled(project: Project, **given: Any) -> Iterator[Scheduled]:
    """A schedule at work in this process."""
    stop = Stop()
    (loads,) = plan_schedules(project)
    job = Scheduled(project, loads, stop=stop, **given)
    with at_work(job, stop, seconds=30):
        yield job


def start(project: Path, *words: str) -> commands.Started:
    """A command that is not waited for."""
    return commands.Started(project, *words, "--project-dir", str(project))
