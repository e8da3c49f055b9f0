"""Following a page of the documentation as its reader would: its files are made, its commands run, its output compared.

What the blocks of a page mean:

- A block with ``title="NAME"`` is a file; a ``diff`` with a title changes one: its ``-`` lines and those without a sign
  stand there once, and the others take their place.
- A ``console`` block has commands after ``$ ``, which go on in lines that begin with ``> ``, and below each what it
  prints. Lines that are only ``…`` stand for any lines, ``…`` within a line for any text; durations, rates, times
  of 2026 and later, widths of tables and empty lines may differ. A command that prints ``error:`` has to fail,
  all others to go well.
- A ``console`` block with a title that ends in ``terminal`` leaves its last command running until ``^C`` in a later
  block of that title. Meanwhile a command elsewhere whose output is not yet as shown is tried again.
- A ``bash`` block has commands alone, and what they print is not looked at.
- All others are for reading.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from tests.support.commands import penstock

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^( *)```(\w*)([^\n]*)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_TITLE = re.compile(r'title="([^"]+)"')
_INSTALLING = re.compile(r"make\b|git clone\b|cd penstock\b|#|python3 -m venv\b|.*\bpip install\b")
"""What brings Penstock to a machine; where tests run, it is there."""
_VARYING = re.compile(
    r"…"
    r"|\d[\d.,]* (?:ms|s|seconds|minutes|rows/s|KiB|MiB|GiB)\b"
    r"|20(?:2[6-9]|[3-9]\d)-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?\+00:00"
    r"|127\.0\.0\.1:\d+"
    r"|─+| +"
)
_PLAIN = re.compile(r"""penstock(?: +(?:[\w./:=@,+-]+|'[^']*'|"[^"$`\\]*"))*""")
"""A command of ours in which nothing is left to the shell."""
_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block of a page."""

    language: str
    title: str
    text: str
    line: int
    section: str
    """The heading that it stands under."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command of a ``console`` block, with what it is shown to print. An interruption has the text ``^C``."""

    text: str
    shown: list[str]
    line: int


def blocks(page: Path, instead: Mapping[str, str] | None = None) -> list[Block]:
    """The fenced blocks of a page, in order, with some texts in place of others."""
    text = page.read_text(encoding="utf-8")
    for written, meant in (instead or {}).items():
        assert written in text, f"{page.name} does not say {written}"
        text = text.replace(written, meant)
    found = []
    for match in _FENCE.finditer(text):
        margin, language, rest, body = match.groups()
        above = _HEADING.findall(text, 0, match.start())
        title = _TITLE.search(rest)
        found.append(
            Block(
                language=language,
                title=title.group(1) if title else "",
                text="".join(line.removeprefix(margin) for line in body.splitlines(keepends=True)),
                line=text.count("\n", 0, match.start()) + 1,
                section=above[-1] if above else "",
            )
        )
    return found


def commands(block: Block) -> Iterator[Command]:
    """The commands of a ``console`` or ``bash`` block, without those that install Penstock."""
    if block.language == "bash":
        for number, line in enumerate(block.text.splitlines(), block.line + 1):
            if line.strip() and not _INSTALLING.match(line):
                yield Command(text=line, shown=["…"], line=number)
        return
    text, at = "", 0
    shown: list[str] = []
    for number, line in enumerate([*block.text.splitlines(), "$ "], block.line + 1):
        if line.startswith("$ ") or line == "^C":
            if text and not _INSTALLING.match(text):
                yield Command(text=text, shown=shown, line=at)
            text, shown, at = line.removeprefix("$ "), [], number
        elif line.startswith("> ") and not shown:
            text += "\n" + line.removeprefix("> ")
        else:
            shown.append(line)


class Reader:
    """Follows pages in a folder, with the ``penstock`` of this environment on the path.

    Commands that are ours and need no shell run in a process that is forked, unless ``forked`` is false.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None, *, forked: bool = True) -> None:
        self.folder = folder
        self._forked = forked
        self._at = folder
        self._state = folder.parent / f"{folder.name}.shell"
        self._state.mkdir()
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        # pages show what a person sees
        for_people = {"HOME": str(folder), "COLUMNS": "200", "PENSTOCK_LOG_FORMAT": "text"}
        self._environment = {**os.environ, **for_people, **(environment or {}), "PATH": path}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()

    def follow(self, page: Path, instead: Mapping[str, str] | None = None, *, section: str | None = None) -> None:
        """Do what the page says, from its first line to its last, or what stands under one of its headings.

        Args:
            instead: texts of the page → what to take in their place, such as a port that is free here.

        Raises:
            AssertionError: a command fails, or prints something else than the page shows.
        """
        found = [b for b in blocks(page, instead) if section in (None, b.section)]
        assert found, f"{page.name} has nothing to do under {section}"
        for block in found:
            where = f"{page.name}:{block.line}"
            if block.language == "diff" and block.title:
                self._change(block, where)
            elif block.language in ("console", "bash"):
                self._perform(block, page.name)
            elif block.title:
                file = self._at / block.title
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.text, encoding="utf-8")
        assert not self._running, f"{page.name}: no ^C ends {', '.join(self._running)}"

    def _change(self, block: Block, where: str) -> None:
        file = self._at / block.title
        lines = block.text.splitlines(keepends=True)
        old = "".join(line[1:] or "\n" for line in lines if not line.startswith("+"))
        new = "".join(line[1:] or "\n" for line in lines if not line.startswith("-"))
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{where}: not once in {block.title}:\n{old}\nwhich is:\n{text}"
        file.write_text(text.replace(old, new), encoding="utf-8")

    def _perform(self, block: Block, page: str) -> None:
        found = list(commands(block))
        for command in found:
            where = f"{page}:{command.line}"
            if command.text == "^C":
                self._interrupt(block.title, command, where)
            elif block.title.endswith("terminal") and command is found[-1]:
                self._start(block.title, command, where)
            else:
                self._run(command, where)

    def _run(self, command: Command, where: str) -> None:
        give_up = time.monotonic() + _SECONDS
        fails = any(line.startswith("error:") for line in command.shown)
        while True:
            plain = self._forked and _PLAIN.fullmatch(command.text) is not None
            code, out, err = (self._fork if plain else self._shell)(command.text)
            as_shown = agrees(command.shown, out) or agrees(command.shown, out + err)
            if (as_shown and (code != 0) == fails) or not self._running or time.monotonic() > give_up:
                break
            time.sleep(0.5)
        assert (code != 0) == fails, f"{where}: {command.text}\nended with {code}:\n{out}{err}"
        assert as_shown, f"{where}: {command.text}\nprinted:\n{out}{err}\nand is shown to print:\n" + "\n".join(
            command.shown
        )

    def _shell(self, text: str) -> tuple[int, str, str]:
        """Run a command where the last one left off: in its folder, with what it exported."""
        script = (
            f"source '{self._state}/exported' 2>/dev/null\ncd '{self._at}'\nset -o pipefail\n{text}\ncode=$?\n"
            f"pwd > '{self._state}/folder'\nexport -p > '{self._state}/exported'\nexit $code\n"
        )
        done = subprocess.run(
            ["bash", "-c", script],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        folder = self._state / "folder"
        if folder.exists():
            self._at = Path(folder.read_text(encoding="utf-8").strip())
        return done.returncode, done.stdout, done.stderr

    def _fork(self, text: str) -> tuple[int, str, str]:
        """The same, of a command that is ours."""
        exported = subprocess.run(
            ["bash", "-c", f"source '{self._state}/exported' 2>/dev/null; env -0"],
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        environ = dict(variable.split("=", 1) for variable in exported.split("\0") if variable)
        done = penstock(self._at, *shlex.split(text)[1:], environ=environ, timeout=_SECONDS)
        return done.returncode, done.stdout, done.stderr

    def _start(self, terminal: str, command: Command, where: str) -> None:
        assert terminal not in self._running, f"{where}: something runs in the {terminal} already"
        log = self._state / terminal.replace(" ", "_")
        script = f"source '{self._state}/exported' 2>/dev/null\ncd '{self._at}'\nexec {command.text}"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", script],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._running[terminal] = process
        give_up = time.monotonic() + _SECONDS
        while not agrees([*command.shown, "…"], log.read_text(encoding="utf-8")):
            said = f"{where}: {command.text}\nprinted:\n{log.read_text(encoding='utf-8')}"
            assert process.poll() is None, f"{said}\nand ended with {process.returncode}"
            assert time.monotonic() < give_up, f"{said}\nand is shown to print:\n" + "\n".join(command.shown)
            time.sleep(0.1)

    def _interrupt(self, terminal: str, command: Command, where: str) -> None:
        assert terminal in self._running, f"{where}: nothing runs in the {terminal}"
        process = self._running.pop(terminal)
        process.send_signal(signal.SIGINT)
        process.wait(_SECONDS)
        printed = (self._state / terminal.replace(" ", "_")).read_text(encoding="utf-8")
        assert agrees(["…", *command.shown], printed), f"{where}: printed after ^C:\n{printed}"


def free_port() -> int:
    """A port of the loopback address that nobody has."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def libpq_environment(url: str) -> dict[str, str]:
    """The variables by which libpq, and pages, name a server and a database."""
    server = conninfo_to_dict(url)
    return {
        "PGHOST": str(server["host"]),
        "PGPORT": str(server["port"]),
        "PGUSER": str(server["user"]),
        "PGPASSWORD": str(server.get("password") or "-"),
        "PGDATABASE": str(server["dbname"]),
    }


def agrees(shown: list[str], printed: str) -> bool:
    """Whether a command printed what a page shows, but for what varies."""
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "…" else _pattern(line.strip()) + r"\s*\n" for line in shown if line.strip()
    )
    text = "".join(line.strip() + "\n" for line in printed.splitlines() if line.strip())
    return re.fullmatch(pattern, text) is not None


def _pattern(line: str) -> str:
    parts, at = [], 0
    for varying in _VARYING.finditer(line):
        parts += [re.escape(line[at : varying.start()]), _varying(varying.group())]
        at = varying.end()
    return "".join([*parts, re.escape(line[at:])])


def _varying(text: str) -> str:
    if text == "…":
        return ".*?"
    if text[0] == "─":
        return "─+"
    if text.startswith("127."):
        return r"127\.0\.0\.1:\d+"
    if not text.strip():
        return " +"
    if text.endswith("+00:00"):
        return r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?\+00:00"
    return r"\d[\d.,]* " + re.escape(text.partition(" ")[2])
