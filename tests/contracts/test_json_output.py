"""``--json``: standard output is one JSON document, in success and in failure, of every command that has the option;
and there is no escape sequence in a pipe, or with ``NO_COLOR``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from penstock.cli import bars, main
from penstock.cli.app import app
from penstock.transform.dbt import Dbt
from tests.support.scheduled import a_project

ARGUMENTS: dict[str, list[str]] = {
    "schema": [],
    "load": [],
    "transform": [],
    "copy": ["--to", "elsewhere"],
    "run": [],
    "backfill": ["--from", "2020-01-01", "--to", "2020-01-02"],
    "publish": ["things", "data"],
    "erase": ["--subject", "customer:1"],
    "rekey": [],
    "reset": ["things", "--yes"],
    "tidy": [],
    "consume": [],
    "watch": ["--once"],
    "explain": [],
    "status": [],
    "query": ["select 1 as one"],
    "doctor": [],
    "check": [],
    "notify": [],
    "ask": [],
    "runs": [],
    "runs list": [],
    "runs show": [],
    "quarantine list": [],
    "quarantine show": ["ab"],
    "quarantine replay": ["--all"],
    "metabase sync": [],
    "superset export": [],
    "verify models": ["--steps", "1"],
}


def with_json(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """The commands that have ``--json``, by their words."""
    for name, below in getattr(command, "commands", {}).items():
        yield from with_json(below, (*path, name))
    if any("--json" in parameter.opts for parameter in command.params):
        yield " ".join(path)


def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str, str]:
    """Run a command in this process: its exit code, standard output and standard error."""
    monkeypatch.setattr(sys, "argv", ["penstock", *words])
    capsys.readouterr()
    code: Any = 0
    try:
        main()
    except SystemExit as e:
        code = e.code or 0
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    return int(code), printed.out, printed.err


def test_every_command_is_here() -> None:
    """A new command with ``--json`` comes into this test."""
    assert sorted(ARGUMENTS) == sorted(with_json(get_command(app)))


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with something landed, and models that are broken."""
    directory = a_project(tmp_path_factory.mktemp("json"), {"type": "duckdb", "path": "warehouse.duckdb"}, None)
    settings = json.loads((directory / "penstock.yml").read_text())
    del settings["transform"]
    (directory / "penstock.yml").write_text(json.dumps(settings))
    (directory / "dbt_project.yml").write_text(
        "{name: counted, version: '1.0', profile: penstock, packages-install-path: .penstock/dbt_packages}"
    )
    models = directory / "models"
    models.mkdir()
    long = ", ".join(f"1 as a_column_with_a_long_name_{n}" for n in range(40))
    (models / "counted.sql").write_text(f"select {long}, a_name_that_is_wrong from {{{{ source('raw', 'things') }}}}")
    (models / "after.sql").write_text("select * from {{ ref('counted') }}")
    (models / "sources.yml").write_text(
        "sources: [{name: raw, tables: [{name: things}]}]\n"
        "unit_tests: [{name: one_row, model: counted, given: [{input: \"source('raw', 'things')\", rows: []}],"
        " expect: {rows: []}}]\n"
    )
    return directory


@pytest.mark.parametrize("command", [c for c in ARGUMENTS if c != "schema"])
def test_without_a_project(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing can be done, the document is the error; so it is for an option that there is not."""
    monkeypatch.chdir(tmp_path)
    for words in (ARGUMENTS[command], ["--no-such-option"]):
        code, printed, told = call(capsys, monkeypatch, *command.split(), *words, "--json")
        document = json.loads(printed)
        assert code != 0
        if command != "doctor" or "--no-such-option" in words:
            assert told and document["error"]["what"] and document["exit_code"] == code


@pytest.mark.parametrize("command", [c for c in ARGUMENTS if c not in ("transform", "run", "backfill")])
def test_in_a_project(
    command: str, landed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard output is one document, and an error in it when the command fails before it has an answer."""
    monkeypatch.chdir(landed)
    monkeypatch.setattr(Dbt, "sources", dict)
    code, printed, told = call(capsys, monkeypatch, *command.split(), *ARGUMENTS[command], "--json")
    document = json.loads(printed)
    if code:
        assert told or command == "doctor"
        assert command == "doctor" or document["error"]["what"]


@pytest.mark.slow
def test_models_that_cannot_be_built(
    landed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that cannot be built is one, not a failed test: exit code 1, its reason whole, what was skipped for it;
    in the document, and in words without dbt's own."""
    monkeypatch.chdir(landed)
    code, printed, told = call(capsys, monkeypatch, "run", "--json")
    document = json.loads(printed)
    assert code == 1
    for text in (document["error"]["what"], told):
        assert "a_name_that_is_wrong" in text and "skipped, as they read what failed: counted, after" in text
    nodes = {node["name"]: node["status"] for node in document["transform"]["nodes"]}
    assert (nodes["one_row"], nodes["counted"], nodes["after"]) == ("error", "skipped", "skipped")
    (landed / "models" / "sources.yml").write_text("sources: [{name: raw, tables: [{name: things}]}]\n")
    monkeypatch.setenv("NO_COLOR", "1")
    code, printed, told = call(capsys, monkeypatch, "transform", "-q")
    assert (code, printed) == (1, "") and "model counted (models/counted.sql): " in told
    assert "a_name_that_is_wrong" in told and "skipped, as they read what failed: after" in told
    code, printed, _ = call(capsys, monkeypatch, "backfill", *ARGUMENTS["backfill"], "--json")
    assert code == 2 and "event time" in json.loads(printed)["error"]["what"]
    (landed / "models" / "counted.sql").write_text("select 1 as one")
    code, printed, told = call(capsys, monkeypatch, "transform", "--json")
    assert (code, told) == (0, "") and "error" not in json.loads(printed)
    monkeypatch.setattr(bars._Beat, "every_seconds", 0.01)
    code, printed, told = call(capsys, monkeypatch, "transform", "--full-refresh")
    assert (code, "1 model built" in printed or "2 models built" in printed) == (0, True)
    assert "dbt: reading the models, " in told and "dbt: 1 of 2, counted, " in told
