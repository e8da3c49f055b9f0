"""Makes new projects from the templates that come with Penstock.

``minimal`` lies beside this file. The others are the examples of the same names: in a wheel they lie beside
``minimal``; in a source tree they are the folders in ``examples`` themselves.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator
from pathlib import Path

from penstock.editor import COPY, keep_schema
from penstock.errors import UsageError

RESIDUE = (
    ".penstock",
    ".env",
    ".user.yml",
    ".DS_Store",
    "__pycache__",
    "dbt_packages",
    "lake",
    "logs",
    "profiles.yml",
    "target",
    "*.duckdb",
    "*.duckdb.*",
    "*.pyc",
    "*.tmp",
)
"""What running a project leaves in its folder; never part of a template."""

_PACKAGED = Path(__file__).parent / "templates"
_EXAMPLES = Path(__file__).parents[2] / "examples"


def templates() -> dict[str, Path]:
    """The templates there are, each with its folder."""
    folders: dict[str, Path] = {}
    for root in (_EXAMPLES, _PACKAGED):
        if root.is_dir():
            folders |= {folder.name: folder for folder in sorted(root.iterdir()) if (folder / "penstock.yml").is_file()}
    return folders


def create_project(
    directory: Path, template: str = "minimal", name: str | None = None, *, force: bool = False
) -> list[Path]:
    """Make a project in ``directory`` and return the files written, in order of their names.

    Args:
        template: one of :func:`templates`.
        name: the project's name; made from the folder's when left out.
        force: write into a folder that is not empty, over files of the same name; others stay.

    Raises:
        UsageError: no such template, a name that cannot be, a folder that is not empty or not writable.
    """
    known = templates()
    if template not in known:
        # not at the top: completion in a shell has no time for the settings' types
        from penstock.project.nearest import nearest

        near = nearest(template, known)
        fix = f"did you mean {near}?" if near else f"there are {', '.join(sorted(known))}"
        raise UsageError(f"there is no template {template!r}", fix=fix)
    directory = directory.absolute()
    name = project_name(directory.name) if name is None else name
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):
        raise UsageError(
            f"{name!r} cannot name a project",
            fix=f"use small letters, digits and _, a letter first: {project_name(name)}",
        )
    if directory.exists() and not directory.is_dir():
        raise UsageError("is a file, not a folder", where=str(directory), fix="choose another folder")
    if directory.is_dir() and not force and any(directory.iterdir()):
        raise UsageError(
            "the folder is not empty",
            where=str(directory),
            fix=f"choose a new one, such as penstock init {name}_2, or write over what is there with --force",
        )
    try:
        return sorted(_write(known[template], directory, name))
    except OSError as e:
        raise UsageError(
            f"cannot be written: {e.strerror}", where=str(e.filename or directory), fix="choose another folder"
        ) from None


def project_name(text: str) -> str:
    """The nearest name a project can have."""
    words = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "project"
    return (words if words[0].isalpha() else f"project_{words}")[:63]


def _write(template: Path, directory: Path, name: str) -> Iterator[Path]:
    for source in _files(template):
        copy = directory / source.relative_to(template)
        copy.parent.mkdir(parents=True, exist_ok=True)
        content = source.read_bytes()
        if copy == directory / "penstock.yml":
            content = _named(content.decode("utf-8"), name).encode("utf-8")
        elif copy.parent == directory / "dags" and copy.suffix == ".py":
            content = re.sub(rb'(?m)^NAME = ".*"$', f'NAME = "{name}"'.encode(), content, count=1)
        copy.write_bytes(content)
        yield copy
    keep_schema(directory)


def _files(template: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(template):
        folders[:] = sorted(f for f in folders if not _is_residue(f))
        yield from (Path(folder) / f for f in sorted(files) if not _is_residue(f))


def _is_residue(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in RESIDUE)


def _named(text: str, name: str) -> str:
    """The project file with its name set, and where its schema will be."""
    text = re.sub(r"(?m)^name: .*$", f"name: {name}", text, count=1)
    return re.sub(r"\$schema=\S+", f"$schema={COPY}", text, count=1)
