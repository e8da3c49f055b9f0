"""YAML as plain data, with the line of every value, and ``${VAR}`` filled in.

Stricter than YAML 1.1 where that guesses: ``yes``, ``no``, ``0123``, ``12:30:00`` and dates stay the text
they are; a key written twice is an error. A variable's value takes its place after parsing, so it can
never add to the document's structure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from penstock.project.nearest import nearest

Path = tuple[str | int, ...]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_VARIABLE = re.compile(
    r"\$(?:(?P<escape>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<wrong>\{))"
)
_KINDS = ("str", "null", "bool", "int", "float", "timestamp", "value", "map", "seq")
_MAX_NODES = 50_000
"""Values a document may have with its aliases written out; more is an error rather than a full memory."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong: the line (0 for none), the setting's path, what, and what to do."""

    place: str
    line: int
    path: str
    what: str
    fix: str = ""

    @property
    def where(self) -> str:
        """``file:line``, or the name of the variable."""
        return f"{self.place}:{self.line}" if self.line else self.place


@dataclass(slots=True)
class Document:
    """A parsed file: its data, where each value stands, and what was wrong with it."""

    place: str
    data: Any = None
    marks: dict[Path, tuple[str, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unset: dict[Path, Problem] = field(default_factory=dict)
    """Values that name a variable which is not set, with the problem that makes if the value is needed."""

    filled: dict[Path, dict[str, str]] = field(default_factory=dict)
    """Values that are made of variables: name and value of each that was set."""

    def mark(self, path: Path) -> tuple[str, int]:
        """Place and line of ``path``, or of what it would stand in."""
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks.get(path, (self.place, 1))

    def problem(self, path: Path, what: str, fix: str = "") -> Problem:
        """A problem with the value at ``path``."""
        place, line = self.mark(path)
        variables = self.filled.get(path, {})
        empty = [name for name, value in variables.items() if not value]
        if empty:
            what += f"; {' and '.join(empty)}, which it comes from, is empty"
            fix = fix or f"set {' and '.join(empty)}, in the environment or in .env beside the file"
        elif variables:
            what += f"; it comes from {' and '.join(variables)}"
        return Problem(place, line, dotted(path), what, fix)

    def forget(self, path: Path) -> None:
        """What is noted of ``path``, and of all in it: another value takes its place."""
        for notes in (self.marks, self.unset, self.filled):
            for old in [p for p in notes if p[: len(path)] == path]:
                del notes[old]


def dotted(path: Path) -> str:
    """``streams.user_events.columns.id``; places in lists as ``[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def parse(text: str, place: str, variables: Mapping[str, str]) -> Document:
    """Read a document. Nothing is raised: what is wrong is in ``problems`` and ``unset``."""
    document = Document(place)
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        line = mark.line + 1 if mark else 1
        what = " ".join(part for part in (e.context, e.problem) if part) or "cannot be parsed"
        bad = text.splitlines()[line - 1] if mark and line <= len(text.splitlines()) else ""
        if "\t" in bad[: len(bad) - len(bad.lstrip())] or "'\\t'" in what:
            what, fix = "is indented with a tab, which YAML does not allow", "use spaces"
        else:
            fix = "mend the YAML there; text with : or # in it needs quotes"
            if "${" in text:
                fix += ", as does ${VAR} between braces"
        document.problems.append(Problem(place, line, "", f"is not YAML: {what}" if fix[0] == "m" else what, fix))
        return document
    except yaml.YAMLError as e:
        document.problems.append(Problem(place, 1, "", f"is not YAML: {' '.join(str(e).split())}"))
        return document
    if root is None:
        document.problems.append(Problem(place, 1, "", "is empty", "write at least name:, destinations: and streams:"))
        return document
    _Builder(document, variables).build(root)
    return document


class _Builder:
    def __init__(self, document: Document, variables: Mapping[str, str]) -> None:
        self._document = document
        self._variables = variables
        self._open: set[int] = set()
        self._nodes = 0

    def build(self, root: Any) -> None:
        if not isinstance(root, yaml.MappingNode):
            what = f"expected settings as `name: value`, not a {'list' if root.id == 'sequence' else 'single value'}"
            self._problem(root, (), what)
            return
        self._document.data = self._value(root, ())

    def _problem(self, node: Any, path: Path, what: str, fix: str = "") -> None:
        self._document.problems.append(Problem(self._document.place, node.start_mark.line + 1, dotted(path), what, fix))

    def _value(self, node: Any, path: Path) -> Any:
        self._document.marks.setdefault(path, (self._document.place, node.start_mark.line + 1))
        self._nodes += 1
        if self._nodes > _MAX_NODES:
            if self._nodes == _MAX_NODES + 1:
                self._problem(node, path, f"more than {_MAX_NODES:,} values, aliases written out")
            return None
        if node.tag.removeprefix("tag:yaml.org,2002:") not in _KINDS:
            self._problem(node, path, f"the tag {node.tag} has no meaning here", "leave it out")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            self._problem(node, path, "an alias that holds itself")
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self._value(child, (*path, i)) for i, child in enumerate(node.value)]
            return self._mapping(node, path)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: Any, path: Path) -> dict[str, Any]:
        settings: dict[str, Any] = {}
        seen: dict[str, int] = {}
        merged: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._problem(key, path, "a setting's name has to be text")
                continue
            if key.tag == "tag:yaml.org,2002:merge":
                for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    if isinstance(part, yaml.MappingNode):
                        merged = {**self._value(part, path), **merged}
                continue
            name = key.value
            if name in seen:
                self._problem(key, (*path, name), f"is set twice, first on line {seen[name]}", "keep one of them")
                continue
            seen[name] = key.start_mark.line + 1
            self._document.marks[(*path, name)] = (self._document.place, key.start_mark.line + 1)
            settings[name] = self._value(value, (*path, name))
        return {**merged, **settings}

    def _scalar(self, node: Any, path: Path) -> Any:
        text: str = node.value
        kind = node.tag.rpartition(":")[2]
        bare = not node.style
        if "$" in text:
            filled = self._filled(text, node, path)
            return None if bare and not filled else filled
        if not bare:
            return text
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if kind == "int" and re.fullmatch(r"-?(0|[1-9][0-9]*)", text):
            return int(text)
        if kind == "float" and re.fullmatch(r"-?(0|[1-9][0-9]*)\.[0-9]+", text):
            return float(text)
        return text

    def _filled(self, text: str, node: Any, path: Path) -> str:
        return "".join(self._pieces(text, node, path))

    def _pieces(self, text: str, node: Any, path: Path) -> Iterator[str]:
        end = 0
        for match in _VARIABLE.finditer(text):
            yield text[end : match.start()]
            end = match.end()
            name = match["name"]
            if match["escape"]:
                yield "$"
            elif match["wrong"]:
                yield match[0]
                self._problem(
                    node, path, "expected ${NAME} or ${NAME:-default}", "write $$ for a dollar sign that means itself"
                )
            elif self._variables.get(name) or (name in self._variables and match["default"] is None):
                self._document.filled.setdefault(path, {})[name] = self._variables[name]
                yield self._variables[name]
            elif match["default"] is not None:
                yield match["default"]
            else:
                near = nearest(name, self._variables) if len(name) > 3 else None
                hint = f"did you mean ${{{near}}}? Else " if near else ""
                fix = f"{hint}set {name} in the environment or in .env beside the file, or write ${{{name}:-default}}"
                self._document.unset[path] = Problem(
                    self._document.place,
                    node.start_mark.line + 1,
                    dotted(path),
                    f"the variable {name} is not set",
                    fix,
                )
        yield text[end:]
