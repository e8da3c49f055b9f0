"""A queue has no days: what commands with dates make of it, and that ``explain`` says the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from penstock.cli.app import app

QUEUE = {"type": "rabbitmq", "url": "amqp://127.0.0.1:9/", "queue": "clicks"}


def a_project(folder: Path, *, files: bool) -> Path:
    """A stream ``clicks`` of a queue, and one, ``visits``, of files."""
    (folder / "data").mkdir()
    (folder / "data" / "a.ndjson").write_text('{"at": "2026-05-01T00:00:00"}\n{"at": "2026-05-02T00:00:00"}\n')
    streams: dict[str, Any] = {"clicks": {"from": "queue", "event_time": "at"}}
    if files:
        streams["visits"] = {"from": "files", "event_time": "at"}
    settings = {
        "name": "queued",
        "destinations": {"here": {"type": "duckdb", "path": "warehouse.duckdb"}},
        "sources": {"queue": QUEUE, "files": {"type": "files", "path": "data/*"}},
        "streams": streams,
        "transform": False,
    }
    (folder / "penstock.yml").write_text(json.dumps(settings))
    return folder


def call(project: Path, *words: str) -> Any:
    """A command."""
    return CliRunner().invoke(app, [*words, "--project-dir", str(project)])


DATED = [
    ("load", "--date", "2026-05-01"),
    ("run", "--date", "2026-05-01"),
    ("explain", "--date", "2026-05-01"),
    ("backfill", "--from", "2026-05-01", "--to", "2026-05-01"),
]


@pytest.mark.parametrize("words", DATED, ids=lambda words: words[0])
def test_days_of_a_queue(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Named, it is refused; among others it is left out, which the command says; alone in the project it is refused,
    too. Nothing waits for a broker."""
    project = a_project(tmp_path, files=True)
    refused = call(project, words[0], "clicks", *words[1:])
    assert refused.exit_code != 0
    assert "clicks is fed by a queue, which has no days to choose from" in str(refused.exception or refused.output)
    done = call(project, *words)
    assert done.exit_code == 0, done.output
    if words[0] == "explain":
        assert "by penstock consume alone: a queue has no days to choose from" in done.stdout
        assert done.stdout.count("2026-05-01T00:00:00/") == 1
    else:
        assert "warning: stream clicks: source queue is a queue, which has no days" in done.stderr
        assert "visits: 1 read, 1 landed" in done.stdout
        report = json.loads(call(project, *words, "--json").stdout)
        assert ["clicks" in warning for warning in report["warnings"]] == [True]
    assert "clicks" not in call(project, "status").stdout


def test_a_queue_alone(tmp_path: Path) -> None:
    """Where no other stream has days, the refusal names the queue's."""
    for words in DATED:
        refused = call(a_project(tmp_path, files=False), *words)
        assert "which feeds clicks, has no days" in str(refused.exception or refused.output)
        for path in (tmp_path / "data").iterdir():
            path.unlink()
        (tmp_path / "data").rmdir()


def test_a_queue_named_without_a_date(tmp_path: Path) -> None:
    """Named beside others, it is left out by name as well."""
    done = call(a_project(tmp_path, files=True), "run", "clicks", "visits")
    assert "is a queue, which has no end to load up to, and is left out; penstock consume clicks" in done.stderr
    assert "visits: 2 read, 2 landed" in done.stdout
