"""What a load will do with a file, from what is known of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from penstock.errors import SourceError


@dataclass(frozen=True, slots=True)
class FilePlan:
    """What a load will do with one file: ``skip``, ``resume`` after ``offset`` bytes, ``read`` it whole, or ``fail``,
    since it cannot be read for ``error``."""

    path: Path
    place: str
    size: int
    action: Literal["skip", "resume", "read", "fail"]
    offset: int = 0
    error: SourceError | None = None


def stamp_of(stat: os.stat_result) -> dict[str, Any]:
    """What changes with a file, as a position has it."""
    return {
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "ctime_ns": stat.st_ctime_ns,
        "inode": stat.st_ino,
    }


def stat_of(path: Path, place: str) -> os.stat_result:
    """A file's size and times.

    Raises:
        SourceError: they cannot be had.
    """
    try:
        return path.stat()
    except OSError as e:
        raise SourceError(
            f"cannot be read: {e.strerror}", where=place, fix="run again; it may have been replaced"
        ) from None


def same_stamp(state: Mapping[str, Any], stat: os.stat_result) -> bool:
    """Whether a file has not changed since its position was kept."""
    return all(state.get(name) == value for name, value in stamp_of(stat).items())
