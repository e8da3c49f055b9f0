"""Several ``penstock up`` on one PostgreSQL, as on different machines: each due moment runs once, and whoever is left
goes on where one was killed."""

from __future__ import annotations

import json
import signal
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from penstock.land.session import Session
from penstock.ports import Destination
from penstock.project import load_project
from tests.support.queues import until
from tests.support.scheduled import a_project, drop, runs, start
from tests.support.up import Up, up


def machines(folder: Path, warehouse: dict[str, Any], count: int, schedule: Any, **stream: Any) -> list[Path]:
    """The project on so many machines, which share the folder of its files."""
    found = []
    for n in range(count):
        found.append(a_project(folder / f"machine_{n}", warehouse, schedule, **stream))
        data = found[-1] / "data"
        if n and not data.is_symlink():
            (data / "first.ndjson").unlink()
            data.rmdir()
            data.symlink_to(found[0] / "data")
    return found


def test_killed_on_one_machine(postgres_url: str, tmp_path: Path) -> None:
    """While one of them runs what is due, the others wait, and so does ``run --now`` on any machine. ``kill -9`` of
    that one: it shows as cut off, and another does the moment that was due, within seconds."""
    warehouse = {"type": "postgres", "url": postgres_url}
    first, second, third = machines(tmp_path, warehouse, 3, {"cron": "@yearly"})
    stuck = {"cron": "@yearly", "retries": 1, "retry_delay": "9h"}
    a_project(tmp_path / "machine_0", warehouse, stuck, contract="freeze", columns={"name": "text"})
    (first / "data" / "odd.ndjson").write_text('{"name": "odd", "more": 1}\n')
    new_year = datetime(datetime.now(UTC).year, 1, 1, tzinfo=UTC)
    with Session(load_project(first)) as session:
        session.destination.query(
            "insert into penstock.schedules values ('project', '@yearly UTC', $1, null, null, $1)",
            [new_year - timedelta(days=1)],
        )
    holder = Up(first)
    until(lambda: any(p.get("steps") for p in runs(first)), "it fails, and waits to try again")
    with up(second) as other:
        asked = [start(second, "run", "--now", "-q"), start(third, "run", "--now", "-q")]
        time.sleep(3)
        assert [p.poll() for p in asked] == [None, None]
        (running,) = runs(third)
        assert running["status"] == "running" and running["detail"]["pid"] == holder.process.pid
        holder.process.kill()
        assert holder.process.wait(30) == -signal.SIGKILL
        killed = datetime.now(UTC)
        assert [p.wait(60) for p in asked] == [0, 0]
        until(lambda: len(runs(second)) == 3 and runs(second)[-1]["status"] == "success", "all is done")
        listed = runs(second)
        assert other.query("select count(*) from raw.things") == [[2]]
        assert other.end() == 0
    assert listed[0]["status"] == "cut off" and due(listed[0]) == new_year
    (taken,) = [r for r in listed[1:] if not r["detail"]["manual"]]
    assert due(taken) == new_year and {r["status"] for r in listed[1:]} == {"success"}
    assert datetime.fromisoformat(taken["started_at"]) - killed < timedelta(seconds=30)


def due(run: dict[str, Any]) -> datetime | None:
    """The moment that a run was for."""
    said = run["detail"]["due"]
    return None if said is None else datetime.fromisoformat(said)


def with_models(project: Path) -> None:
    """The project with a model that counts."""
    settings = json.loads((project / "penstock.yml").read_text())
    (project / "penstock.yml").write_text(json.dumps({**settings, "transform": True}))
    (project / "dbt_project.yml").write_text("name: counted\nversion: '1.0.0'\nprofile: penstock\n")
    (project / "models").mkdir()
    (project / "models" / "sources.yml").write_text("sources: [{name: raw, schema: raw, tables: [{name: things}]}]\n")
    (project / "models" / "counts.sql").write_text(
        "{{ config(materialized='table') }} select count(*) as n from {{ source('raw', 'things') }}"
    )


@pytest.mark.slow
def test_in_turns(postgres_url: str, tmp_path: Path) -> None:
    """Two that are up: each moment runs on one of them, one run at a time, and the models follow on both without
    getting in each other's way."""
    projects = machines(tmp_path, {"type": "postgres", "url": postgres_url}, 2, {"every": "2s"})
    for project in projects:
        with_models(project)
    first, second = projects
    with up(first) as one, up(second) as two:
        for n in range(2):
            drop(first, f"more_{n}")
            many = len(runs(first))
            until(lambda many=many: len(runs(first)) >= many + 3, lambda: one.said() + two.said())  # type: ignore[misc]
        listed = one.query("select table_schema from information_schema.tables where table_name = 'counts'")
        assert one.query(f"select n from {listed[0][0]}.counts") == [[3]]
        for process in (one, two):
            assert all(p["restarts"] == 0 and not p["last_error"] for p in process.status()["parts"])
            assert process.figures()["penstock_transform_failures_total", ""] == 0
        assert (one.end(), two.end()) == (0, 0)
    done = [r for r in runs(first) if r["status"] != "stopped"]
    assert {r["status"] for r in done} == {"success"} and sum(r["landed"] for r in done) == 3
    moments = [due(r) for r in done]
    assert len(set(moments)) == len(moments)
    assert all(before["ended_at"] <= after["started_at"] for before, after in pairwise(done))


def test_waiting_is_stopped(postgres_url: str, tmp_path: Path) -> None:
    """A transform waits while another process does one, and ends when it is asked to."""
    (project,) = machines(tmp_path, {"type": "postgres", "url": postgres_url}, 1, None)
    with_models(project)
    with Session(load_project(project)) as session, session.destination.claim("transform") as mine:
        assert mine
        waiting = start(project, "transform", "-q")
        others = "select 1 from pg_stat_activity where datname = current_database() and query like '%advisory%'"
        until(lambda: len(session.destination.query(others).rows) == 3, "it asks for the claim")
        assert waiting.poll() is None
        waiting.send_signal(signal.SIGTERM)
        assert waiting.wait(30) == 128 + signal.SIGTERM


def test_claims(both: list[Destination]) -> None:
    """A claim is one's own until its end; on PostgreSQL another one waits, and may give up. Other names are free."""
    for destination in both:
        with destination.claim("this") as mine, destination.claim("that") as other:
            assert mine and other
            if destination.kind == "postgres":
                patience = iter((False, False, True))
                with destination.claim("this", lambda _, patience=patience: next(patience)) as taken:  # type: ignore[misc]
                    assert not taken and next(patience, "used up") == "used up"
        with destination.claim("this") as again:
            assert again
