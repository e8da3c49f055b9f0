"""The help of ``penstock``: every command in the panel of its task, and shared options the same everywhere."""

from __future__ import annotations

import re

import typer
from typer.testing import CliRunner

from penstock.cli.app import app
from penstock.cli.command import Call, command
from penstock.cli.commands import PANELS
from tools.reference.commands import commands


def test_every_command_is_in_the_panel_of_its_task() -> None:
    """``penstock --help`` shows the tasks in order, each command below one, and none below no task."""
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "120"}).stdout
    titles = re.findall(r"^╭─ ([^─]+) ─", shown, re.MULTILINE)
    assert titles == ["Options", *PANELS]
    below = dict(zip(titles, re.split(r"^╭─ .*$", shown, flags=re.MULTILINE)[1:], strict=True))
    for panel, names in PANELS.items():
        for name in names:
            assert re.search(rf"^│ {name} ", below[panel], re.MULTILINE), (panel, name)
    assert len(typer.main.get_command(app).commands) == sum(map(len, PANELS.values()))  # type: ignore[attr-defined]


def test_shared_options_are_alike() -> None:
    """An option of many commands has the same spellings, default and help in each."""
    meanings: dict[str, set[tuple[str, ...]]] = {}
    for _, each in commands():
        for parameter in each.params:
            if parameter.opts[0] in ("--project-dir", "--target", "--quiet", "--json", "--verbose"):
                meaning = (*parameter.opts, str(parameter.default), parameter.help)
                meanings.setdefault(parameter.opts[0], set()).add(meaning)
    assert len(meanings) == 5
    assert all(len(meaning) == 1 for meaning in meanings.values()), meanings


def test_a_command_gets_what_it_was_told() -> None:
    """A command's call holds the shared options it has; those it has not are as if they were not given."""
    calls: list[tuple[Call, int]] = []

    @command("penstock try 3", "quiet", name="try")
    def attempt(call: Call, times: int) -> None:
        calls.append((call, times))

    own = typer.Typer()
    attempt.add_to(own)
    assert CliRunner().invoke(own, ["3", "-q", "--target", "here"]).exit_code == 0
    assert calls == [(Call(quiet=True, target="here"), 3)]
    assert CliRunner().invoke(own, ["3", "--json"]).exit_code == 2
