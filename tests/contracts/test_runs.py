"""What ran is in the ledger, with its steps, on both warehouses; and what an older ledger becomes."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from penstock.cli.runs import print_run
from penstock.land.session import Session
from penstock.ledger.run_records import KEPT, RunRecord, RunStep, forget, read_run, read_runs
from penstock.ledger.soundness import missing_parts
from penstock.ports import Destination
from penstock.project import load_project
from tests.support.fixtures import EMBEDDED
from tests.support.scheduled import a_project, drop, start
from tests.support.up import call, shown


@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_commands_are_runs(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> None:
    """A load is a run with a step for each stream: counts when it went well, error and fix when it did not, also of
    what had landed before it failed. Passwords are in neither."""
    warehouse = dict(EMBEDDED)
    if kind == "postgres":
        warehouse = {"type": "postgres", "url": request.getfixturevalue("postgres_url")}
    project = a_project(tmp_path, warehouse, None, contract="freeze", columns={"name": "text"})
    loaded = json.loads(call(project, "load", "--json").stdout)
    first = shown(project, loaded["run"])
    (step,) = first["steps"]
    assert (first["kind"], first["status"]) == ("load", "success") and first["ended_at"] >= first["started_at"]
    assert [step[n] for n in ("kind", "name", "source", "read", "landed", "duplicates", "quarantined")] == [
        "load", "things", "files", 1, 1, 0, 0,
    ]  # fmt: skip
    assert step["seconds"] > 0 and step["error"] is None
    (project / "data" / "wrong.ndjson").write_text('{"name": "n", "password=hunter2": 1}\n')
    assert call(project, "run").returncode == 3
    (last, before) = json.loads(call(project, "runs", "--json", "--last", "2").stdout)
    assert (last["kind"], last["status"], last["failed"]) == ("run", "error", 1)
    assert before["run_id"] == loaded["run"]
    (step,) = shown(project, last["run_id"])["steps"]
    assert step["status"] == "error" and "hunter2" not in step["error"] and step["fix"]
    text = call(project, "runs")
    assert text.returncode == 0 and text.stdout.split("\n")[3].split()[1:3] == ["run", "error"], text.stdout
    assert call(project, "runs", "show", "99").returncode == 2
    assert f"run {last['run_id']}: run, error" in call(project, "runs", "show").stdout
    assert [r["run_id"] for r in json.loads(call(project, "runs", "--failed", "--json").stdout)] == [last["run_id"]]


def test_nothing_has_run(tmp_path: Path) -> None:
    """Before the first load there is no ledger, and nothing makes one."""
    project = a_project(tmp_path, EMBEDDED, None)
    assert "nothing has run yet" in call(project, "runs").stdout
    assert json.loads(call(project, "runs", "list", "--json").stdout) == []
    assert not (project / "warehouse.duckdb").exists()


def test_many_steps(destination: Destination) -> None:
    """More steps than one statement takes, numbered in their order."""
    destination.prepare()
    record = RunRecord.begin(destination.ledger, "transform")
    record.keep(*(RunStep(kind="test", name=f"t{i}", status="pass", rows=i) for i in range(1_200)))
    record.keep()
    record.end("success")
    found = read_run(destination.query, record.run_id)
    assert found is not None
    assert [(s["step"], s["name"], s["rows"]) for s in found["steps"]] == [(i + 1, f"t{i}", i) for i in range(1_200)]


def test_cut_off(destination: Destination) -> None:
    """A run whose process is gone was cut off; one whose process lives is running."""
    destination.prepare()
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    gone = RunRecord.begin(destination.ledger, "load", pid=ended.pid)
    alive = RunRecord.begin(destination.ledger, "load")
    found = {run["run_id"]: run["status"] for run in read_runs(destination.query, 10)}
    assert found == {gone.run_id: "cut off", alive.run_id: "running"}
    assert [run["run_id"] for run in read_runs(destination.query, 10, failed=True)] == [gone.run_id]


def test_in_airflow(
    destination: Destination, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run says which task of Airflow's it was."""
    destination.prepare()
    for name, value in {"DAG_ID": "d", "DAG_RUN_ID": "manual__1", "TASK_ID": "t", "TRY_NUMBER": "2"}.items():
        monkeypatch.setenv(f"AIRFLOW_CTX_{name}", value)
    record = RunRecord.begin(destination.ledger, "load")
    record.end("success", more=1)
    found = read_run(destination.query, record.run_id)
    assert found is not None
    assert found["detail"]["airflow"] == {"dag": "d", "run": "manual__1", "task": "t", "try": "2"}
    print_run(found)
    assert "in Airflow: dag d, run manual__1, task t, try 2" in capsys.readouterr().out


def test_forgetting(destination: Destination) -> None:
    """Runs older than is kept are forgotten with their steps, but for the last good build, which tells what is next,
    and those that tested whole tables."""
    destination.prepare()
    old = datetime.now(UTC) - KEPT - timedelta(days=1)
    kept = {}
    for name, kind, detail in (
        ("load", "load", {}),
        ("tested", "transform", {"whole": True}),
        ("build", "transform", {"whole": False}),
        ("last", "transform", {"whole": False}),
    ):
        record = RunRecord.begin(destination.ledger, kind, **detail)
        record.keep(RunStep(kind="load", name=name, started_at=old))
        record.end("success")
        kept[record.run_id] = name
    destination.query("update penstock.runs set started_at = $1", [old])
    new = RunRecord.begin(destination.ledger, "load")
    new.keep(RunStep(kind="load", name="new"))
    forget(destination.ledger, new.run_id + 1)
    rows = destination.query("select run_id from penstock.runs order by run_id").rows
    assert [kept.get(r[0], "new") for r in rows] == ["tested", "last", "new"]
    assert destination.query("select name from penstock.run_steps").rows == [("new",)]


def test_an_older_ledger(destination: Destination) -> None:
    """A ledger without steps and schedules gets them, and keeps its runs."""
    destination.prepare()
    destination.query(
        "insert into penstock.runs (run_id, kind, started_at, status) values (7, 'load', $1, 'success')",
        [datetime.now(UTC)],
    )
    destination.query("drop table penstock.schedules")
    destination.query("drop table penstock.alerts")
    destination.query("drop table penstock.run_steps")
    destination.query("alter table penstock.runs drop column parent_id")
    destination.query("alter table penstock.watermarks drop column removed_at")
    destination.query("alter table penstock.streams drop column version")
    assert not destination.is_prepared()
    destination.prepare()
    assert destination.is_prepared()
    (run,) = read_runs(destination.query, 5)
    assert (run["run_id"], run["steps"]) == (7, 0)


def test_runs_of_an_older_ledger(destination: Destination) -> None:
    """Runs of which the ledger kept schedule, layer and models in their detail alone can be asked for by them, and look
    as before; until then, readers say what it lacks."""
    destination.prepare()
    columns = ("schedule", "layer", "fingerprint", "whole")
    for column in columns:
        destination.query(f"alter table penstock.runs drop column {column}")
    details = {
        "schedule": {"schedule": "stream things", "due": "2026-01-01T00:00:00+00:00", "manual": False},
        "transform": {"fingerprint": "abc", "layer": "marts", "whole": True},
    }
    for run_id, (kind, detail) in enumerate(details.items(), 1):
        destination.query(
            "insert into penstock.runs (run_id, kind, started_at, status, detail) values ($1, $2, $3, 'success', $4)",
            [run_id, kind, datetime.now(UTC), json.dumps(detail)],
        )
    assert missing_parts(destination) == [f"penstock.runs.{column}" for column in columns]
    destination.prepare()
    assert missing_parts(destination) == []
    assert destination.query(f"select {', '.join(columns)} from penstock.runs order by run_id").rows == [
        ("stream things", None, None, None),
        (None, "marts", "abc", True),
    ]
    assert {run["kind"]: run["detail"] for run in read_runs(destination.query, 5)} == details


def _on_the_terminal() -> None:
    """In a new process: its terminal, whose Ctrl-C it hears even if the tests were started to ignore it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_status_live(tmp_path: Path) -> None:
    """``status --watch`` shows what lands while it stands on the terminal, ends with Ctrl-C, and is for terminals."""
    project = a_project(tmp_path, EMBEDDED, None)
    assert call(project, "status", "--watch").returncode == 2
    with Session(load_project(project)) as session:
        _ = session.destination
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
    watching = subprocess.Popen(
        [sys.executable, "-m", "penstock", "status", "--watch", "--project-dir", str(project)],
        stdin=follower, stdout=follower, stderr=follower,
        start_new_session=True, preexec_fn=_on_the_terminal,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(follower)
    seen = ""

    def until_seen(text: str) -> None:
        nonlocal seen
        give_up = time.monotonic() + 30
        while text not in seen:
            assert time.monotonic() < give_up, seen
            if select.select([leader], [], [], 0.2)[0]:
                seen += os.read(leader, 65_536).decode(errors="replace")

    try:
        until_seen("nothing has landed yet")
        drop(project, "second")
        assert start(project, "load", "-q").wait(60) == 0
        until_seen("last loads")
        os.write(leader, b"\x03")
        assert watching.wait(15) == 0
    finally:
        if watching.poll() is None:
            watching.kill()
            watching.wait()
        os.close(leader)
