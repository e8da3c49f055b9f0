"""The command line as users meet it: what a command prints, exits with and leaves behind."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from penstock.samples.generate import write_user_events
from tests.support import commands

COMMANDS = [
    "init",
    "doctor",
    "explain",
    "load",
    "transform",
    "run",
    "backfill",
    "publish",
    "status",
    "query",
    "generate",
    "schema",
    "quarantine list",
    "quarantine show",
    "quarantine replay",
    "quarantine drop",
    "airflow export",
]
SECRET = "hunter2-secret"

PROJECT = """
name: trial
target: duckdb
destinations:
  duckdb: { type: duckdb, path: warehouse.duckdb, threads: 1 }
  away: { type: postgres, url: "postgresql://someone:hunter2-secret@127.0.0.1:1/none" }
sources:
  files: { type: files, path: "data/*.ndjson" }
streams:
  events: { from: files, event_time: at, SETTINGS }
load: { batch_bytes: 1MB, commit_bytes: 2MB }
"""


def penstock(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command in ``folder``."""
    return commands.penstock(folder, *arguments, environ={"COLUMNS": "200", **environ})


def printed(folder: Path, *arguments: str) -> Any:
    """What a command prints as JSON."""
    run = penstock(folder, *arguments)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with three events, one of them broken."""
    return make_project(tmp_path / "p")


def make_project(folder: Path, settings: str = "identity: content") -> Path:
    """A project that has not been loaded."""
    (folder / "data").mkdir(parents=True)
    (folder / "penstock.yml").write_text(PROJECT.replace("SETTINGS", settings))
    (folder / "data" / "1.ndjson").write_text(
        '{"n":1,"at":"2020-12-05T01:00:00","t":"é"}\n{"n":2,"at":"2020-12-06T01:00:00","t":null}\n{broken\n'
    )
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_help(tmp_path: Path, command: str) -> None:
    """Every command says what it does and how it is called."""
    run = penstock(tmp_path, *command.split(), "--help")
    assert run.returncode == 0
    assert f"Example: penstock {command}" in " ".join(run.stdout.split())


def test_help_lists_every_command_and_exit_code(tmp_path: Path) -> None:
    """The first page names all commands and what exit codes mean."""
    text = " ".join(penstock(tmp_path, "--help").stdout.split())
    assert all(c.split()[0] in text for c in COMMANDS)
    assert "0 fine, 1 failed, 2 wrong call or project file, 3 contract or test failed, 4 source unreachable" in text


def test_load_twice(project: Path) -> None:
    """The first load says what it did, the second that there was nothing to do; both exit with 0."""
    first = penstock(project, "load")
    assert (first.returncode, first.stderr) == (0, "")
    assert "events: 3 read, 2 landed, 0 duplicates, 1 quarantined" in first.stdout
    second = penstock(project, "load")
    assert second.returncode == 0 and "events: 0 rows landed" in second.stdout
    assert penstock(project, "load", "--quiet").stdout == ""


def test_load_json(project: Path) -> None:
    """``load --json`` prints one object: the counts of each stream."""
    found = printed(project, "load", "--json")
    assert (found["project"], found["target"]) == ("trial", "duckdb")
    (load,) = found["loads"]
    assert {k: load[k] for k in ("stream", "source", "read", "landed", "duplicates", "quarantined")} == {
        "stream": "events",
        "source": "files",
        "read": 3,
        "landed": 2,
        "duplicates": 0,
        "quarantined": 1,
    }
    assert load["loads"] and load["skipped"] == []
    assert printed(project, "load", "--json")["loads"][0]["skipped"] == ["data/1.ndjson"]


def test_dates(project: Path) -> None:
    """``--date`` and ``backfill`` load days; what is there already stays; a wrong date is a wrong call."""
    assert printed(project, "load", "--date", "2020-12-06", "--json")["loads"][0]["landed"] == 1
    done = printed(project, "backfill", "--from", "2020-12-05", "--to", "2020-12-07", "--json")
    assert (done["loads"][0]["landed"], done["loads"][0]["duplicates"]) == (1, 2)
    assert printed(project, "backfill", "--from", "2020-12-05", "--to", "2020-12-07", "--json")["loads"][0]["read"] == 0
    for wrong in (["--date", "06.12.2020"], ["--from", "2020-12-07", "--to", "2020-12-06"]):
        run = penstock(project, "load", *wrong)
        assert run.returncode == 2 and "fix:" in run.stderr


def test_query(project: Path) -> None:
    """``query`` prints a table, CSV or an array of objects, and takes SQL from standard input."""
    penstock(project, "load")
    sql = 'select n, "at", t, n > 1 as later from raw.events order by n'
    assert printed(project, "query", sql, "--json") == [
        {"n": 1, "at": "2020-12-05T01:00:00", "t": "é", "later": False},
        {"n": 2, "at": "2020-12-06T01:00:00", "t": None, "later": True},
    ]
    rows = list(csv.reader(io.StringIO(penstock(project, "query", sql, "--csv").stdout)))
    assert rows[0] == ["n", "at", "t", "later"] and rows[2] == ["2", "2020-12-06 01:00:00", "", "true"]
    text = penstock(project, "query", sql).stdout
    assert "later" in text and "é" in text
    assert printed(project, "query", "select 1 as x where false", "--json") == []
    refused = penstock(project, "query", "select nonsense")
    assert refused.returncode == 1 and "nonsense" in refused.stderr and "Traceback" not in refused.stderr
    assert penstock(project, "query", sql, "--json", "--csv").returncode == 2


def test_status(project: Path) -> None:
    """``status`` reads the ledger; before the first load there is nothing to read, and nothing is made."""
    parts = {"streams", "loads", "quarantine", "models", "runs", "schedules", "alerts", "expectations", "hosts"}
    parts |= {"warnings", "damage"}
    assert set(printed(project, "status", "--json")) == parts
    assert not (project / "warehouse.duckdb").exists()
    penstock(project, "load")
    found = printed(project, "status", "--json")
    assert found["streams"][0]["stream"] == "events" and found["streams"][0]["lag_seconds"] >= 0
    assert found["loads"][0]["landed"] == 2
    assert found["quarantine"][0]["stream"] == "events"
    assert "last loads" in penstock(project, "status").stdout


def test_explain_does_nothing(project: Path) -> None:
    """``explain`` names the files a load would read, and leaves the folder as it was."""
    before = sorted(project.rglob("*"))
    found = printed(project, "explain", "--json")
    (step,) = found["steps"]
    assert [(f["place"], f["action"]) for f in step["files"]] == [("data/1.ndjson", "read")]
    assert "data/1.ndjson" in penstock(project, "explain", "--date", "2020-12-06").stdout
    assert sorted(project.rglob("*")) == before
    penstock(project, "load")
    assert printed(project, "explain", "--json")["steps"][0]["files"][0]["action"] == "skip"


def test_schema(project: Path) -> None:
    """``schema`` prints the JSON Schema of the project file, or a stream's columns."""
    assert "properties" in printed(project, "schema")
    penstock(project, "load")
    columns = printed(project, "schema", "events", "--json")
    assert [(c["column"], c["type"]) for c in columns] == [("n", "bigint"), ("at", "timestamp"), ("t", "text")]


def test_quarantine(project: Path) -> None:
    """``quarantine`` lists, shows, replays and drops, by the start of an id."""
    penstock(project, "load")
    (entry,) = printed(project, "quarantine", "list", "--json")
    assert (entry["stream"], entry["reason_code"], entry["origin"]) == ("events", "invalid_json", "data/1.ndjson#3")
    short = entry["id"][:8]
    assert short in penstock(project, "quarantine", "list").stdout
    assert printed(project, "quarantine", "show", short, "--json")[0]["body"] == "{broken"
    assert "{broken" in penstock(project, "quarantine", "show", short).stdout
    assert printed(project, "quarantine", "replay", short, "--json") == [
        {"stream": "events", "replayed": 0, "waiting": 1}
    ]
    assert penstock(project, "quarantine", "drop").returncode == 2
    assert penstock(project, "quarantine", "show", "ffffffff").returncode == 2
    assert penstock(project, "quarantine", "drop", short).returncode == 0
    assert printed(project, "quarantine", "list", "--json") == []


def test_exit_code_1(project: Path) -> None:
    """A warehouse that is away fails the load."""
    run = penstock(project, "load", "--target", "away")
    assert run.returncode == 1 and "fix:" in run.stderr and "Traceback" not in run.stderr


def test_exit_code_2(project: Path, tmp_path: Path) -> None:
    """A wrong call, a stream or target that is not there, a broken project file, no project at all."""
    for arguments in (["load", "event"], ["load", "--target", "nowhere"], ["nonsense"], ["load", "--nonsense"]):
        assert penstock(project, *arguments).returncode == 2
    assert "events" in penstock(project, "load", "event").stderr
    (project / "penstock.yml").write_text("name: trial\nnonsense: 1\n")
    broken = penstock(project, "load")
    assert broken.returncode == 2 and "penstock.yml" in broken.stderr and "nonsense" in broken.stderr
    (tmp_path / "empty").mkdir()
    assert penstock(tmp_path / "empty", "load").returncode == 2


def test_exit_code_3(tmp_path: Path) -> None:
    """A frozen stream that meets other data stops, with nothing of it landed."""
    project = make_project(tmp_path / "p", "contract: freeze, columns: { n: bigint, at: timestamp, t: text }")
    assert penstock(project, "load").returncode == 0
    (project / "data" / "2.ndjson").write_text('{"n":3}\n{"n":4,"new":1}\n')
    run = penstock(project, "load")
    assert run.returncode == 3 and "'new'" in run.stderr and "data/2.ndjson#2" in run.stderr
    assert printed(project, "query", "select count(*) as c from raw.events", "--json") == [{"c": 2}]


def test_exit_code_4(project: Path) -> None:
    """No file, or one that is damaged: the source cannot be read; what came before stays landed."""
    (project / "data" / "2.ndjson").write_bytes('{"n":3}'.encode("utf-16"))
    run = penstock(project, "load")
    assert run.returncode == 4 and "2.ndjson" in run.stderr
    assert printed(project, "query", "select count(*) as c from raw.events", "--json") == [{"c": 2}]
    for file in (project / "data").iterdir():
        file.unlink()
    run = penstock(project, "load")
    assert run.returncode == 4 and "no file matches" in run.stderr and "fix:" in run.stderr
    assert penstock(project, "doctor").returncode == 4


def test_exit_code_5(project: Path) -> None:
    """A warehouse that another process holds; see also the contract tests of concurrency."""
    with duckdb.connect(str(project / "warehouse.duckdb")):
        run = penstock(project, "load", PENSTOCK__DESTINATIONS__DUCKDB__LOCK_TIMEOUT_SECONDS="0.2")
    assert run.returncode == 5 and str(os.getpid()) in run.stderr


def test_doctor(project: Path) -> None:
    """``doctor`` finds the project, source and warehouse in order, and prints that as JSON too."""
    checks = printed(project, "doctor", "--json")
    assert all(c["ok"] for c in checks)
    assert {"python", "project", "destination duckdb", "source files of events"} <= {c["check"] for c in checks}
    assert not (project / "warehouse.duckdb").exists()


@pytest.mark.parametrize("command", ["load", "explain", "doctor", "status", "query", "load --json", "explain --json"])
def test_secrets_are_never_printed(project: Path, command: str) -> None:
    """A password in the project file is in no output, whatever fails."""
    name, *options = command.split()
    run = penstock(project, name, *(["select 1"] if name == "query" else []), *options, "--target", "away")
    assert SECRET not in run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    assert run.returncode in (0, 1)


def test_secrets_in_a_broken_project_file(project: Path) -> None:
    """Nor when the setting itself is what is wrong."""
    text = (project / "penstock.yml").read_text()
    (project / "penstock.yml").write_text(text.replace("postgresql://", "mysql://"))
    run = penstock(project, "load", "--target", "away")
    assert run.returncode == 2 and SECRET not in run.stdout + run.stderr


@pytest.mark.parametrize("template", ["minimal", "user_events"])
def test_init(tmp_path: Path, template: str) -> None:
    """A new project loads at once, and again is nothing; a folder that is in use is left alone."""
    run = penstock(tmp_path, "init", "my_project", "--template", template)
    assert run.returncode == 0 and "cd my_project && penstock run" in run.stdout
    project = tmp_path / "my_project"
    assert {"penstock.yml", "README.md", ".penstock"} <= {p.name for p in project.iterdir()}
    assert printed(project, "explain", "--json")["settings"]["name"] == "my_project"
    first = printed(project, "load", "--json")["loads"]
    assert all(load["landed"] > 0 for load in first)
    assert all(load["read"] == 0 for load in printed(project, "load", "--json")["loads"])
    assert penstock(tmp_path, "init", "my_project").returncode == 2


def test_generate(tmp_path: Path) -> None:
    """The same seed gives the same file."""
    for name in ("a", "b"):
        assert penstock(tmp_path, "generate", f"{name}.ndjson", "--count", "50", "--seed", "3").returncode == 0
    assert (tmp_path / "a.ndjson").read_bytes() == (tmp_path / "b.ndjson").read_bytes()
    assert (tmp_path / "a.ndjson").read_bytes().count(b"\n") == 50


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_stopped_in_the_middle(tmp_path: Path, number: signal.Signals) -> None:
    """SIGTERM or Ctrl-C in a big load: the batch in hand is finished, nothing is half done, and the next run
    completes to exactly the table of one run."""
    project = make_project(tmp_path / "p")
    (project / "data" / "1.ndjson").unlink()
    write_user_events(project / "data" / "big.ndjson", count=16_000, seed=1, duplicates=0.01)
    whole = make_project(tmp_path / "whole")
    (whole / "data" / "1.ndjson").unlink()
    (whole / "data" / "big.ndjson").symlink_to(project / "data" / "big.ndjson")
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock", "load"],
        cwd=project,
        env={**os.environ, "PENSTOCK_FAULT": "file_middle:sleep:2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (project / "warehouse.duckdb").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(3)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + number, (stdout, stderr)
    assert "stopped" in stdout and "Traceback" not in stderr
    counted = "select count(*) as n, count(distinct _pen_id) as ids, (select sum(landed) from penstock.loads) as landed"
    (part,) = printed(project, "query", f"{counted} from raw.events", "--json")
    assert 0 < part["n"] < 13_000 and part["n"] == part["ids"] == part["landed"]
    assert penstock(project, "load").returncode == 0
    assert penstock(whole, "load").returncode == 0
    hashed = (
        "select count(*) as n, md5(string_agg(e::text, '' order by _pen_id)) as rows from (select * exclude (_pen_load,"
    )
    hashed += " _pen_loaded_at) from raw.events) e"
    seen = [penstock(p, "query", hashed, "--csv").stdout for p in (project, whole)]
    assert seen[0] == seen[1] != ""


def test_lake(tmp_path: Path) -> None:
    """``--land`` keeps what was fetched; another warehouse loads it with ``--from-lake`` when the source is gone."""
    (tmp_path / "data").mkdir()
    write_user_events(tmp_path / "data" / "e.ndjson", count=100, seed=1)
    (tmp_path / "penstock.yml").write_text(PROJECT.replace("SETTINGS", "identity: content"))
    assert printed(tmp_path, "load", "--json", "--land", "parquet", "lake")["loads"][0]["landed"] == 100
    (tmp_path / "data" / "e.ndjson").unlink()
    (tmp_path / "warehouse.duckdb").unlink()
    assert printed(tmp_path, "load", "--json", "--from-lake", "lake")["loads"][0]["landed"] == 100
    again = printed(tmp_path, "load", "--json", "--from-lake", "lake")["loads"][0]
    assert again["landed"] == 0 and len(again["skipped"]) == 1
    for options, what in (
        (["--land", "xml", "lake"], "no such format"),
        (["--land", "csv", "lake", "--from-lake", "lake"], "one of them"),
    ):
        run = penstock(tmp_path, "load", *options)
        assert run.returncode == 2 and what in run.stderr
    assert penstock(tmp_path, "load", "--from-lake", "elsewhere").returncode == 4
