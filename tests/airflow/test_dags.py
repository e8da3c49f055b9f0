"""The DAGs as Airflow sees them, and one run of each without a scheduler."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from penstock.airflow.dag_files import Export, write_dags
from penstock.samples.cars import feeds
from penstock.samples.moments import moment_of
from penstock.samples.sample_server import SampleServer
from penstock.samples.texts import page
from penstock.scaffold import RESIDUE
from tests.support.airflow_home import PENSTOCK, Airflow

EXAMPLES = sorted(
    p.parent.parent for p in (Path(__file__).parents[2] / "examples").glob("*/dags/extract_load_pipeline.py")
)

PARSE = """
import json, runpy, sys, time
import airflow.sdk, airflow.providers.standard.operators.bash
from airflow.serialization.serialized_objects import DagSerialization
if sys.argv[1] == "alone":
    sys.modules["penstock"] = None
started = time.process_time()
found = {}
for path in sys.argv[2:]:
    found |= {k: v for k, v in runpy.run_path(path).items() if isinstance(v, airflow.sdk.DAG)}
seconds = time.process_time() - started  # of this process alone: the machine may be at other work
heavy = [m for m in ("dbt", "duckdb", "pyarrow", "penstock.project", "penstock.land.loop") if m in sys.modules]
"""


def dag_file(folder: Path, project: Path, **arguments: Any) -> Path:
    """The three lines."""
    given = "".join(f", {name}={value!r}" for name, value in arguments.items())
    path = folder / f"{project.name}_dags.py"
    path.write_text(f"from penstock.airflow.dags import penstock_dags\n\npenstock_dags({str(project)!r}{given})\n")
    return path


def serialized(airflow: Airflow, *, seconds: float = 120) -> dict[str, Any]:
    """What ``airflow dags reserialize`` makes of the DAGs folder: the DAGs by id, as the scheduler has them."""
    done = airflow.run("dags", "reserialize", seconds=seconds)
    assert done.returncode == 0, done.stdout
    assert airflow.rows("select filename, stacktrace from import_error") == []
    rows = airflow.rows("select dag_id, data from serialized_dag")
    return {r["dag_id"]: json.loads(r["data"])["dag"] for r in rows}


def told(dag: Any) -> dict[str, Any]:
    """Of a serialized DAG, all that matters for its runs."""
    tasks = {}
    for task in dag["tasks"]:
        var = task["__var"]
        wanted = ("task_id", "bash_command", "env", "append_env", "outlets", "downstream_task_ids", "do_xcom_push")
        tasks[var["task_id"]] = {k: var.get(k) for k in wanted}
    left_out = {"fileloc", "relative_fileloc", "tasks", "task_group", "_processor_dags_folder", "dag_dependencies"}
    return {**{k: v for k, v in dag.items() if k not in left_out}, "tasks": tasks}


@dataclass(frozen=True, slots=True, kw_only=True)
class ARun:
    """An example's run of one day: the API that it asks, with the variable that names it; the days that its load is to
    say; a line of that load; some models and tests that are to be built; and a mart that holds what they made."""

    example: str
    api: str | None = None
    variable: str = ""
    day: str
    said: str
    line: str
    built: tuple[str, ...]
    mart: str


RUNS = (
    ARun(
        example="user_events",
        day="2025-03-04",
        said="--from 2025-03-03 --to 2025-03-03",
        line="organizations: 8 read, 8 landed",
        built=("success  model stg_user_events", "pass     test reports_agree"),
        mart="reports.user_events_daily",
    ),
    ARun(
        example="random_users",
        api="users",
        variable="RANDOM_USERS_URL",
        day="2025-07-02",
        said="--from 2025-07-01 --to 2025-07-01",
        line="users: 1,400 read, 1,400 landed",
        built=("success  model dim_user", "pass     test "),
        mart="marts.fct_user_registration",
    ),
    ARun(
        example="car_subscriptions",
        api="cars",
        variable="CARS_API",
        day="2024-03-16",
        said="--from 2024-03-11 --to 2024-03-15 --lookback 4",
        line="cars: ",
        built=("success  model fleet_by_day", "pass     test "),
        mart="marts.fleet_by_day",
    ),
)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.example)
def test_a_run_of_each(airflow: Airflow, tmp_path: Path, run: ARun) -> None:
    """Both DAGs of each example run to success, its API on a port of its own; a day's run lands that day alone, and
    the four before it where the API shows some records late; each model and test is in the log."""
    project = tmp_path / run.example
    shutil.copytree(EXAMPLES[0].parent / run.example, project, ignore=shutil.ignore_patterns(*RESIDUE))
    (airflow.home / "dags" / "example").symlink_to(project / "dags")

    def tested(dag: str, **environ: str) -> str:
        done = airflow.run("dags", "test", f"{run.example}_{dag}", run.day, seconds=400, **environ)
        assert done.returncode == 0 and "state=success" in done.stdout, done.stdout
        return done.stdout

    if run.api is None:
        loaded = tested("extract_load")
    else:
        settings: dict[str, Any] = {"records": 1_400, **({"days": 100} if run.api == "cars" else {})}
        with SampleServer.of(run.api, **settings) as server:
            loaded = tested("extract_load", **{run.variable: server.url})
    assert run.said in loaded and run.line in loaded, loaded
    built = tested("transform")
    assert all(line in built for line in run.built), built
    assert count(project, run.mart) > 0
    if run.example != "random_users":  # whose days are not the people's, but the seeds'
        column, table = ("received_at", "user_events") if run.api is None else ("updated", "cars")
        with duckdb.connect(str(project / "warehouse.duckdb"), read_only=True) as connection:
            sql = f"select min(cast({column} as date)), max(cast({column} as date)) from raw.{table}"
            first, last = connection.execute(sql).fetchall()[0]
        assert run.said.startswith(f"--from {first} --to {last}")


@pytest.mark.timeout(300)
def test_late_cars(airflow: Airflow, tmp_path: Path) -> None:
    """Run day after day, while the API shows some cars only on a later day than their own, the load's DAG ends with all
    of them."""
    project = tmp_path / "car_subscriptions"
    shutil.copytree(EXAMPLES[0].parent / project.name, project, ignore=shutil.ignore_patterns(*RESIDUE))
    (airflow.home / "dags" / "example").symlink_to(project / "dags")
    settings: dict[str, Any] = {"records": 60, "days": 4}
    for day in range(1, 5):
        as_of = moment_of(f"2024-01-0{day}", end_of_day=True)
        with SampleServer.of("cars", **settings, as_of=as_of) as server:
            run = ("dags", "test", "car_subscriptions_extract_load", f"2024-01-0{day + 1}")
            done = airflow.run(*run, seconds=120, CARS_API=server.url)
            assert done.returncode == 0 and "state=success" in done.stdout, done.stdout
    served = set()
    for feed in feeds(**settings):
        chosen = feed.select(None, None, None)
        served |= {
            (feed.name, r) for r in page(feed.fields, feed.columns(chosen.numbers(0, 60)), "ndjson").splitlines()
        }
    assert sum(count(project, f"raw.{name}") for name in ("cars", "customers", "subscriptions")) == len(served)


def test_the_examples_dags(airflow: Airflow, tmp_path: Path) -> None:
    """The DAG files of the examples import without errors, and are what the three lines give."""
    assert EXAMPLES
    folder = airflow.home / "dags"
    for example in EXAMPLES:
        shutil.copytree(example, tmp_path / example.name, ignore=shutil.ignore_patterns(*RESIDUE))
        (folder / example.name).symlink_to(tmp_path / example.name / "dags")
    exported = serialized(airflow)
    assert set(exported) == {f"{e.name}_{what}" for e in EXAMPLES for what in ("extract_load", "transform")}
    for example in EXAMPLES:
        (folder / example.name).unlink()
        dag_file(folder, tmp_path / example.name)
    given = serialized(airflow)
    assert {k: told(v) for k, v in given.items()} == {k: told(v) for k, v in exported.items()}


def test_parsing(airflow: Airflow, trips: Path) -> None:
    """A DAG file is read in under 0.3 s of Airflow's own process, without dbt or a warehouse's driver; the exported
    ones without Penstock."""
    three_lines = dag_file(airflow.home, trips)
    seconds, heavy = json.loads(airflow.python(PARSE + "print(json.dumps([seconds, heavy]))", "with", str(three_lines)))
    assert seconds < 0.3 and heavy == []
    exported = write_dags(trips, trips / "dags")
    code = PARSE + "print(json.dumps([seconds, heavy, sys.modules['penstock']]))"
    seconds, heavy, penstock = json.loads(airflow.python(code, "alone", *map(str, exported)))
    assert seconds < 0.3 and heavy == [] and penstock is None


def test_a_broken_project_is_an_import_error(airflow: Airflow, trips: Path) -> None:
    """Airflow shows what is wrong with the project, and where."""
    dag_file(airflow.home / "dags", trips)
    text = (trips / "penstock.yml").read_text()
    (trips / "penstock.yml").write_text(text.partition("streams:")[0])
    airflow.run("dags", "reserialize")
    (error,) = airflow.rows("select stacktrace from import_error")
    assert "penstock.yml: has no stream" in error["stacktrace"]


def test_every_parameter_arrives(airflow: Airflow, trips: Path) -> None:
    """Schedule, retries, start, catch-up, target, command and look-back are the same by import and by export. So is
    what the project says itself: a stream with a schedule of its own has a DAG of its own, which updates the same
    asset."""
    (trips / "penstock.yml").write_text((trips / "penstock.yml").read_text().replace("local:", "here:"))
    own = trips.parent / "own"
    shutil.copytree(trips, own)
    text = (trips / "penstock.yml").read_text().replace("name: trips", "name: own")
    text = text.replace("  cities:\n", "  cities:\n    schedule: every 90m\n")
    text += "schedule: { cron: '0 6 L * mon#1', timezone: Europe/Oslo, retries: 1, retry_delay: 10s }\n"
    (own / "penstock.yml").write_text(text)
    asked: dict[str, Any] = {
        "schedule": "30 5 * * 1",
        "timezone": "Europe/Oslo",
        "catchup": True,
        "retries": 1,
        "lookback_days": 3,
        "target": "here",
        "penstock": str(PENSTOCK),
        "layers": False,
    }
    folder = airflow.home / "dags"
    write_dags(trips, folder / "trips", Export(**asked))
    write_dags(own, folder / "own")
    exported = serialized(airflow)
    for path in folder.glob("*/*.py"):
        path.unlink()
    dag_file(folder, trips, **asked)
    dag_file(folder, own)
    given = {k: told(v) for k, v in serialized(airflow).items()}
    assert given == {k: told(v) for k, v in exported.items()}
    load = given["trips_extract_load"]
    assert load["catchup"] is True and load["default_args"]["__var"]["retries"] == 1
    assert "days=3" in load["tasks"]["load_trips"]["bash_command"]
    assert list(given["trips_transform"]["tasks"]) == ["transform"]

    assert sorted(k for k in given if k.startswith("own")) == [
        "own_extract_load",
        "own_extract_load_cities",
        "own_transform",
    ]
    whole, apart = given["own_extract_load"], given["own_extract_load_cities"]
    assert "0 6 L * mon#1" in str(whole["timetable"]) and "Europe/Oslo" in str(whole["timetable"])
    assert "5400" in str(apart["timetable"]) and sorted(apart["tasks"]) == ["load_cities", "loaded"]
    assert sorted(whole["tasks"]) == ["load_trips", "loaded"]
    assert apart["tasks"]["loaded"]["outlets"] == whole["tasks"]["loaded"]["outlets"]
    assert whole["default_args"]["__var"]["retries"] == 1 and apart["default_args"]["__var"]["retries"] == 3


def count(project: Path, table: str) -> int:
    """How many rows a table of the project's DuckDB has."""
    with duckdb.connect(str(project / "warehouse.duckdb"), read_only=True) as connection:
        (found,) = connection.execute(f"select count(*) from {table}").fetchone() or (0,)
        return int(found)
