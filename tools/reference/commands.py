"""``docs/commands.md``: usage, arguments and options of each command from the command line itself.

What stands in a section below its mark is written by hand and kept; all above the mark is made. So is the head of the
page kept: what comes before the first command.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import typer

from penstock.cli import options
from penstock.cli.app import app
from tools.reference.markdown import code, plain, table

MARK = "<!-- by hand -->"

_HEADING = re.compile(r"^## (penstock(?: .*)?)$", re.MULTILINE)
_SHARED = {
    get_args(a)[1].help for a in (options.ProjectDir, options.TargetName, options.Quiet, options.Json, options.Verbose)
}
_PLACEHOLDERS: dict[type, str] = {int: "N", float: "N", Path: "PATH"}


def commands_page(page: str) -> str:
    """The page as it should be, with what is written by hand in ``page``."""
    parts = _HEADING.split(page)
    by_hand = {name: _by_hand(text) for name, text in zip(parts[1::2], parts[2::2], strict=True)}
    lines = [parts[0].rstrip()]
    for name, command in commands():
        lines += ["", *_section(name, command), "", MARK, ""]
        lines += [by_hand[name]] if by_hand.get(name) else []
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def commands() -> Iterator[tuple[str, Any]]:
    """Each command's whole name and the command, ``penstock`` itself first, in the order of its help."""
    waiting: list[tuple[str, Any]] = [("penstock", typer.main.get_command(app))]
    while waiting:
        name, command = waiting.pop(0)
        inner = getattr(command, "commands", None)
        if inner is None or name == "penstock":
            yield name, command
        waiting = [(f"{name} {word}", found) for word, found in (inner or {}).items()] + waiting


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
        said = code(_argument(parameter).strip("[]"))
    else:
        value = "" if parameter.is_flag else f" {parameter.metavar or _placeholder(parameter)}"
        spellings = [*parameter.opts, *parameter.secondary_opts]
        said = ", ".join(code(text) for text in (spellings[0] + value, *spellings[1:]))
    return said, _default(parameter), plain(parameter.help or "") + _limits(parameter)


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
