"""What the shell offers for a word that is begun: names of the project nearby, read as it stands. Nothing is checked,
opened or told: whatever is wrong, there is just nothing to offer."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import typer

_NUMBER = re.compile(r"^\d+[_-]")

Completion = Callable[[typer.Context, str], list[str]]


def _names(find: Callable[[Path], Iterable[str]]) -> Completion:
    """A completion by the names that ``find`` tells of a project's folder, but for those on the line already."""

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        given = {word for value in context.params.values() if isinstance(value, list | tuple) for word in value}
        try:
            folder = _project(context.params.get("project_dir"))
            names = [] if folder is None else list(dict.fromkeys(map(str, find(folder))))
        except Exception:  # noqa: BLE001 - a traceback on the command line helps nobody there
            return []
        return [name for name in names if name.startswith(incomplete) and name not in given]

    return complete


def _project(directory: Any) -> Path | None:
    """The folder that is named, or the nearest one with a ``penstock.yml``."""
    start = Path(directory or Path.cwd()).absolute()
    return next((folder for folder in (start, *start.parents) if (folder / "penstock.yml").is_file()), None)


def _group(folder: Path, name: str) -> Iterable[str]:
    """The names in a group of ``penstock.yml``, and of its environment."""
    import yaml

    files = ["penstock.yml"]
    if environment := os.environ.get("PENSTOCK_ENV"):
        files.append(f"penstock.{environment}.yml")
    for path in (folder / file for file in files):
        if path.is_file():
            settings = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
            group = settings.get(name) if isinstance(settings, Mapping) else None
            yield from group if isinstance(group, Mapping) else ()


def _questions(folder: Path) -> Iterable[str]:
    return [_NUMBER.sub("", path.stem) for path in sorted((folder / "questions").glob("*.sql"))]


def _layers(folder: Path) -> Iterable[str]:
    return sorted({path.relative_to(folder / "models").parts[0] for path in (folder / "models").glob("*/**/*.sql")})


streams = _names(lambda folder: _group(folder, "streams"))
targets = _names(lambda folder: _group(folder, "destinations"))
questions = _names(_questions)
layers = _names(_layers)


def templates(incomplete: str) -> list[str]:
    """The templates of ``penstock init``."""
    from penstock import scaffold

    return [name for name in scaffold.templates() if name.startswith(incomplete)]


def samples(incomplete: str) -> list[str]:
    """The sample APIs."""
    from penstock.samples import SAMPLES

    return [name for name in SAMPLES if name.startswith(incomplete)]
