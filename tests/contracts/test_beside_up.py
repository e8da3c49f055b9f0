"""What works while ``penstock up`` has a DuckDB file to itself, and what is said of what does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.alerts.expectations import judge
from penstock.project import load_project
from tests.contracts.test_schedule import a_project, things
from tests.contracts.test_up import call, eventually, up

WAREHOUSE = {"type": "duckdb", "path": "warehouse.duckdb", "lock_timeout_seconds": 0.2}


def test_looking_and_loading(tmp_path: Path) -> None:
    """Quarantine and doctor ask the process, and find what they find without it; a load says what to do instead, which
    works; nobody is told to kill."""
    project = a_project(tmp_path, WAREHOUSE, "@yearly")
    (project / "data" / "bad.ndjson").write_text('no "json\n')
    assert call(project, "quarantine", "list").stdout == "quarantine: empty\n"
    assert call(project, "quarantine", "show", "aa").returncode == 2
    assert not (project / "warehouse.duckdb").exists()
    with up(project) as process:
        assert call(project, "run", "--now").returncode == 0
        eventually(things(process), 1)
        beside = call(project, "quarantine", "list", "--json")
        (entry,) = json.loads(beside.stdout)
        assert entry["reason_code"] == "invalid_json"
        shown = call(project, "quarantine", "show", entry["id"][:8])
        assert 'no "json' in shown.stdout, shown.stderr
        by_stream = call(project, "quarantine", "list", "--stream", "it's", "--settled")
        assert by_stream.stdout == "quarantine: empty\n", by_stream.stderr
        doctor = call(project, "doctor")
        assert doctor.returncode == 0, doctor.stdout
        assert "ok    destination here: v" in doctor.stdout and f"process {process.process.pid}" in doctor.stdout
        for words in (["load"], ["quarantine", "replay", "--all"]):
            refused = call(project, *words)
            assert refused.returncode == 5
            assert f"process {process.process.pid}, penstock up" in refused.stderr
            assert "penstock run --now" in refused.stderr and "kill" not in refused.stderr
        again = call(project, "up")
        assert again.returncode == 5 and "SIGTERM" in again.stderr and "kill" not in again.stderr
        assert process.end() == 0
    alone = call(project, "quarantine", "list", "--json")
    assert json.loads(alone.stdout) == json.loads(beside.stdout)
    assert call(project, "quarantine", "show", entry["id"]).stdout == shown.stdout
    assert "ledger in place" in call(project, "doctor").stdout
    assert call(project, "load").returncode == 0


@pytest.mark.parametrize(
    ("schedule", "own", "fix"),
    [
        ("@daily", None, "penstock run --now things; "),
        (None, "@daily", "penstock run --now things; "),
        (None, None, "penstock doctor asks its sources; penstock up lands what is new"),
        ("@daily", False, "penstock doctor asks its sources; penstock up lands what is new"),
    ],
)
def test_what_mends_a_stale_stream(tmp_path: Path, schedule: str | None, own: str | bool | None, fix: str) -> None:
    """What works beside the process: a run at once of what is scheduled, which nothing else may load."""
    project = a_project(tmp_path, WAREHOUSE, schedule, expect="fresh within 10m")
    if own is not None:
        settings = json.loads((project / "penstock.yml").read_text())
        settings["streams"]["things"]["schedule"] = own
        (project / "penstock.yml").write_text(json.dumps(settings))
    (verdict,) = judge(load_project(project), None)
    assert verdict.state == "failed" and verdict.fix.startswith(fix)
