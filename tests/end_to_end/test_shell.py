"""The shell: commands and SQL at one prompt, typed or from a script."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from penstock.cli.app import app
from penstock.cli.entries import Shell, ends, script
from penstock.cli.prompt import Names, ShellCompleter
from penstock.project import load_project

PROJECT = """
name: trial
target: local
destinations:
  local: { type: duckdb, path: warehouse.duckdb }
  other: { type: duckdb, path: other.duckdb }
sources:
  files: { type: files, path: "data/**" }
streams:
  user_events: { from: files, event_time: at }
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with two days of records."""
    (tmp_path / "penstock.yml").write_text(PROJECT)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.ndjson").write_text('{"n": 1, "at": "2025-01-01"}\n{"n": 2, "at": "2025-01-02"}\n{"n": \n')
    return tmp_path


def shell(project: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A script, run from another folder."""
    return subprocess.run(
        [sys.executable, "-m", "penstock", "shell", "--project-dir", str(project), *options],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_script(project: Path) -> None:
    """Commands and statements one after the other, on this project."""
    done = shell(
        project,
        "load user_events --date 2025-01-02\n\nselect count(*) as c,\n  'a;b' as t -- not; yet\nfrom raw.user_events;\n"
        "quarantine\nexplain select 1;\nload;\nselect sum(n) as s from raw.user_events",
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["1", "a;b"] in lines
    assert ["3"] in lines
    assert "invalid_json" in done.stdout
    assert "physical_plan" in done.stdout


def test_errors_end_nothing(project: Path) -> None:
    """Each is told on standard error; the exit code is that of the first."""
    done = shell(
        project,
        "lod\nload nothing\nload --nope\nload 'open\nhelp nothing\nselect * from nowhere;\nload --quiet\n"
        "select 42 as answer;\n",
    )
    assert done.returncode == 2
    assert "42" in done.stdout
    assert "did you mean 'load'" in done.stderr
    assert done.stderr.count("error: ") == 6
    assert shell(project, "load -q\nselect * from nowhere;\nlod\n").returncode == 1


def test_another_target(project: Path) -> None:
    """The shell's own options hold for all that is done in it."""
    done = shell(project, "load -q\nload -q --target local\nquit\nlod\n", "--target", "other")
    assert (done.returncode, done.stderr) == (0, "")
    assert (project / "other.duckdb").exists()
    assert (project / "warehouse.duckdb").exists()


def test_help(project: Path) -> None:
    """Lists every command but itself, and shows one's options."""
    done = shell(project, "help\nhelp quarantine list\n")
    for word in ("publish", "load", "watch", "status", "transform", "quarantine", "quit"):
        assert f"\n{word} " in f"\n{done.stdout}"
    assert "--settled" in done.stdout
    assert done.returncode == 0


def test_wrong_project(tmp_path: Path) -> None:
    """Ends the shell at once."""
    assert shell(tmp_path, "status\n").returncode == 2


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("select 1;", True),
        ("select 1; -- done\n", True),
        ("select 1", False),
        ("select ';", False),
        ("select ';'", False),
        ("select ''';';", True),
        ('select ";', False),
        ("select $a$ ; $a$;", True),
        ("select 1 -- ;", False),
        ("select /* ; */ 1", False),
        ("select /* ;", False),
    ],
)
def test_where_a_statement_ends(text: str, whole: bool) -> None:
    """At a semicolon, but not within quotes or a comment."""
    assert ends(text) == whole


def test_entries_of_a_script(project: Path) -> None:
    """A command is a line, a statement as many as it takes; the last may go without its semicolon."""
    prompt = Shell(load_project(project), typer.main.get_command(app))
    text = "status\nselect 1,\n2;\nexplain\nexplain select\n1;\nload user_events\nwith a as (select 1)\nfrom a"
    assert list(script(iter(text.splitlines(keepends=True)), prompt)) == [
        "status\n",
        "select 1,\n2;\n",
        "explain\n",
        "explain select\n1;\n",
        "load user_events\n",
        "with a as (select 1)\nfrom a",
    ]


def test_completion(project: Path) -> None:
    """Commands, options, streams and files; tables and columns, also after an alias."""
    assert shell(project, "load -q\n").returncode == 0
    loaded = load_project(project)
    completer = ShellCompleter(Shell(loaded, typer.main.get_command(app)), list(loaded.streams), Names(loaded))

    def after(text: str) -> list[str]:
        return [c.text for c in completer.get_completions(Document(text), CompleteEvent())]

    assert after("pub") == ["publish"]
    assert after("sel") == ["select"]
    assert after("load ") == ["user_events"]
    assert after("load user_events --da") == ["--date"]
    assert after("quarantine re") == ["replay"]
    assert after("quarantine list --st") == ["--stream"]
    assert after("help wa") == ["watch"]
    assert "ta" in after(f"publish user_events {project}/da")
    assert after("select * from raw.us") == ["raw.user_events", "raw.user_events__delta"]
    assert after("select _pen_o") == ["_pen_origin"]
    assert after("select u._pen_o") == ["_pen_origin"]
    assert "select" in after("explain sel")


def test_names_while_the_warehouse_is_away(project: Path) -> None:
    """Completion gives what it has, and never fails."""
    loaded = load_project(project)
    assert Names(loaded)() == ()
    (project / "warehouse.duckdb").write_bytes(b"no database")
    assert Names(loaded)() == ()


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, project: Path) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "penstock", "shell"],
            cwd=project,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
            start_new_session=True,
        )
        os.close(theirs)
        self._said = ""

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._ours, keys)

    def until(self, text: str) -> None:
        """Wait until it says something, after what was waited for before."""
        give_up = time.monotonic() + 60
        while text not in self._said:
            assert time.monotonic() < give_up, self._said
            self._read(0.2)
        self._said = self._said.partition(text)[2]

    def rest(self) -> None:
        """Wait until it has said all."""
        while self._read(1.0):
            pass

    def close(self) -> None:
        """End it, however it is."""
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._ours], [], [], seconds)[0]:
            return False
        self._said += os.read(self._ours, 65_536).decode(errors="replace")
        return True


@pytest.fixture
def terminal(project: Path) -> Iterator[Terminal]:
    """A shell in the project's folder."""
    found = Terminal(project)
    yield found
    found.close()


def test_typed(project: Path, terminal: Terminal) -> None:
    """On a terminal a statement takes lines until its semicolon, Ctrl-C takes one back, and history is kept."""
    terminal.until("trial>")
    terminal.type(b"load --quiet\r")
    terminal.until("trial>")
    terminal.type(b"select 6 *\r")
    terminal.type(b"7 as answer;\r")
    terminal.until("42")
    terminal.until("trial>")
    terminal.type(b"select nothing\x03")
    terminal.until("trial>")
    terminal.type(b"lod\r")
    terminal.until("did you mean")
    terminal.until("trial>")
    terminal.type(b"loa\t")
    terminal.rest()
    terminal.type(b" -q\r")
    terminal.rest()
    terminal.type(b"\x04")
    assert terminal.process.wait(60) == 0
    history = (project / ".penstock" / "history").read_text()
    assert "+select 6 *\n+7 as answer;" in history
    assert "+load -q" in history
