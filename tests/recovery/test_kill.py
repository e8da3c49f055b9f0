"""Law 1: a load killed with SIGKILL anywhere, and run again, leaves the table of one that was not."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from penstock.ports import Destination
from penstock.samples.generate import write_user_events
from tests.support import commands
from tests.support.fixtures import ENGINES
from tests.support.warehouse import ledger, table

ROWS = 10_000
STEPS = ["before_stage", "after_stage", "before_commit", "after_commit", "file_middle"]

PROJECT = """
name: killed
target: {target}
destinations:
  duckdb: {{ type: duckdb, path: warehouse.duckdb, threads: 1 }}
  postgres: {{ type: postgres, url: "{url}" }}
  spark: {{ type: spark, ledger: postgres, warehouse: lake }}
sources:
  files: {{ type: files, path: "data/**" }}
streams:
  events: {{ from: files }}
load: {{ batch_bytes: 128KB, commit_bytes: 256KB }}
"""


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10,000 events in one file, some of them twice."""
    path = tmp_path_factory.mktemp("events") / "events.ndjson"
    write_user_events(path, count=ROWS, seed=7, duplicates=0.01, out_of_order=0.05)
    return path


@pytest.fixture
def project(tmp_path: Path, events: Path, kind: str, request: pytest.FixtureRequest) -> Path:
    """A project that loads the events, into the kind of warehouse the test is for."""
    url = request.getfixturevalue("postgres_url") if kind != "duckdb" else "postgresql://nowhere/none"
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "events.ndjson").symlink_to(events)
    (folder / "penstock.yml").write_text(PROJECT.format(target=kind, url=url))
    return folder


@pytest.fixture(params=ENGINES)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of warehouse in turn."""
    return str(request.param)


def _start(project: Path, fault: str = "") -> commands.Started:
    return commands.Started(project, "load", "--quiet", environ={"PENSTOCK_FAULT": fault})


def _add(project: Path, lines: list[bytes]) -> None:
    """A file more in the project's folder."""
    folder = project / "data"
    (folder / f"part{len(list(folder.iterdir()))}.ndjson").write_bytes(b"".join(lines))


def _open(project: Path) -> Destination:
    from penstock import Session, load_project

    return Session(load_project(project)).destination


def _rows(project: Path) -> list[dict[str, Any]]:
    destination = _open(project)
    try:
        return table(destination, "events")
    finally:
        destination.close()


@pytest.fixture(scope="module")
def expected(events: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The table of a load that nobody killed."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "data").mkdir()
    (folder / "data" / "events.ndjson").symlink_to(events)
    (folder / "penstock.yml").write_text(PROJECT.format(target="duckdb", url="postgresql://nowhere/none"))
    assert _start(folder).wait(120) == 0
    return _rows(folder)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("nth", [1, pytest.param(6, marks=pytest.mark.slow)])
def test_killed_at_every_step(project: Path, expected: list[dict[str, Any]], step: str, nth: int) -> None:
    """Killed at a step, early and late in the load; the next run completes the table exactly."""
    nth = min(nth, 3) if "commit" in step else nth
    assert _start(project, f"{step}:kill:{nth}").wait(120) == -signal.SIGKILL
    assert _start(project).wait(120) == 0
    rows = _rows(project)
    assert len(rows) == len({r["_pen_id"] for r in rows})
    assert rows == expected


@pytest.mark.slow
def test_killed_twenty_times_at_random(project: Path, expected: list[dict[str, Any]]) -> None:
    """Killed 20 times at random moments of the load: never a row twice, and in the end the same table.

    A part of the file comes before every start, so that there is something to land whenever it is killed.
    """
    draw = random.Random(20)
    events = project / "data" / "events.ndjson"
    lines = events.read_bytes().splitlines(keepends=True)
    events.unlink()
    whole, killed = 5.0, 0
    for n in range(60):
        _add(project, lines[n::60])
        if killed == 20:
            continue
        began = time.monotonic()
        process = _start(project)
        try:
            assert process.wait(draw.uniform(0.3, 1.0) * whole) == 0
            whole = min(whole, time.monotonic() - began)
        except subprocess.TimeoutExpired:
            process.kill()
            killed += process.wait(60) == -signal.SIGKILL
    assert killed == 20
    assert _start(project).wait(120) == 0
    assert _rows(project) == expected
    destination = _open(project)
    try:
        for read, landed, duplicates, quarantined in ledger(destination, "events"):
            assert read == landed + duplicates + quarantined
        assert sum(load[1] for load in ledger(destination, "events")) == len(expected)
    finally:
        destination.close()
