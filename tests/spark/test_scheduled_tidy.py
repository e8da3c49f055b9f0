"""``penstock up`` looks after Iceberg tables by the clock, beside all that lands."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from penstock import Session, load_project
from penstock.destinations.spark.destination import SparkDestination
from penstock.destinations.spark.reachable import path_of
from penstock.errors import DestinationError
from penstock.land.loop import Stop
from penstock.runs.outcome import Listener
from penstock.runs.plan import RunPlan
from penstock.runs.tidy import tidy
from penstock.upkeep import TidiedTable
from tests.support.processes import wait_until
from tests.support.scheduled import drop, things
from tests.support.up import Up, call, shown, up

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def project(tmp_path: Path, prepared_postgres_url: str) -> Path:
    """Two streams of files that are watched, and tables that are looked after again and again."""
    settings = {
        "name": "counted",
        "target": "here",
        "destinations": {
            "here": {
                "type": "spark",
                "ledger": "books",
                "warehouse": "lake",
                "tidy": {"schedule": "every 1s", "max_snapshot_age": "0s"},
            },
            "books": {"type": "postgres", "url": prepared_postgres_url},
        },
        "sources": {
            "files": {"type": "files", "path": "data/*.ndjson", "settle_seconds": 0.05},
            "others": {"type": "files", "path": "others/*.ndjson", "settle_seconds": 0.05},
        },
        "streams": {"things": {"from": "files"}, "others": {"from": "others"}},
        "transform": False,
    }
    (tmp_path / "penstock.yml").write_text(json.dumps(settings))
    for name in ("data", "others"):
        (tmp_path / name).mkdir()
    (tmp_path / "others" / "1.ndjson").write_text('{"n": 1}\n')
    return tmp_path


def tidied(process: Up) -> list[list[Any]]:
    """The runs that have looked after the tables, newest first: number, status, and how many files were rewritten."""
    return process.query(
        "select run_id, status, detail ->> 'rewritten' from penstock.runs"
        " where schedule = 'tidy' and ended_at is not null order by 1 desc"
    )


def landed(process: Up, records: int) -> bool:
    """Whether so many have landed."""
    return things(process)() == records


def lake(folder: Path) -> SparkDestination:
    """The warehouse, opened by somebody else."""
    destination = Session(load_project(folder)).destination
    assert isinstance(destination, SparkDestination)
    return destination


def after_next(process: Up) -> Callable[[], bool]:
    """Whether a run has ended that began after now."""
    last = tidied(process)[0][0]
    return lambda: tidied(process)[0][0] > last + 1


def test_small_files_are_written_together_while_records_land(project: Path) -> None:
    """A file a load, until they are looked after: then there are fewer, and the same rows. The runs are in the ledger
    with a step for each table, in the metrics, the log and the status."""
    with up(project) as process:
        for n in range(8):
            drop(project, str(n))
            wait_until(partial(landed, process, n + 1), process.said(), seconds=30)
        wait_until(after_next(process), process.said(), seconds=90)
        table = lake(project).catalog.load_table("raw.things")
        assert int(table.current_snapshot().summary["total-data-files"]) < 5  # type: ignore[union-attr,index,arg-type]
        assert things(process)() == 8
        runs = tidied(process)
        assert {status for _, status, _ in runs} == {"success"}
        assert sum(int(rewritten) for _, _, rewritten in runs) >= 5
        steps = shown(project, runs[0][0])["steps"]
        assert [(s["kind"], s["name"], s["status"]) for s in steps] == [
            ("tidy", "raw.others", "success"),
            ("tidy", "raw.things", "success"),
        ]
        page = process.get("/metrics")[1]
        assert 'penstock_scheduled_runs_total{schedule="tidy",status="success"}' in page
        assert 'penstock_schedule_last_run_success{project="counted",schedule="tidy"} 1.0' in page
        assert "schedule tidy" in process.said() and "table looked after" in process.said()
        assert "tidy" in call(project, "status").stdout
        assert process.part("schedule tidy")["state"] == "running"
        assert process.end() == 0, process.said()


def test_a_table_that_cannot_be_looked_after(project: Path) -> None:
    """What fails of one table is told, by the log, the ledger, the metrics and an alert; the others are looked after,
    and what comes lands. Once it is mended, it is well again."""
    with up(project) as process:
        drop(project, "first")
        wait_until(lambda: things(process)() == 1 and bool(tidied(process)), process.said(), seconds=60)
        table = lake(project).catalog.load_table("raw.others")
        manifests = Path(path_of(table.current_snapshot().manifest_list))  # type: ignore[union-attr]
        manifests.rename(project / "away")
        wait_until(lambda: tidied(process)[0][1] == "error", process.said(), seconds=60)
        drop(project, "second")
        wait_until(lambda: things(process)() == 2, process.said(), seconds=30)
        failed = shown(project, next(run for run, status, _ in tidied(process) if status == "error"))
        assert [(s["name"], s["status"]) for s in failed["steps"]] == [
            ("raw.others", "error"),
            ("raw.things", "success"),
        ]
        assert "a table was not looked after" in process.said()
        assert 'penstock_scheduled_runs_total{schedule="tidy",status="error"}' in process.get("/metrics")[1]
        alerts = "select count(*) from penstock.alerts where alert = 'schedule_failed' and subject = 'schedule tidy'"
        wait_until(lambda: process.query(alerts) == [[1]], process.said(), seconds=30)
        assert process.part("schedule tidy")["state"] == "running"
        (project / "away").rename(manifests)
        wait_until(lambda: tidied(process)[0][1] == "success", process.said(), seconds=60)
        assert process.end() == 0, process.said()


def test_by_command_as_by_the_clock(project: Path) -> None:
    """``penstock tidy`` is a run in the ledger too; a stop ends it after the table in hand, and a failure of one table
    ends the command with 1 once the others are done."""
    drop(project, "first")
    assert call(project, "load").returncode == 0
    assert call(project, "tidy").returncode == 0
    with Session(load_project(project)) as session:
        rows = session.destination.query("select kind, status, schedule from penstock.runs where kind = 'tidy'").rows
        assert rows == [("tidy", "success", None)]

        class Ends(Listener):
            def tidied(self, table: TidiedTable) -> None:
                seen.append(table.table)
                stop.set()

        seen, stop = list[str](), Stop()
        report = tidy(RunPlan(kind="tidy"), session, listener=Ends(), stop=stop)
        assert (report.status, seen) == ("stopped", ["raw.others"])
        table = lake(project).catalog.load_table("raw.others")
        Path(path_of(table.current_snapshot().manifest_list)).unlink()  # type: ignore[union-attr]
        report = tidy(RunPlan(kind="tidy", retries=1), session)
        assert (report.status, report.attempts) == ("error", 2)
        assert isinstance(report.error, DestinationError)
    done = call(project, "tidy")
    assert done.returncode == 1
    assert "raw.others: " in done.stdout and "raw.things: " in done.stdout
