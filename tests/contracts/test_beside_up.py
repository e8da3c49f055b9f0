"""What works while ``penstock up`` has a DuckDB file to itself, and what is said of what does not."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import pytest

import penstock
from penstock.alerts.expectations import judge
from penstock.errors import DestinationError
from penstock.project import load_project
from tests.support.queues import a_queue
from tests.support.scheduled import a_project, things
from tests.support.up import call, eventually, up

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
        asked = penstock.query(project, "select $1 || name, $2 from raw.things", ["a ", date(2026, 5, 1)])
        assert asked.rows == [("a first", date(2026, 5, 1))]
        with pytest.raises(DestinationError, match="read-only"):
            penstock.query(project, "delete from raw.things")
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


@pytest.mark.parametrize("schedule", ["@yearly", None])
def test_every_fix_can_be_followed(tmp_path: Path, schedule: str | None) -> None:
    """Each command that the fix of a refused one names works beside the process; what has no schedule is not asked
    for, and no fix leads back to what was refused."""
    project = a_project(tmp_path, WAREHOUSE, schedule)
    with up(project) as process:
        if schedule is None:
            eventually(things(process), 1)
        for words in (["load"], ["run"], ["quarantine", "replay", "--all"]):
            refused = call(project, *words)
            assert refused.returncode == 5, refused.stderr
            fix = refused.stderr.partition("fix: ")[2]
            named = re.findall(r"penstock ([a-z-]+(?: list| --now)?)", fix)
            assert {"query", "status", "check", "runs", "quarantine list"} <= set(named)
            assert ("run --now" in named) == (schedule is not None)
        asked = call(project, "run", "--now")
        if schedule is None:
            for words in (["query", "select 1"], ["status"], ["check"], ["runs"], ["quarantine", "list"]):
                assert call(project, *words).returncode == 0
            assert asked.returncode == 2 and "lands what comes" in asked.stderr and "penstock run" not in asked.stderr
            named_one = call(project, "run", "--now", "things")
            assert named_one.returncode == 2 and "penstock run" not in named_one.stderr
        else:
            assert asked.returncode == 0
        assert process.end() == 0


def test_what_holds_a_postgres(tmp_path: Path, postgres_url: str) -> None:
    """PostgreSQL is held by nobody: a second process is refused as such, and commands work beside the first."""
    project = a_project(tmp_path, {"type": "postgres", "url": postgres_url}, "@yearly")
    with up(project) as process:
        again = call(project, "up")
        assert again.returncode == 5 and "the project is up already" in again.stderr
        assert "held by" not in again.stderr and str(process.process.pid) in again.stderr
        assert call(project, "load").returncode == 0
        assert process.end() == 0


def test_a_changed_project_file(tmp_path: Path) -> None:
    """The process says once that it goes on with what it was started with, and what to do; so do status and /readyz,
    until the file is as it was."""
    project = a_project(tmp_path, WAREHOUSE, None)
    file = project / "penstock.yml"
    before = file.read_text()
    with up(project) as process:
        eventually(things(process), 1)
        assert process.get("/readyz") == (200, "ready\n") and process.status()["note"] is None
        file.write_text(before.replace('"schedule": null', '"schedule": "@daily"'))
        eventually(lambda: "penstock.yml was changed" in process.said(), True)
        code, text = process.get("/readyz")
        assert code == 200 and text.startswith("ready\npenstock.yml was changed") and "start it again" in text
        assert "penstock.yml was changed" in call(project, "status").stdout
        file.write_text("streams: [")
        code, text = process.get("/readyz")
        assert code == 200 and "cannot be read" in text
        file.write_text(before)
        assert process.get("/readyz") == (200, "ready\n")
        assert process.said().count("penstock.yml was changed") == 2
        assert process.end() == 0


def test_publishing(tmp_path: Path, rabbitmq_url: str) -> None:
    """``watch --publish`` beside the process puts files on the queue, once, and the process lands them."""
    project = a_project(tmp_path, WAREHOUSE, None)
    queue = a_queue(rabbitmq_url, "classic")
    settings = json.loads((project / "penstock.yml").read_text())
    settings["sources"]["queue"] = {
        "type": "rabbitmq", "url": rabbitmq_url, "queue": queue.queue, "queue_type": "classic",
    }  # fmt: skip
    settings["streams"]["things"]["from"] = "queue"
    (project / "penstock.yml").write_text(json.dumps(settings))
    words = ("watch", str(project / "data"), "--stream", "things", "--publish", "--once")
    with up(project) as process:
        assert "1 message published" in call(project, *words).stdout
        eventually(things(process), 1)
        assert "nothing new" in call(project, *words).stdout
        assert process.end() == 0
    assert "nothing new" in call(project, *words).stdout
