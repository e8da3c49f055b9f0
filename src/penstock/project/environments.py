"""Settings per environment: ``penstock.production.yml`` beside ``penstock.yml`` says what is different there.

``PENSTOCK_ENV`` (or ``penstock --env``) names the environment; without one, ``penstock.yml`` holds alone. A group of
settings is merged name by name; anything else, and a group of another ``type``, takes the place of what was there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.errors import ProjectError
from penstock.project.nearest import nearest
from penstock.project.yaml_document import Document
from penstock.project.yaml_document import Path as SettingPath

VARIABLE = "PENSTOCK_ENV"

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def layer_file(project_file: Path, variables: Mapping[str, str]) -> Path | None:
    """The file of the environment that the variables name; None when they name none.

    Raises:
        ProjectError: there is no such file.
    """
    name = variables.get(VARIABLE, "").strip()
    if not name:
        return None
    path = project_file.parent / f"{project_file.stem}.{name}{project_file.suffix}"
    if not _NAME.fullmatch(name) or not path.is_file():
        prefix, suffix = f"{project_file.stem}.", project_file.suffix
        known = sorted(
            p.name.removeprefix(prefix).removesuffix(suffix) for p in project_file.parent.glob(f"{prefix}*{suffix}")
        )
        near = nearest(name, known)
        there = f"there are {', '.join(known)}" if known else f"make {prefix}{name}{suffix}"
        raise ProjectError(
            f"{VARIABLE} is {name!r}, and there is no {prefix}{name}{suffix}",
            where=str(project_file.parent),
            fix=f"did you mean {near}?" if near else f"{there}, or leave {VARIABLE} unset",
        )
    return path


def put_over(document: Document, layer: Document) -> None:
    """Set in ``document`` what ``layer`` says; each value keeps the place where it stands, for errors."""
    document.problems += layer.problems
    if isinstance(document.data, dict) and isinstance(layer.data, dict):
        _merge(document, layer, document.data, layer.data, ())


def _merge(document: Document, layer: Document, under: dict[str, Any], over: dict[str, Any], at: SettingPath) -> None:
    for name, value in over.items():
        path = (*at, name)
        before = under.get(name)
        if isinstance(before, dict) and isinstance(value, dict) and _same_type(before, value):
            _merge(document, layer, before, value, path)
            continue
        under[name] = value
        document.forget(path)
        document.marks |= {p: m for p, m in layer.marks.items() if p[: len(path)] == path}
        document.unset |= {p: u for p, u in layer.unset.items() if p[: len(path)] == path}
        document.filled |= {p: f for p, f in layer.filled.items() if p[: len(path)] == path}


def _same_type(before: dict[str, Any], after: dict[str, Any]) -> bool:
    return "type" not in after or before.get("type") == after["type"]
