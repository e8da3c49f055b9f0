"""Schedules: ``penstock up`` as a process that loads by the clock, on both warehouses; and what was missed, failed or
cut off in between."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from penstock.land.session import Session
from penstock.logs import captured
from penstock.project import Project, load_project
from tests.support.fixtures import EMBEDDED, slow_on_postgres
from tests.support.queues import until
from tests.support.scheduled import a_project, drop, kept, runs, scheduled, start, things
from tests.support.up import call, eventually, up


@slow_on_postgres("warehouse")
def test_runs_by_the_clock(warehouse: dict[str, Any], tmp_path: Path) -> None:
    """What is due is loaded, again and again, and the ledger says when; files with a schedule are not watched, and
    ``run --now`` loads them at once; status and metrics know of it."""
    project = a_project(tmp_path, warehouse, {"every": "2s"})
    with up(project) as process:
        eventually(things(process), 1)
        drop(project, "second")
        eventually(things(process), 2)
        shown = call(project, "status")
        assert "schedule project" in shown.stdout and "every 2s" in shown.stdout, shown.stderr
        assert process.figures()["penstock_scheduled_runs_total", ""] >= 2
        listed = runs(project)
        assert len(listed) >= 2 and {r["status"] for r in listed} == {"success"}
        due = [datetime.fromisoformat(r["detail"]["due"]) for r in listed]
        assert all(b - a == timedelta(seconds=2) for a, b in pairwise(due))
        assert sum(r["landed"] for r in listed) == 2
        assert process.end() == 0
    (project / "penstock.yml").write_text((project / "penstock.yml").read_text().replace('"2s"', '"9h"'))
    with up(project) as process:
        drop(project, "third")
        time.sleep(1)
        assert things(process)() == 2
        asked = call(project, "run", "--now", "things", "--json")
        assert asked.returncode == 0, asked.stderr
        (run,) = json.loads(asked.stdout)
        assert run["detail"]["manual"] and run["steps"][0]["landed"] == 1 and things(process)() == 3
        wrong = call(project, "run", "--now", "thongs")
        assert wrong.returncode == 2 and "did you mean 'things'" in wrong.stderr
        assert call(project, "run", "--now", "--date", "2020-01-01").returncode == 2
        assert process.end() == 0


def test_now_without_a_process(tmp_path: Path) -> None:
    """When nothing is up, ``run --now`` loads what is scheduled itself; without any schedule it says so."""
    project = a_project(tmp_path, EMBEDDED, "@daily")
    assert "1 landed" in call(project, "run", "--now").stdout
    a_project(tmp_path, EMBEDDED, None)
    refused = call(project, "run", "--now")
    assert refused.returncode == 2 and "schedule:" in refused.stderr


@slow_on_postgres("warehouse")
def test_missed_after_downtime(warehouse: dict[str, Any], tmp_path: Path) -> None:
    """A process that was down through three moments of an hourly schedule does what ``missed`` says at its start, and
    at the next start nothing."""
    now = datetime.now(UTC).replace(minute=30)
    for missed, expected in (("all", 3), ("once", 1), ("skip", 0)):
        project = load_project(a_project(tmp_path, warehouse, {"cron": "@hourly", "missed": missed}))
        with Session(project) as session:
            session.destination.query("delete from penstock.runs")
            session.destination.query("delete from penstock.schedules")
            session.destination.query(
                "insert into penstock.schedules values ('project', '@hourly UTC', $1, null, null, $1)",
                [now - timedelta(hours=3)],
            )
        for times in (1, 2):
            with scheduled(project, now=lambda: now) as job:
                done = now.replace(minute=0, second=0, microsecond=0)
                eventually(partial(done_and_next, project), (done, done + timedelta(hours=1)))
                assert job.last_error == ""
            with Session(project) as session:
                found = session.destination.query("select count(*) from penstock.runs where kind = 'schedule'").rows
            assert found == [(expected,)], (missed, times)


def test_days_of_the_interval(tmp_path: Path) -> None:
    """With ``data_interval`` a run loads the days since the one before it; a run that is asked for loads what is
    new."""
    schedule = {"cron": "@daily", "missed": "all", "data_interval": True}
    directory = a_project(tmp_path, EMBEDDED, schedule, event_time="at", columns={"at": "timestamp"})
    lines = [json.dumps({"name": f"day {day}", "at": f"2026-05-0{day}T12:00:00"}) for day in range(1, 6)]
    (directory / "data" / "first.ndjson").write_text("\n".join(lines))
    project = load_project(directory)
    clock = [datetime(2026, 5, 2, 1, tzinfo=UTC)]

    def landed() -> list[str]:
        with Session(project) as session:
            return [row[0] for row in session.destination.query("select name from raw.things order by 1").rows]

    with scheduled(project, now=lambda: clock[0]) as job:
        until(lambda: kept(project)[1] is not None, "it waits for the third")
        clock[0] = datetime(2026, 5, 4, 0, 0, 1, tzinfo=UTC)
        until(lambda: job.runs["success"] == 2, "the runs of the third and of the fourth")
        assert landed() == ["day 2", "day 3"]
        clock[0] = datetime(2026, 5, 5, 0, 0, 1, tzinfo=UTC)
        until(lambda: job.runs["success"] == 3, "the run of the fifth")
        assert landed() == ["day 2", "day 3", "day 4"]
        assert job.ask(job.loads.steps).done.wait(60)
        assert landed() == [f"day {day}" for day in range(1, 6)]


def done_and_next(project: Project) -> tuple[Any, ...]:
    """The ledger's word on the schedule: done up to, and due next."""
    return kept(project)[:2]


@pytest.mark.slow
def test_jitter_and_changed_schedule(tmp_path: Path) -> None:
    """A run waits a random part of the jitter; a cron schedule that was changed begins anew."""
    asked: list[tuple[float, float]] = []
    clock = [datetime(2026, 5, 1, 11, 59, 59, tzinfo=UTC)]

    def draw(low: float, high: float) -> float:
        asked.append((low, high))
        return 0.01

    project = load_project(a_project(tmp_path, EMBEDDED, {"cron": "@hourly", "jitter": "30s"}))
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    with scheduled(project, now=lambda: clock[0], draw=draw) as job:
        until(lambda: kept(project)[1] == noon, "it waits for noon")
        assert not job.runs
        clock[0] = noon + timedelta(seconds=1)
        until(lambda: job.runs["success"] == 1 and kept(project)[0] == noon, "noon came")
    assert asked == [(0.0, 30.0)]
    project = load_project(a_project(tmp_path, EMBEDDED, {"cron": "1 12 * * *"}))
    clock[0] = noon + timedelta(days=3)
    with scheduled(project, now=lambda: clock[0]) as job:
        until(lambda: kept(project)[1] == noon + timedelta(days=3, minutes=1), "it begins anew")
    assert not job.runs


def test_no_overlap(tmp_path: Path) -> None:
    """A run that takes longer than its schedule, and runs that are asked for meanwhile, follow each other."""
    project = a_project(tmp_path, EMBEDDED, {"every": "1s", "missed": "all"})
    with environment(PENSTOCK_FAULT="scheduled_run:sleep"), up(project) as process:
        asking = [start(project, "run", "--now", "-q") for _ in range(2)]
        assert [p.wait(60) for p in asking] == [0, 0]
        until(lambda: len(runs(project)) >= 7, "runs were missed")
        listed = runs(project)
        assert process.end() == 0
    ended = [r["ended_at"] for r in listed[:-1]]
    assert sum(bool(r["detail"]["manual"]) for r in listed) == 2
    assert all(end <= r["started_at"] for end, r in zip(ended, listed[1:], strict=True))
    first = datetime.fromisoformat(ended[0]) - datetime.fromisoformat(listed[0]["started_at"])
    assert first >= timedelta(seconds=5)


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Variables for what is started in the block."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        yield


@pytest.mark.slow
def test_retries(warehouse: dict[str, Any], tmp_path: Path) -> None:
    """A run that fails is tried again after the delay, what failed of it alone; the ledger has each attempt with its
    error and fix; one that fails for good says so, and the next is tried anew."""
    directory = a_project(
        tmp_path,
        warehouse,
        {"every": "9h", "retries": 2, "retry_delay": "1s"},
        contract="freeze",
        columns={"name": "text"},
    )
    drop(directory, "good")
    bad = directory / "data" / "worse.ndjson"
    bad.write_text('{"name": "n", "odd": 1}\n')
    project = load_project(directory)
    with scheduled(project) as job:
        until(lambda: bool(job.last_error), "it fails")
        bad.write_text('{"name": "n"}\n')
        until(lambda: job.runs["success"] == 1, lambda: job.last_error)
    assert job.last_error == ""
    found = runs(directory)[-1]
    shown = json.loads(call(directory, "runs", "show", str(found["run_id"]), "--json").stdout)
    assert [(s["attempt"], s["status"]) for s in shown["steps"]] == [(1, "error"), (2, "success")]
    assert "odd" in shown["steps"][0]["error"] and shown["steps"][0]["fix"]
    began = [datetime.fromisoformat(s["started_at"]) for s in shown["steps"]]
    assert began[1] - began[0] >= timedelta(seconds=1)
    bad.write_text('{"name": "n", "odder": 1}\n')
    with captured() as said, scheduled(project) as job:
        request = job.ask(job.loads.steps)
        assert request.done.wait(30) and request.run is not None
    assert request.run["status"] == "error" and len(request.run["steps"]) == 1  # whoever asks is told at once
    (failed,) = [r for r in said if r["event"] == "run failed"]
    assert "odder" in failed["error"] and failed["run_id"] == request.run["run_id"] and failed["fix"]
    text = call(directory, "runs", "show", str(request.run["run_id"])).stdout
    assert "odder" in text and "fix:" in text


def test_killed_in_a_run(warehouse: dict[str, Any], tmp_path: Path) -> None:
    """``kill -9`` in a scheduled run: the run is shown as cut off, and the next start does it again, once."""
    project = a_project(tmp_path, warehouse, {"cron": "@hourly"})
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    with Session(load_project(project)) as session:
        session.destination.query(
            "insert into penstock.schedules values ('project', '@hourly UTC', $1, null, null, $1)",
            [hour - timedelta(hours=1)],
        )
    with environment(PENSTOCK_FAULT="before_commit:kill"), up(project) as process:
        assert process.process.wait(30) == -signal.SIGKILL
    assert [r["status"] for r in runs(project)] == ["cut off"]
    process.file.unlink()  # so that the next one's is waited for
    with up(project) as process:
        eventually(things(process), 1)
        until(lambda: runs(project)[-1]["status"] == "success", "it is done again")
        assert process.end() == 0
    listed = runs(project)
    assert [r["status"] for r in listed] == ["cut off", "success"]
    assert listed[0]["detail"]["due"] == listed[1]["detail"]["due"] and listed[0]["ended_at"]


@pytest.mark.slow
def test_models_follow_scheduled_loads(tmp_path: Path) -> None:
    """A scheduled run ends when the models hold what it landed, and has a step for each; a model that fails makes it
    fail, with the model's error."""
    project = a_project(tmp_path, EMBEDDED, "every 9h")
    settings = json.loads((project / "penstock.yml").read_text())
    (project / "penstock.yml").write_text(json.dumps({**settings, "transform": True}))
    (project / "dbt_project.yml").write_text("name: counted\nversion: '1.0.0'\nprofile: penstock\n")
    (project / "models").mkdir()
    (project / "models" / "sources.yml").write_text("sources: [{name: raw, schema: raw, tables: [{name: things}]}]\n")
    model = project / "models" / "counts.sql"
    right = "{{ config(materialized='table') }} select count(*) as n from {{ source('raw', 'things') }}\n"
    model.write_text(right)
    with up(project) as process:
        until(lambda: [r["status"] for r in runs(project)] == ["success"], process.said)
        first = json.loads(call(project, "runs", "show", str(runs(project)[0]["run_id"]), "--json").stdout)
        assert [(step["kind"], step["name"], step["status"]) for step in first["steps"]] == [
            ("load", "things", "success"), ("model", "counts", "success"),
        ]  # fmt: skip
        model.write_text(right.replace("count(*)", "count(nothing_of_that_name)"))
        drop(project, "second")
        asked = call(project, "run", "--now")
        assert asked.returncode == 1 and "nothing_of_that_name" in asked.stdout and "fix: mend" in asked.stdout
        model.write_text(right)
        again = call(project, "run", "--now")
        assert again.returncode == 0, again.stdout
        listed = [row[0] for row in process.query("select table_schema from information_schema.tables"
                                                  " where table_name = 'counts'")]  # fmt: skip
        assert process.query(f"select n from {listed[0]}.counts") == [[2]]
        assert process.end() == 0
