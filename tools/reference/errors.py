"""``docs/errors.md``: the tree of errors, and each message with what mends it, from where they are raised."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import penstock
from penstock import errors
from penstock.errors import PenstockError
from penstock.ports import Reason
from tools.reference.markdown import MADE, code, table

_PACKAGE = Path(penstock.__file__).parent
_LEFT_OUT = {"testing"}
_PLACED = re.compile(r"<[^>]*>|…")

_HEAD = f"""\
# Errors and reasons

{MADE.format(source="src/penstock/errors.py and where errors are raised,")}

An error says what went wrong, where, and after `fix:` what you can do. Its class is grouped by the reaction it asks
for, and gives the [exit code](commands.md#exit-codes):

    error: shop/penstock.yml:27: `streams.user_events.from`: there is no source 'event_file'
      fix: did you mean event_files?

What stands in place of a `<word>` depends on the case. Passwords and tokens are replaced by `*****` before anything is
printed or logged.
"""


def errors_page(_: str) -> str:
    """The page."""
    raised = _raised()
    lines = [_HEAD.rstrip(), "", "## Classes", ""]
    lines += table(("class", "kind of", "exit code", "meaning"), (_class(kind) for kind in _classes()))
    lines += ["", "## Reasons of quarantine", ""]
    lines += [
        "A record that cannot land is no error: it goes to the quarantine, with one of these codes. "
        "[What they mean](input.md#reasons), and [how to send it again](commands.md#penstock-quarantine-replay).",
        "",
        ", ".join(code(reason) for reason in get_args(Reason)) + ".",
    ]
    for kind in _classes():
        found = sorted({(what, fix) for name, what, fix in raised if name == kind.__name__})
        if found:
            lines += ["", f"## {kind.__name__}", ""]
            lines += table(("what", "fix"), ((_shown(what), _shown(fix)) for what, fix in found))
    return "\n".join([*lines, ""])


def _classes() -> Sequence[type[PenstockError]]:
    return [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, PenstockError)]


def _class(kind: type[PenstockError]) -> tuple[str, str, str, str]:
    meaning = "Every error that is raised on purpose." if kind is PenstockError else inspect.getdoc(kind) or ""
    parent = "" if kind is PenstockError else code(kind.__mro__[1].__name__)
    return code(kind.__name__), parent, str(kind.exit_code), meaning.split("\n\n")[0].replace("``", "`")


def _raised() -> list[tuple[str, str, str]]:
    """Class, what and fix of each error that is built from texts."""
    names = {kind.__name__ for kind in _classes()}
    found = []
    for path in sorted(_PACKAGE.rglob("*.py")):
        if path.relative_to(_PACKAGE).parts[0] in _LEFT_OUT:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names and node.args:
                what = "".join(_pieces(node.args[0]))
                fix = next(("".join(_pieces(k.value)) for k in node.keywords if k.arg == "fix"), "")
                if len(_PLACED.sub("", what).split()) > 1:
                    found.append((node.func.id, what, fix))
    return found


def _pieces(node: ast.expr) -> Iterator[str]:
    """A text's pieces; what is put in is shown by its name."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=values):
            for value in values:
                yield from _pieces(value)
        case ast.FormattedValue(value=value):
            yield _placeholder(value)
        case ast.IfExp(body=body):
            yield from _pieces(body)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            yield from _pieces(left)
            yield from _pieces(right)
        case _:
            yield _placeholder(node)


def _placeholder(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) if len(name) > 2:
            return f"<{name.strip('_').replace('_', ' ')}>"
    return "…"


def _shown(text: str) -> str:
    """As Markdown that shows it as it is."""
    text = " ".join(text.split())
    for mark in "\\`*_[]":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("<", "&lt;").replace(">", "&gt;")
