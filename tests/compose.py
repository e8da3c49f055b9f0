"""Compose files as Docker Compose reads them: variables put in, services with their environments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "compose.yaml"
OVERRIDE = ROOT / "compose.override.yaml"
VARIABLE = re.compile(r"\$\$|\$\{(?P<name>[A-Za-z_]\w*)(?:(?P<how>:?[-?+])(?P<word>[^}]*))?\}|\$(?P<bare>[A-Za-z_]\w*)")
"""One use of a variable (Compose Specification, chapter 12), or ``$$``, which stands for itself."""


class Unset(Exception):
    """A variable that has to be set is not."""


def raw(path: Path = COMPOSE) -> dict[str, Any]:
    """The file with its anchors and merges, and its variables as written."""
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def services(variables: Mapping[str, str], path: Path = COMPOSE) -> dict[str, dict[str, Any]]:
    """The services with their variables put in.

    Raises:
        Unset: a variable that has to be set is not; with the message of the file.
    """
    found: dict[str, dict[str, Any]] = _filled(raw(path)["services"], variables)
    return found


def uses(path: Path = COMPOSE) -> Iterator[re.Match[str]]:
    """Every use of a variable."""
    for text in _texts(raw(path)):
        yield from (m for m in VARIABLE.finditer(text) if m[0] != "$$")


def variables_of(path: Path) -> dict[str, str]:
    """The variables of a file such as ``.env``."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"[A-Za-z_]\w*=", line))


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {k: _filled(v, variables) for k, v in value.items()}
    if isinstance(value, list):
        return [_filled(v, variables) for v in value]
    return VARIABLE.sub(lambda m: _value(m, variables), value) if isinstance(value, str) else value


def _value(use: re.Match[str], variables: Mapping[str, str]) -> str:
    if use[0] == "$$":
        return "$"
    name, how, word = use["name"] or use["bare"], use["how"] or "", use["word"] or ""
    given = variables.get(name)
    there = given is not None and (given != "" or ":" not in how)
    if how.endswith("?") and not there:
        raise Unset(f"{name}: {word}")
    if how.endswith("+"):
        return word if there else ""
    return given or "" if there or not how else word


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value
