"""``penstock up`` as a plan: what it would run is data, which is printed and performed alike."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from penstock.cli.app import app
from penstock.errors import UsageError
from penstock.land.loop import Stop
from penstock.project import Project, load_project
from penstock.up.parts import plan_up
from penstock.up.supervisor import Supervisor

SETTINGS: dict[str, Any] = {
    "name": "several",
    "destinations": {"here": {"type": "duckdb", "path": "w.duckdb", "threads": 1}},
    "sources": {
        "folder": {"type": "files", "path": "data"},
        "queue": {"type": "rabbitmq", "host": "127.0.0.1", "queue": "clicks"},
        "api": {"type": "http", "base_url": "http://127.0.0.1:9", "records": "data", "endpoints": {"rates": {}}},
    },
    "streams": {
        "visits": {"from": "folder"},
        "orders": {"from": "folder", "schedule": "@daily"},
        "clicks": {"from": ["queue", "folder"]},
        "rates": {"from": "api"},
    },
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Streams of each kind: watched, scheduled, consumed, on request."""
    (tmp_path / "penstock.yml").write_text(json.dumps(SETTINGS))
    (tmp_path / "data").mkdir()
    return load_project(tmp_path)


def test_a_plan_is_data(project: Project) -> None:
    """A part for each queue, each folder that no schedule loads, each schedule, and for what is only asked for."""
    parts = plan_up(project, models=True, port=7)
    assert [(p.kind, p.name, [(s.stream, s.source) for s in p.steps]) for p in parts] == [
        ("server", "server", []),
        ("watcher", "watch visits folder", [("visits", "folder")]),
        ("consumer", "consume clicks queue", [("clicks", "queue")]),
        ("watcher", "watch clicks folder", [("clicks", "folder")]),
        ("trigger", "trigger", []),
        ("schedule", "schedule stream orders", [("orders", "folder")]),
        ("schedule", "on request", [("rates", "api")]),
        ("alerts", "alerts", []),
    ]
    assert parts[0].address == ("127.0.0.1", 7)
    assert [p.kind for p in plan_up(project, models=False)].count("trigger") == 0


def test_what_is_printed_is_performed(project: Project) -> None:
    """``explain --up`` has the parts that the supervisor has, in the same order, and each says what it does."""
    supervisor = Supervisor(project, models=project.has_models, stop=Stop(), port=0)
    said = CliRunner().invoke(app, ["explain", "--up", "--json", "--project-dir", str(project.directory)])
    printed = json.loads(said.stdout)
    assert printed["settings"]["name"] == "several"
    assert printed["parts"] == [part.as_dict() for part in plan_up(project)]
    assert [part["part"] for part in printed["parts"]] == ["server", *(part.name for part in supervisor.parts)]
    text = CliRunner().invoke(app, ["explain", "--up", "--project-dir", str(project.directory)]).stdout
    assert "@daily" in text and "penstock run --now" in text and "clicks from queue" in text
    refused = CliRunner().invoke(app, ["explain", "visits", "--up", "--project-dir", str(project.directory)])
    assert isinstance(refused.exception, UsageError)


def test_the_port_is_fixed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a word about it, it answers where the documentation says; the settings and the option say otherwise."""
    monkeypatch.delenv("PENSTOCK__UP__PORT")
    fixed = load_project(project.directory)
    assert plan_up(fixed)[0].address == ("127.0.0.1", 9464)
    assert plan_up(fixed, host="::1", port=0)[0].address == ("::1", 0)


def test_a_port_that_is_taken(project: Project) -> None:
    """The error names who has it, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        supervisor = Supervisor(project, models=False, stop=Stop(), port=port)
        with pytest.raises(UsageError) as refused:
            supervisor.start()
        supervisor.close()
    assert refused.value.what.startswith(f"port {port} is taken by process {os.getpid()} (")
    assert f"in {Path.cwd()}" in refused.value.what
    assert "--port N" in refused.value.fix and "up: {port: N}" in refused.value.fix
