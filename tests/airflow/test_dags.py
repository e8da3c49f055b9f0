"""The DAGs as Airflow sees them, and one run of each without a scheduler."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb

from penstock.orchestrate.dag_files import Export, dag_texts, write_dags
from penstock.scaffold import RESIDUE
from tests.airflow_home import Airflow

EXAMPLES = sorted(
    p.parent.parent for p in (Path(__file__).parents[2] / "examples").glob("*/dags/extract_load_pipeline.py")
)

PARSE = """
import json, runpy, sys, time
import airflow.sdk, airflow.providers.standard.operators.bash
from airflow.serialization.serialized_objects import DagSerialization
if sys.argv[1] == "alone":
    sys.modules["penstock"] = None
started = time.perf_counter()
found = {}
for path in sys.argv[2:]:
    found |= {k: v for k, v in runpy.run_path(path).items() if isinstance(v, airflow.sdk.DAG)}
seconds = time.perf_counter() - started
heavy = [m for m in ("dbt", "duckdb", "pyarrow", "penstock.project", "penstock.run") if m in sys.modules]
"""


def dag_file(folder: Path, project: Path, **arguments: Any) -> Path:
    """The three lines."""
    given = "".join(f", {name}={value!r}" for name, value in arguments.items())
    path = folder / f"{project.name}_dags.py"
    path.write_text(
        f"from penstock.orchestrate.airflow import penstock_dags\n\npenstock_dags({str(project)!r}{given})\n"
    )
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


def test_a_run_of_each(airflow: Airflow, tmp_path: Path) -> None:
    """The example's DAGs run to success; a day's run lands that day; each model and test is in the log."""
    example = Path(__file__).parents[2] / "examples" / "user_events"
    project = tmp_path / "user_events"
    shutil.copytree(example, project, ignore=shutil.ignore_patterns(*RESIDUE))
    (airflow.home / "dags" / "example").symlink_to(project / "dags")

    def run(dag: str) -> str:
        done = airflow.run("dags", "test", f"user_events_{dag}", "2025-03-04", seconds=400)
        assert done.returncode == 0 and "state=success" in done.stdout, done.stdout
        return done.stdout

    first = run("extract_load")
    assert "--from 2025-03-03 --to 2025-03-03" in first and "organizations: 8 read, 8 landed" in first
    landed = count(project, "raw.user_events")
    with duckdb.connect(str(project / "warehouse.duckdb"), read_only=True) as connection:
        days = connection.execute("select distinct cast(received_at as date) from raw.user_events").fetchall()
    assert landed > 0 and [str(d) for (d,) in days] == ["2025-03-03"]
    built = run("transform")
    assert "success  model stg_user_events" in built and "pass     test reports_agree" in built
    assert count(project, "raw.user_events") == landed
    assert count(project, "reports.user_events_daily") > 0


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
    """A DAG file is read in under 0.3 s, without dbt or a warehouse's driver; the exported ones without Penstock."""
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
    (trips / "penstock.yml").write_text("name: trips\n")
    airflow.run("dags", "reserialize")
    (error,) = airflow.rows("select stacktrace from import_error")
    assert "penstock.yml: has no stream" in error["stacktrace"]


def test_every_parameter_arrives(airflow: Airflow, trips: Path) -> None:
    """Schedule, retries, start, catch-up, target, command and look-back are the same by import and by export."""
    (trips / "penstock.yml").write_text((trips / "penstock.yml").read_text().replace("local:", "here:"))
    export = Export(
        schedule="30 5 * * 1",
        timezone="Europe/Oslo",
        catchup=True,
        retries=1,
        lookback_days=3,
        target="here",
        penstock="/opt/penstock/bin/penstock",
        layers=False,
    )
    folder = airflow.home / "dags"
    for name, text in dag_texts(trips, folder, export).items():
        (folder / name).write_text(text)
    exported = serialized(airflow)
    for path in folder.glob("*.py"):
        path.unlink()
    dag_file(
        folder,
        trips,
        schedule="30 5 * * 1",
        timezone="Europe/Oslo",
        catchup=True,
        retries=1,
        lookback_days=3,
        target="here",
        penstock="/opt/penstock/bin/penstock",
        layers=False,
    )
    given = {k: told(v) for k, v in serialized(airflow).items()}
    assert given == {k: told(v) for k, v in exported.items()}
    load = given["trips_extract_load"]
    assert load["catchup"] is True and load["default_args"]["__var"]["retries"] == 1
    assert "days=3" in load["tasks"]["load_trips"]["bash_command"]
    assert list(given["trips_transform"]["tasks"]) == ["transform"]


def count(project: Path, table: str) -> int:
    """How many rows a table of the project's DuckDB has."""
    with duckdb.connect(str(project / "warehouse.duckdb"), read_only=True) as connection:
        (found,) = connection.execute(f"select count(*) from {table}").fetchone() or (0,)
        return int(found)
