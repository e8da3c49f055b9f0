"""What files of the project keep of a person: Penstock's own are cleaned, all others are named."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.transform.workspace import FOLDER

if TYPE_CHECKING:
    from penstock.privacy.traces import Traces
    from penstock.project import Project

_NOT_OURS = frozenset({".git", ".venv", "venv", "node_modules", "__pycache__"})
_GENERATOR = b'<meta name="generator" content="penstock">'
_DATABASE = (8, b"DUCK")
"""Where a DuckDB file says so."""
_CHUNK_BYTES = 1 << 22


@dataclass(slots=True, kw_only=True)
class Cleaned:
    """``written``: files that were cleaned; ``removed``: those that are made anew when needed; ``left``: others that
    hold the person; ``closed``: databases that were not looked into."""

    written: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)


def clean_files(project: Project, traces: Traces, lakes: list[Path]) -> Cleaned:
    """Take the person out of what Penstock wrote in the project's folder: its logs, dbt's files, the lineage file, and
    reports, which are removed. The lakes and the warehouse are left alone: they are cleaned record by record."""
    found = Cleaned()
    destination = project.destination
    warehouse = destination.path.resolve() if destination.type == "duckdb" else None
    for path in sorted(_files(project.directory, {p.resolve() for p in lakes})):
        with suppress(OSError):
            if warehouse is not None and path.parent.resolve() == warehouse.parent:
                if path.name == f".{warehouse.name}.rewritten":
                    path.unlink()
                    continue
                if path.name in (warehouse.name, f"{warehouse.name}.wal"):
                    continue
            _look(project, path, traces, found)
    own = project.lineage.path if project.lineage is not None else None
    if own is not None and not own.resolve().is_relative_to(project.directory.resolve()) and own.is_file():
        _clean(project, own, traces, found)
    return found


def _look(project: Project, path: Path, traces: Traces, found: Cleaned) -> None:
    shown = path.relative_to(project.directory).as_posix()
    with path.open("rb") as file:
        head = file.read(_DATABASE[0] + len(_DATABASE[1]))
    if head[_DATABASE[0] :] == _DATABASE[1]:
        found.closed.append(shown)
        return
    if not _holds(path, traces):
        return
    own = project.lineage.path if project.lineage is not None else None
    if FOLDER in path.relative_to(project.directory).parts or (own is not None and path == own):
        _clean(project, path, traces, found)
    elif path.suffix.lower() in (".html", ".htm") and _GENERATOR in path.read_bytes()[:4096]:
        path.unlink()
        found.removed.append(shown)
    else:
        found.left.append(shown)


def _clean(project: Project, path: Path, traces: Traces, found: Cleaned) -> None:
    shown = path.relative_to(project.directory).as_posix() if path.is_relative_to(project.directory) else str(path)
    content = path.read_bytes()
    cleaned = traces.masked_bytes(content)
    if cleaned == content:
        return
    if b"\0" in content:
        # such as what dbt keeps of a project it has read: lengths stand in it
        path.unlink()
        found.removed.append(shown)
        return
    # in place: a process that adds to the file goes on doing so
    with path.open("r+b") as file:
        file.write(cleaned)
        file.truncate()
    found.written.append(shown)


def _files(folder: Path, lakes: set[Path]) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_symlink():
            continue
        if path.is_dir():
            if path.name not in _NOT_OURS and path.resolve() not in lakes:
                yield from _files(path, lakes)
        elif path.is_file():
            yield path


def _holds(path: Path, traces: Traces) -> bool:
    before = b""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file, suppress(EOFError):
        while chunk := file.read(_CHUNK_BYTES):
            if traces.are_in_bytes(before + chunk):
                return True
            before = chunk[-traces.longest :] if traces.longest else b""
    return False
