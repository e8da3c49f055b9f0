"""What errors tell to do can be done: each command that a fix names is one, with the options it names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from penstock.cli.app import app

SOURCE = Path(__file__).parents[2] / "src" / "penstock"
CALL = re.compile(r"\bpenstock ([a-z][a-z-]*)((?: [a-z][a-z-]*)?)((?:[^;,:.()\n]|\.\w)*)")
PROSE = {"up"}
"""Commands that fixes speak of as of a process."""


def texts(node: ast.expr) -> Iterator[str]:
    """The texts that an expression may be, ``…`` for what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(v.value if isinstance(v, ast.Constant) else "…" for v in node.values)  # type: ignore[misc]
        for value in node.values:
            if isinstance(value, ast.FormattedValue):
                yield from texts(value.value)
    elif isinstance(node, ast.IfExp):
        yield from texts(node.body)
        yield from texts(node.orelse)
    elif isinstance(node, ast.BinOp):
        yield from texts(node.left)
        yield from texts(node.right)


def fixes() -> Iterator[tuple[str, str]]:
    """Each fix in the code, with where it is: what is given as ``fix``, and what is assigned to a name of that kind."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            given = isinstance(node, ast.keyword) and node.arg == "fix"
            names = node.targets if isinstance(node, ast.Assign) else []
            if given or any(isinstance(name, ast.Name) and name.id == "fix" for name in names):
                value: ast.expr = node.value  # type: ignore[attr-defined]  # both have one
                for text in texts(value):
                    yield f"{path.relative_to(SOURCE)}:{value.lineno}", text


def test_each_command_that_a_fix_names_exists() -> None:
    """With its options."""
    root: Any = get_command(app)
    named = 0
    for where, text in fixes():
        for first, second, rest in CALL.findall(text):
            command = root.commands.get(first)
            if command is None:  # prose: "the penstock package"
                assert first in ("of", "was", "and", "raw"), (where, text)
                continue
            named += 1
            command = getattr(command, "commands", {}).get(second.strip(), command)
            known = {option for parameter in command.params for option in parameter.opts}
            for option in re.findall(r"--[a-z][a-z-]*", second + rest):
                assert option in known or option == "--help" or first in PROSE, (where, first, option)
    assert named > 30
