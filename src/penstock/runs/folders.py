"""Which files of which folder are watched, for which stream."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.errors import UsageError
from penstock.runs.plan import plan_loads
from penstock.sources.files.kind import files_like
from penstock.sources.files.matching import folders_of
from penstock.sources.kinds import kind_of

if TYPE_CHECKING:
    from penstock.project import Files, Project

UNNAMED = "watch"
"""The source under which files land from a folder that none of the stream's sources covers."""


def watched(project: Project, directory: Path | None, stream: str | None) -> list[tuple[str, str]]:
    """Streams, each with the source, that watching a folder is about; without a folder, all that files feed.

    Raises:
        UsageError: no such folder or stream, or the folder is no stream's, or several streams'.
    """
    steps = plan_loads(project, () if stream is None else (stream,))
    fed = [(s.stream, s.source) for s in steps if _watched(project, s.source) is not None]
    where = str(project.file)
    if directory is None:
        if not fed:
            raise UsageError("no stream is fed by files", where=where, fix="name a folder and a --stream")
        return fed
    if not directory.is_dir():
        raise UsageError("there is no such folder", where=str(directory), fix=f"mkdir -p {directory}")
    real = Path(os.path.realpath(directory))
    fed = [(name, source) for name, source in fed if _covers(project, source, real)]
    if stream is not None:
        return fed or [(stream, UNNAMED)]
    names = sorted({name for name, _ in fed})
    if len(names) == 1:
        return fed
    what = f"the folder feeds {' and '.join(names)}" if names else "no stream's files are in this folder"
    raise UsageError(
        what, where=str(directory), fix=f"penstock watch {directory} --stream {names[0] if names else 'NAME'}"
    )


def _covers(project: Project, source: str, real: Path) -> bool:
    """Whether files in a folder may be the source's."""
    settings = _watched(project, source)
    assert settings is not None
    bases = [Path(os.path.realpath(folder)) for folder in folders_of(settings.path, project.directory)]
    return any(base == real or base in real.parents or real in base.parents for base in bases)


def settings_of(project: Project, stream: str, source: str, directory: Path | None) -> Files:
    """The source's own; for files that none of the stream's sources covers, all in the folder, CSV as in the first."""
    settings = _watched(project, source)
    if settings is not None:
        return settings
    if directory is None:
        raise UsageError(f"source {source!r} has no folder to watch", where=str(project.file), fix="name a folder")
    pattern = f"{glob.escape(str(directory.absolute()))}/**"
    return files_like(project, stream).model_copy(update={"path": (pattern,)})


def _watched(project: Project, source: str) -> Files | None:
    settings = project.sources.get(source)
    return None if settings is None else kind_of(settings).watched(settings)


def as_written(project: Project, settings: Files, directory: Path) -> Path:
    """A folder by the path under which the source finds its files, which may lead through links."""
    real = Path(os.path.realpath(directory))
    for base in folders_of(settings.path, project.directory):
        at = Path(os.path.realpath(base))
        if at == real or at in real.parents:
            return base / real.relative_to(at)
    return directory.absolute()
