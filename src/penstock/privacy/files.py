"""What files of the project keep of a person: Penstock's own are cleaned, all others are named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.compression import BrokenEncoding, DecompressedFile
from penstock.destinations.kinds import kind_of
from penstock.records.opening import compression_of
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
    """``written``: files that were cleaned; ``removed``: those that are made anew when needed."""

    written: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def clean_files(project: Project, traces: Traces, lakes: Sequence[Path]) -> Cleaned:
    """Take the person out of what Penstock wrote in the project's folder: its logs, dbt's files, the lineage file, and
    reports, which are removed. The lakes and the warehouse are left alone: they are cleaned record by record."""
    cleaned = Cleaned()
    lineage = _lineage(project)
    if lineage is not None and lineage.is_file():
        _clean(project, lineage, traces, cleaned)
    leftover = kind_of(project.destination).leftover(project.destination)
    for path in _files(project, lakes):
        with suppress(OSError):
            if leftover is not None and path.name == leftover.name:
                # of the warehouse, by a process that was killed while it made it
                path.unlink()
            elif _is_own(project, path):
                _clean(project, path, traces, cleaned)
            elif _is_report(path) and _holds(path, traces):
                path.unlink()
                cleaned.removed.append(_shown(project, path))
    return cleaned


def other_files(project: Project, traces: Traces, lakes: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Files of the project's folder that are not Penstock's: those that hold the person, and the databases, which are
    not looked into."""
    holding, closed = [], []
    lineage = _lineage(project)
    for path in _files(project, lakes):
        with suppress(OSError):
            if path == lineage or _is_own(project, path):
                continue
            if _is_database(path):
                closed.append(_shown(project, path))
            elif _holds(path, traces):
                holding.append(_shown(project, path))
    return holding, closed


def _lineage(project: Project) -> Path | None:
    return None if project.lineage is None else project.lineage.path


def _is_own(project: Project, path: Path) -> bool:
    return FOLDER in path.relative_to(project.directory).parts


def _is_report(path: Path) -> bool:
    if path.suffix.lower() not in (".html", ".htm"):
        return False
    with path.open("rb") as file:
        return _GENERATOR in file.read(4096)


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(_DATABASE[0] + len(_DATABASE[1]))[_DATABASE[0] :] == _DATABASE[1]


def _shown(project: Project, path: Path) -> str:
    return path.relative_to(project.directory).as_posix() if path.is_relative_to(project.directory) else str(path)


def _clean(project: Project, path: Path, traces: Traces, cleaned: Cleaned) -> None:
    content = path.read_bytes()
    masked = traces.masked_bytes(content)
    if masked == content:
        return
    if b"\0" in content:
        # such as what dbt keeps of a project it has read: lengths stand in it
        path.unlink()
        cleaned.removed.append(_shown(project, path))
        return
    # in place: a process that adds to the file goes on doing so
    with path.open("r+b") as file:
        file.write(masked)
        file.truncate()
    cleaned.written.append(_shown(project, path))


def _files(project: Project, lakes: Sequence[Path]) -> Iterator[Path]:
    """The files of the project's folder but for lakes and the warehouse, in an order."""
    aside = {p.resolve() for p in (*lakes, *kind_of(project.destination).files(project.destination))}

    def below(folder: Path) -> Iterator[Path]:
        try:
            entries = sorted(folder.iterdir())
        except OSError:  # another account's
            return
        for path in entries:
            if path.is_symlink() or path.resolve() in aside:
                continue
            if path.is_dir():
                if path.name not in _NOT_OURS:
                    yield from below(path)
            elif path.is_file():
                yield path

    yield from below(project.directory)


def _holds(path: Path, traces: Traces) -> bool:
    before = b""
    with path.open("rb") as raw, suppress(BrokenEncoding):  # what is there of a damaged file is looked into
        file = DecompressedFile(raw, compression_of(path))
        while chunk := file.read(_CHUNK_BYTES):
            if traces.are_in_bytes(before + chunk):
                return True
            before = chunk[-traces.longest :] if traces.longest else b""
    return False
