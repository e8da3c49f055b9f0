"""Metrics: what a process counts, what the ledger says on both warehouses, and the file that commands leave."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric

from penstock.ledger.run_records import RunRecord
from penstock.ports import Destination, Receipt
from penstock.project import load_project
from penstock.up.figures import Figures, LedgerFigures, text_page
from penstock.up.metrics import metric_catalogue
from tests.support.fixtures import EMBEDDED
from tests.support.metrics import conform
from tests.support.scheduled import a_project
from tests.support.up import call


def values(family: Metric) -> dict[tuple[str, ...], float]:
    """Values by labels, in the order of their names, without the project."""
    return {tuple(v for k, v in sorted(s.labels.items()) if k != "project"): s.value for s in family.samples}


def test_the_catalogue_is_sound() -> None:
    """Names are unique and as Prometheus asks for, a counter's ends in ``_total``; durations, times and records are
    called so; and each has a help."""
    metrics = metric_catalogue()
    assert len({m.name for m in metrics}) == len(metrics)
    for metric in metrics:
        assert re.fullmatch(r"penstock_[a-z][a-z_]*", metric.name) and metric.help.endswith(".")
        assert metric.name.endswith("_total") == (metric.type == "counter"), metric.name
        assert metric.name.endswith("_duration_seconds") or metric.type != "histogram", metric.name
        assert metric.name.endswith("_timestamp_seconds") or not metric.help.startswith("When "), metric.name
        assert "records" in metric.name or not metric.help.startswith("Records "), metric.name


def test_counts_of_a_process(tmp_path: Path) -> None:
    """Commits and builds are counted; who runs is said."""
    project = load_project(a_project(tmp_path, EMBEDDED, None))
    figures = Figures()
    figures.project(project)
    figures.stream("quiet")
    at = datetime(2026, 5, 1, tzinfo=UTC)
    for number in (1, 2):
        figures.committed(
            Receipt(
                load_id=number, seq=number, stream="s", source="f", read=10, landed=7, duplicates=2, quarantined=1,
                deleted=0, bytes=100, started_at=at, committed_at=at + timedelta(seconds=0.3),
            )
        )  # fmt: skip
    figures.built(1.5, rows=12)
    found = conform(figures.page().decode())
    assert values(found["penstock_records_read_total"]) == {("quiet",): 0, ("s",): 20}
    assert values(found["penstock_read_bytes_total"])[("s",)] == 200
    assert values(found["penstock_records_quarantined_total"])[("s",)] == 2
    seconds = {
        s.name.rpartition("_")[2]: s.value
        for s in found["penstock_batch_duration_seconds"].samples
        if s.labels["stream"] == "s"
    }
    assert seconds["count"] == 2 and seconds["sum"] == pytest.approx(0.6)
    assert values(found["penstock_transform_rows_total"]) == {(): 12}
    (labels,) = (s.labels for s in found["penstock_build_info"].samples)
    assert (labels["project"], labels["target"]) == ("counted", "here")


def test_what_the_ledger_says(destination: Destination) -> None:
    """Loads are added up, also those that came since it was asked last; runs, schedules and models with their times."""

    def load(seq: int, at: datetime) -> None:
        destination.query(
            "insert into penstock.loads values ($1, $1, 's', 'f', 10, 7, 2, 1, 0, 100, $2, $2)", [seq, at]
        )

    def read(of: LedgerFigures) -> dict[str, dict[tuple[str, ...], float]]:
        page = text_page(of.read(destination.query)).decode()
        return {name: values(family) for name, family in conform(page).items()}

    at = datetime(2026, 5, 1, tzinfo=UTC)
    ledger = LedgerFigures("p")
    assert not any(read(ledger).values())
    load(1, at)
    assert read(ledger)["penstock_ledger_records_landed_total"] == {("s",): 7}
    load(2, at + timedelta(hours=1))
    load(3, at + timedelta(hours=2))
    destination.query("insert into penstock.watermarks (model, seq, updated_at) values ('m', 2, $1)", [at])
    destination.query("insert into penstock.watermarks values ('gone', 1, $1, $1)", [at])
    run = RunRecord.begin(destination.ledger, "schedule", schedule="project", due=at.isoformat())
    run.end("success")
    failed = RunRecord.begin(destination.ledger, "schedule", schedule="project", due=at.isoformat())
    failed.end("error")
    RunRecord.begin(destination.ledger, "load")
    destination.query(
        "insert into penstock.schedules values ('project', 'every 1h', $1, $1, $2, $1)", [at, failed.run_id]
    )
    for figures in (ledger, LedgerFigures("p")):
        found = read(figures)
        assert found["penstock_ledger_loads_total"] == {("s",): 3}
        assert found["penstock_ledger_records_read_total"] == {("s",): 30}
        assert found["penstock_ledger_records_quarantined_total"] == {("s",): 3}
        assert found["penstock_last_commit_timestamp_seconds"] == {("s",): (at + timedelta(hours=2)).timestamp()}
        assert found["penstock_model_loads_behind"] == {("m",): 1}
        assert found["penstock_model_loaded_timestamp_seconds"] == {("m",): (at + timedelta(hours=1)).timestamp()}
        assert found["penstock_schedule_next_timestamp_seconds"] == {("project",): at.timestamp()}
        assert found["penstock_schedule_last_run_success"] == {("project",): 0}
        good = found["penstock_schedule_last_success_timestamp_seconds"][("project",)]
        assert time.time() - 60 < good <= found["penstock_last_run_timestamp_seconds"][("schedule",)]
        assert found["penstock_last_run_success"] == {("schedule",): 0}  # the load goes on


@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_the_command(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> None:
    """It prints, or writes a file whole; before the first load there is nothing to say."""
    warehouse: dict[str, Any] = dict(EMBEDDED)
    if kind == "postgres":
        warehouse = {"type": "postgres", "url": request.getfixturevalue("postgres_url")}
    project = a_project(tmp_path, warehouse, None)
    empty = call(project, "metrics")
    assert (empty.returncode, empty.stdout) == (0, "")
    (project / "data" / "odd.ndjson").write_text("{\n")
    assert call(project, "load").returncode == 0
    file = tmp_path / "node" / "counted.prom"
    refused = call(project, "metrics", "--output", str(file))
    assert refused.returncode == 2 and "fix:" in refused.stderr
    file.parent.mkdir()
    assert call(project, "metrics", "--output", str(file)).returncode == 0
    assert [p.name for p in file.parent.iterdir()] == [file.name] and file.stat().st_mode & 0o777 == 0o644
    found = conform(file.read_text())
    assert values(found["penstock_ledger_records_landed_total"]) == {("things",): 1}
    assert values(found["penstock_quarantine_records"]) == {("invalid_json", "things"): 1}
    assert values(found["penstock_last_run_success"]) == {("load",): 1}
    assert {s.labels["project"] for family in found.values() for s in family.samples} == {"counted"}
