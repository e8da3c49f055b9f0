"""The files that patterns match, and the folders that may hold them."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from stat import S_ISREG


def paths_of(patterns: Iterable[str], root: Path) -> list[Path]:
    """The files that match, in order, and the folders that may hold some and cannot be listed. A folder stands for all
    in it; a dot or ``_`` before its name hides a file."""
    paths: set[Path] = set()
    for pattern in patterns:
        full = pattern if os.path.isabs(pattern) else str(root / pattern)
        if os.path.isdir(full):
            full = os.path.join(full, "**")
        closed: list[OSError] = []
        base, *parts = Path(full).parts
        paths.update(p for p in _matching(Path(base), parts, closed.append) if _may_be_file(p))
        paths.update(Path(str(e.filename)) for e in closed if isinstance(e, PermissionError))
    return sorted(p for p in paths if not p.name.startswith((".", "_")))


def base_of(pattern: str, root: Path) -> Path:
    """The file of a pattern, or the folder of all that it may match."""
    base = root
    for part in Path(pattern).parts:
        if glob.has_magic(part):
            break
        base = base / part
    return base


def folders_of(patterns: Iterable[str], root: Path) -> list[Path]:
    """The folders that hold all that the patterns may match."""
    bases = [(base_of(pattern, root), glob.has_magic(pattern)) for pattern in patterns]
    return [base if any_of or base.is_dir() else base.parent for base, any_of in bases]


def _may_be_file(path: Path) -> bool:
    """Whether it is a file, or may be one: a link to what is not there, or what may not be looked at."""
    try:
        return S_ISREG(path.stat().st_mode)
    except PermissionError:
        return True
    except OSError:
        return path.is_symlink()


def _matching(base: Path, parts: Sequence[str], on_error: Callable[[OSError], object]) -> Iterator[Path]:
    """What a pattern, in its parts, matches below ``base``: as :mod:`glob` has it, but for two things.

    A folder that cannot be listed is told to ``on_error`` instead of passed over in silence. A link that leads back to
    a folder on the way to it is not followed: what is behind it has been seen, and two of them beside each other are
    endless for glob.
    """
    if not parts:
        yield base
        return
    part, *rest = parts
    if part == "**":
        for folder, folders, files in os.walk(base, followlinks=True, onerror=on_error):
            folders[:] = [n for n in folders if not n.startswith(".") and not _leads_back(Path(folder, n))]
            yield from _matching(Path(folder), rest, on_error) if rest else (Path(folder, n) for n in files)
        return
    if not glob.has_magic(part):
        yield from _matching(base / part, rest, on_error)
        return
    try:
        names = os.listdir(base)
    except OSError as e:
        on_error(e)
        return
    for name in fnmatch.filter(names, part):
        if part.startswith(".") or not name.startswith("."):
            yield from _matching(base / name, rest, on_error)


def _leads_back(folder: Path) -> bool:
    """Whether it is a link to a folder on the way to it."""
    return folder.is_symlink() and os.path.realpath(folder) in {os.path.realpath(above) for above in folder.parents}
