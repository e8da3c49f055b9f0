"""Models that dbt cannot even read: the run that found out is in the ledger with its error and the fix."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.trips import PROJECT
from tests.support.up import call, eventually, shown, up


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.slow)])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Two layers of models, of which one file is no YAML."""
    folder = tmp_path / "trips"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns(".penstock", "*.duckdb*"))
    if request.param == "postgres":
        settings = (folder / "penstock.yml").read_text()
        embedded = "{ type: duckdb, path: warehouse.duckdb, threads: 1 }"
        assert embedded in settings
        url = request.getfixturevalue("postgres_url")
        (folder / "penstock.yml").write_text(settings.replace(embedded, f'{{ type: postgres, url: "{url}" }}'))
    (folder / "models" / "odd.yml").write_text("models: [{name: stg_trips, columns: [\n")
    return folder


def failures(project: Path) -> list[dict[str, Any]]:
    """The runs that failed, newest first."""
    found: list[dict[str, Any]] = json.loads(call(project, "runs", "--failed", "--json").stdout)
    return found


def told(project: Path, run: int) -> None:
    """The run has one step of dbt, with what is wrong and what mends it."""
    (step,) = [s for s in shown(project, run)["steps"] if s["status"] == "error"]
    assert (step["kind"], step["name"]) == ("transform", "dbt")
    assert "odd.yml" in step["error"] and step["fix"], step


def test_commands(project: Path) -> None:
    """``run`` and ``transform`` are runs that failed, each with its error."""
    assert call(project, "run").returncode == 1
    (run,) = failures(project)
    assert (run["kind"], run["steps"], run["failed"]) == ("run", 3, 1)
    told(project, run["run_id"])
    assert call(project, "transform").returncode == 1
    last, before = failures(project)
    assert (last["kind"], last["failed"], before) == ("transform", 1, run)
    told(project, last["run_id"])
    (project / "models" / "odd.yml").unlink()
    assert call(project, "transform").returncode == 0
    assert failures(project)[0]["run_id"] == last["run_id"]


@pytest.mark.slow
def test_a_schedule(project: Path) -> None:
    """A scheduled run waits for its models, and fails with their error."""
    with (project / "penstock.yml").open("a") as file:
        file.write('schedule: "@yearly"\n')
    with up(project) as process:
        eventually(lambda: process.get("/healthz")[0], 200)
        assert call(project, "run", "--now").returncode == 1
        run = next(r for r in failures(project) if r["kind"] == "schedule")
        told(project, run["run_id"])
        assert process.end() == 0
