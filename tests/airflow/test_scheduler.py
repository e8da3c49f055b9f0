"""The DAGs under a scheduler that runs."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from penstock.airflow.dag_files import Export, write_dags
from tests.support.airflow_home import PENSTOCK, Airflow

FLAKY = f"""#!/bin/sh
# The loader of trips is killed just before it commits, twice
if [ "$2" = trips ] && [ "$(cat "$(dirname "$0")/tries" | wc -l)" -lt 2 ]; then
  echo once >> "$(dirname "$0")/tries"
  export PENSTOCK_FAULT=before_commit:kill
fi
exec {PENSTOCK} "$@"
"""
TOGETHER = f"""#!/bin/sh
# Loads wait for each other: performed one after the other, they would give up
if [ "$1" = load ]; then
  touch "$(dirname "$0")/began_$2"
  n=0
  until [ -e "$(dirname "$0")/began_trips" ] && [ -e "$(dirname "$0")/began_cities" ]; do
    n=$((n + 1)); [ $n -lt 300 ] || exit 9
    sleep 0.2
  done
fi
exec {PENSTOCK} "$@"
"""
LOADED = "select run_id from dag_run where dag_id = ? and state = 'success' and run_type = 'scheduled' order by run_id"
BY_ASSET = "select run_id, id from dag_run where dag_id = ? and state = 'success' and run_type = 'asset_triggered'"
TABLES = ("raw.trips", "raw.cities", "marts.trips_by_country", "penstock.watermarks")


@pytest.fixture
def flaky(trips: Path) -> Path:
    """A copy of the project, whose command is killed twice."""
    project = another(trips, "flaky", FLAKY)
    (project / "tries").touch()
    return project


@pytest.fixture
def shared(trips: Path, postgres_url: str) -> Path:
    """A copy on PostgreSQL, whose schedule is its own, and whose loads have to be performed side by side."""
    project = another(trips, "shared", TOGETHER)
    text = (project / "penstock.yml").read_text()
    text = text.replace(
        "{ type: duckdb, path: warehouse.duckdb, threads: 1 }", "{ type: postgres, url: '${WAREHOUSE}' }"
    )
    text += "schedule: { cron: '@yearly', timezone: Europe/Oslo, retries: 0 }\n"
    (project / "penstock.yml").write_text(text)
    (project / ".env").write_text(f"WAREHOUSE={postgres_url}\n")
    return project


def another(trips: Path, name: str, script: str) -> Path:
    """A copy of the project, whose command is a script."""
    project = trips.parent / name
    shutil.copytree(trips, project)
    (project / "penstock.yml").write_text((trips / "penstock.yml").read_text().replace("name: trips", f"name: {name}"))
    command = project / "command"
    command.write_text(script)
    command.chmod(0o755)
    return project


@pytest.mark.timeout(900)
def test_scheduled(airflow: Airflow, trips: Path, flaky: Path, shared: Path) -> None:
    """Load runs of their own schedule, whose asset starts the transform; a task killed twice that succeeds on the
    third try, and landed once; loads side by side on PostgreSQL; a re-run that changes nothing; and in the project's
    own ledger, which task of Airflow's each run was."""
    yearly = Export(schedule="@yearly", catchup=True, retry_delay=timedelta(seconds=2), start_date=date(2025, 1, 1))
    write_dags(trips, trips / "dags", yearly)
    (airflow.home / "dags" / "trips").symlink_to(trips / "dags")
    own = Export(catchup=True, start_date=date(2024, 12, 1), penstock=str(shared / "command"))
    write_dags(shared, shared / "dags", own)
    (airflow.home / "dags" / "shared").symlink_to(shared / "dags")
    (airflow.home / "dags" / "flaky_dags.py").write_text(
        "from datetime import UTC, datetime, timedelta\n"
        "from penstock.airflow.dags import penstock_dags\n"
        f"penstock_dags({str(flaky)!r}, schedule='@yearly', catchup=True, retry_delay=timedelta(seconds=2),\n"
        "              start_date=datetime(2025, 1, 1, tzinfo=UTC), layers=False,\n"
        f"              penstock={str(flaky / 'command')!r})\n"
    )
    airflow.start()

    # on schedule: each run the year of its data interval
    first = airflow.wait(LOADED, "trips_extract_load")[0]["run_id"]
    log = airflow.task_log("trips_extract_load", "load_trips", first)
    assert "--from 2025-01-01 --to 2025-12-31" in log and "trips: 4 read, 4 landed" in log
    assert "--from" not in airflow.task_log("trips_extract_load", "load_cities", first)
    transformed = airflow.wait(BY_ASSET, "trips_transform")[0]
    sources = airflow.rows(
        "select e.source_dag_id, e.source_task_id from dagrun_asset_event d join asset_event e on e.id = d.event_id"
        " where d.dag_run_id = ?",
        transformed["id"],
    )
    assert {tuple(s.values()) for s in sources} == {("trips_extract_load", "loaded")}
    order = airflow.rows(
        "select task_id from task_instance where dag_id = 'trips_transform' and run_id = ? order by start_date",
        transformed["run_id"],
    )
    assert [t["task_id"] for t in order] == ["transform_staging", "transform_marts"]

    # killed twice
    flaky_run = airflow.wait(LOADED, "flaky_extract_load")[0]["run_id"]
    (task,) = airflow.rows(
        "select try_number, state from task_instance where dag_id = 'flaky_extract_load' and task_id = 'load_trips'"
        " and run_id = ?",
        flaky_run,
    )
    assert task == {"try_number": 3, "state": "success"}
    assert "4 landed" not in airflow.task_log("flaky_extract_load", "load_trips", flaky_run, 2)
    assert "trips: 4 read, 4 landed" in airflow.task_log("flaky_extract_load", "load_trips", flaky_run, 3)
    airflow.wait(BY_ASSET, "flaky_transform")

    # side by side, and at midnight in Oslo, for the year before
    together = airflow.wait(LOADED, "shared_extract_load")[0]["run_id"]
    assert "2025-12-31T23:00:00" in together
    assert "trips: 5 read, 5 landed" in airflow.task_log("shared_extract_load", "load_trips", together)
    airflow.wait(BY_ASSET, "shared_transform")
    built = airflow.rows(
        "select run_id from task_instance where dag_id = 'shared_transform' and task_id = 'transform_marts'"
        " and state = 'success'"
    )  # the run by the clock may have been later than the load, and have left the other nothing to do
    logs = [airflow.task_log("shared_transform", "transform_marts", run["run_id"]) for run in built]
    assert any("success  model trips_by_country" in log for log in logs)
    told = asked(shared, "runs", "--json")
    assert {(r["detail"]["airflow"]["dag"], r["detail"]["airflow"]["task"]) for r in told} >= {
        ("shared_extract_load", "load_trips"),
        ("shared_extract_load", "load_cities"),
        ("shared_transform", "transform_marts"),
    }
    (load,) = [r["run_id"] for r in told if r["detail"]["airflow"]["task"] == "load_trips"]
    shown = command(shared, "runs", "show", str(load))
    assert f"in Airflow: dag shared_extract_load, run {together}, task load_trips, try 1" in shown

    # the year again
    settled(airflow)
    before = contents(trips)
    assert before["marts.trips_by_country"] == [("Norway", 2), ("Portugal", 2)]
    triggered = len(airflow.rows(BY_ASSET, "trips_transform"))
    done = airflow.run("tasks", "clear", "--yes", "-s", "2025-01-01", "-e", "2025-01-01", "trips_extract_load")
    assert done.returncode == 0, done.stdout
    airflow.wait(BY_ASSET, "trips_transform", enough=triggered + 1)
    again = airflow.task_log("trips_extract_load", "load_trips", first, 2)
    assert "trips: 0 rows landed" in again
    settled(airflow)
    latest = max(airflow.rows(BY_ASSET, "trips_transform"), key=lambda r: r["id"])["run_id"]
    assert "0 rows rebuilt, nothing has landed" in airflow.task_log("trips_transform", "transform_marts", latest)
    assert contents(trips) == before
    assert contents(flaky)["raw.trips"] and len(contents(flaky)["raw.trips"]) == 4


def command(project: Path, *words: str) -> str:
    """What a command prints."""
    done = subprocess.run(
        [PENSTOCK, *words, "--project-dir", project], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def asked(project: Path, *words: str) -> Any:
    """What a command prints, as data."""
    return json.loads(command(project, *words))


def settled(airflow: Airflow) -> None:
    """Wait until no run is under way."""
    airflow.wait("select 1 where not exists (select 1 from dag_run where state in ('queued', 'running'))")


def contents(project: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows of the project's tables."""
    with duckdb.connect(str(project / "warehouse.duckdb"), read_only=True) as connection:
        return {t: sorted(connection.execute(f"select * from {t}").fetchall(), key=str) for t in TABLES}
