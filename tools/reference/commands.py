"""``docs/commands.md``: usage, arguments and options of each command from the command line itself.

What stands in a section below its mark is written by hand and kept; all above the mark is made. So is the head of the
page kept, what comes before the first command, but for its table of the commands by task.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import typer

from penstock.cli.app import app
from penstock.cli.command import SHARED
from penstock.cli.commands import PANELS
from tools.reference.markdown import code, plain, table

MARK = "<!-- by hand -->"

_HEADING = re.compile(r"^## (penstock(?: .*)?)$", re.MULTILINE)
_BY_TASK = re.compile(r"(?<=^## By task\n\n)(?:\|.*\n)+", re.MULTILINE)
_SHARED = {get_args(annotation)[1].help for annotation in SHARED.values()}
_PLACEHOLDERS: dict[type, str] = {int: "N", float: "N", Path: "PATH"}


def commands_page(page: str) -> str:
    """The page as it should be, with what is written by hand in ``page``."""
    parts = _HEADING.split(page)
    by_hand = {name: _by_hand(text) for name, text in zip(parts[1::2], parts[2::2], strict=True)}
    lines = [_with_tasks(parts[0]).rstrip()]
    for name, command in commands():
        lines += ["", *_section(name, command), "", MARK, ""]
        lines += [by_hand[name]] if by_hand.get(name) else []
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _with_tasks(head: str) -> str:
    """The head, its table by task as ``penstock --help`` groups the commands."""
    made = "".join(f"{line}\n" for line in table(("task", "command", "what it does"), _tasks()))
    return _BY_TASK.sub(lambda _: made, head)


def _tasks() -> Iterator[tuple[str, str, str]]:
    panels = _panels()
    told = ""
    for name, command in commands():
        words = name.split()[1:]
        if words:
            panel = panels[words[0]]
            link = f"[{' '.join(words)}](#{name.replace(' ', '-')})"
            yield "" if panel == told else panel, link, plain(" ".join((command.help or "").split()))
            told = panel


def _panels() -> dict[str, str]:
    """In which panel of the help each of the first words is."""
    return {name: command.rich_help_panel for name, command in _root().commands.items()}


def _root() -> Any:
    return typer.main.get_command(app)


def commands() -> Iterator[tuple[str, Any]]:
    """Each command's whole name and the command, ``penstock`` itself first, panel after panel of its help."""
    waiting: list[tuple[str, Any]] = [("penstock", _root())]
    while waiting:
        name, command = waiting.pop(0)
        inner = getattr(command, "commands", None)
        if inner is None or name == "penstock":
            yield name, command
        within = [(f"{name} {word}", sub) for word, sub in (inner or {}).items()]
        if name == "penstock":
            within.sort(key=lambda entry: list(PANELS).index(entry[1].rich_help_panel))
        waiting = within + waiting


def _by_hand(section: str) -> str:
    return section.split(MARK, 1)[-1].strip()


def _section(name: str, command: Any) -> Iterator[str]:
    yield f"## {name}\n"
    words = [_argument(p) for p in command.params if not p.opts[0].startswith("-")]
    last = "COMMAND ..." if hasattr(command, "commands") else ""
    yield f"    {' '.join(w for w in (name, '[OPTIONS]', *words, last) if w)}\n"
    yield f"{plain(' '.join((command.help or '').split()))}\n"
    rows = [_row(p) for p in command.params if p.help not in _SHARED and not getattr(p, "hidden", False)]
    if rows:
        yield from table(("argument or option", "default", "meaning"), rows)
        yield ""
    shared = [code(p.opts[0]) for p in command.params if p.help in _SHARED]
    if shared:
        yield f"And {_listed(shared)}, [as for other commands](#options-that-many-commands-have).\n"
    example = (command.epilog or "").removeprefix("Example: ")
    if command.epilog and example != command.epilog:
        yield f"Example:\n\n    {example}"


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _argument(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name).strip("[]").upper() + ("..." if parameter.nargs == -1 else "")
    return name if parameter.required else f"[{name}]"


def _row(parameter: Any) -> tuple[str, str, str]:
    if not parameter.opts[0].startswith("-"):
        spelling = code(_argument(parameter).strip("[]"))
    else:
        value = "" if parameter.is_flag else f" {parameter.metavar or _placeholder(parameter)}"
        spellings = [*parameter.opts, *parameter.secondary_opts]
        spelling = ", ".join(code(text) for text in (spellings[0] + value, *spellings[1:]))
    return spelling, _default(parameter), plain(parameter.help or "") + _limits(parameter)


def _placeholder(parameter: Any) -> str:
    annotation = parameter.type_descriptor.annotation
    return next((word for kind, word in _PLACEHOLDERS.items() if annotation is kind), "TEXT")


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if value is None or value is False or value == () or callable(value):
        return ""
    return code(f"{value:,}" if isinstance(value, int | float) else str(value))


def _limits(parameter: Any) -> str:
    least, most = getattr(parameter, "min", None), getattr(parameter, "max", None)
    match least, most:
        case None, None:
            return ""
        case _, None:
            return f" From {least:,}." if least else ""
        case None, _:
            return f" At most {most:,}."
    return f" From {least:,} to {most:,}."
