"""``docs/python.md``: what other programs may import, from its docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import penstock
from penstock.airflow.dags import penstock_dags
from penstock.findings import Finding
from penstock.ports import Batch, Position, Segment, Source
from penstock.project import SourceSettings
from penstock.runs.outcome import Report
from penstock.runs.plan import plan_loads
from penstock.sources.datasets import DatasetName
from penstock.sources.kinds import Consumed, Forecast, Opening, SourceKind, Until
from penstock.testing.postgres import PrivatePostgres
from penstock.testing.proxy import Proxy
from penstock.testing.rabbitmq import PrivateRabbitMQ
from tools.reference.markdown import MADE, code, from_rst, table

_PUBLIC: Mapping[str, tuple[str, tuple[Any, ...]]] = {
    "Projects": (
        "What the commands do, a program can call. `shop` is a project's folder, as `penstock init shop` makes it.",
        (
            penstock.run,
            penstock.plan,
            penstock.land,
            penstock.query,
            Report,
            penstock.load_project,
            penstock.Project,
            plan_loads,
            penstock.Session,
        ),
    ),
    "Sources": (
        "[Write a kind of source](how-to/write-a-source.md) says how these are used.",
        (
            Source,
            Batch,
            Position,
            Segment,
            SourceSettings,
            SourceKind,
            Opening,
            Forecast,
            Until,
            Consumed,
            Finding,
            DatasetName,
        ),
    ),
    "Airflow": ("[Under Airflow](airflow.md) says how it is used.", (penstock_dags,)),
    "Tests": (
        "For tests of projects and of connectors: private servers on free loopback ports, and a network that fails.",
        (PrivatePostgres, PrivateRabbitMQ, Proxy),
    ),
}

_SHOWN: Mapping[Any, set[str]] = {penstock.Session: {"destination", "load", "release", "close"}}
"""Classes of which only some members are for others."""

EXAMPLES = Path(__file__).parent / "examples"
"""Scripts that show how names are used; a test runs each beside a new project ``shop``."""
_SHOWN_WITH = {
    "run": ("run", "destination"),
    "plan": ("plan",),
    "land": ("land",),
    "query": ("query",),
    "Session": ("session",),
}
"""Which of them stand below which entry."""

_HEAD = f"""\
# Python

{MADE.format(source="docstrings")}

Penstock is a command; most projects import nothing of it. This is for the others. What is not listed here is internal,
and changes without a word. Errors are those of [`penstock.errors`](errors.md).
"""
_WIDE = 100
_TITLE = re.compile(r'title="(\w+\.py)"\n')
_SECTION = re.compile(r"^(Args|Raises):\n((?:(?: {4}.*)?\n?)*)", re.MULTILINE)
_ENTRY = re.compile(r"^ {4}(\w+): ((?:.*\n?(?: {8}.*\n?)*))", re.MULTILINE)


def python_page(_: str) -> str:
    """The page."""
    lines = [_HEAD.rstrip()]
    for title, (text, names) in _PUBLIC.items():
        lines += ["", f"## {title}", "", text, ""]
        for shown in names:
            lines += _entry(shown, "###")
            if inspect.isclass(shown):
                for name, member in _members(shown):
                    lines += _member(name, member)
                lines += [""]
            for example in _SHOWN_WITH.get(shown.__name__, ()):
                lines += [f'```python title="{example}.py"\n```\n']
    page = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"
    # whose blank lines stay
    return _TITLE.sub(lambda title: title[0] + (EXAMPLES / title[1]).read_text(encoding="utf-8"), page)


def _entry(found: Any, level: str) -> Iterator[str]:
    yield f"{level} {found.__name__}\n"
    protocol = getattr(found, "_is_protocol", False)  # nobody calls it
    call = "" if protocol else f"\n\n{_wrapped(found.__name__ + _signature(found))}"
    yield f"```python\nfrom {_home(found)} import {found.__name__}{call}\n```\n"
    yield from _text(inspect.getdoc(found) or "")


def _home(found: Any) -> str:
    return "penstock" if found.__name__ in penstock.__all__ else found.__module__


def _text(doc: str) -> Iterator[str]:
    """A docstring as Markdown, its arguments and errors as tables."""
    yield from_rst(_SECTION.sub("", doc)).strip() + "\n"
    for title, body in _SECTION.findall(doc + "\n"):
        yield from table(
            ("argument" if title == "Args" else "raises", "meaning"),
            ((code(name), from_rst(text)) for name, text in _ENTRY.findall(body)),
        )
        yield ""


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties, its own and those it takes over from this package."""
    for parent in reversed(kind.__mro__):
        if not parent.__module__.startswith("penstock."):
            continue
        for name, member in vars(parent).items():
            if name.startswith("_") or not (inspect.isfunction(member) or isinstance(member, property)):
                continue
            if name in _SHOWN.get(kind, (name,)) and (parent is kind or name not in vars(kind)):
                yield name, member


def _member(name: str, member: Any) -> Iterator[str]:
    function = member.fget if isinstance(member, property) else member
    first = from_rst((inspect.getdoc(function) or "").split("\n\n")[0])
    shown = name if isinstance(member, property) else f"{name}{_signature(function)}"
    yield f"- {code(shown)}: {' '.join(first.split())}"


def _signature(found: Any) -> str:
    signature = inspect.signature(found)
    kept = [p.replace(annotation=_bare(p.annotation)) for n, p in signature.parameters.items() if n != "self"]
    given = "" if inspect.isclass(found) else _bare(signature.return_annotation)
    text = str(signature.replace(parameters=kept, return_annotation=inspect.Signature.empty))
    text = re.sub(r": '([^']*)'", r": \1", text)
    text = re.sub(r"<function .*?<lambda>.*?>", "...", text)
    text = re.sub(r"<function (\w+) at \w+>", r"\1", text)
    return text + (f" -> {given}" if given else "")


def _wrapped(call: str) -> str:
    """A call with one argument a line, when it is long."""
    if len(call) <= _WIDE:
        return call
    head, _, rest = call.partition("(")
    inside, close, tail = rest.rpartition(")")
    arguments = re.split(r", (?=\*|\w+: )(?![^\[(]*[\])])", inside)
    return f"{head}(\n" + "".join(f"    {a},\n" for a in arguments) + close + tail


def _bare(annotation: Any) -> Any:
    return "" if annotation is inspect.Signature.empty else annotation
