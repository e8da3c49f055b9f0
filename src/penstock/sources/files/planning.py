"""What a load will do with a file, from what is known of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR
from typing import Any, Literal

from penstock.errors import SourceError
from penstock.records.opening import Kind
from penstock.sources.files.hashing import content_of

State = Mapping[str, Any]


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


class Planning:
    """Says what a load will do with each file, from names, sizes and times alone where these suffice.

    Args:
        root: what places are told relative to.
        scope: what the keys of positions end with, where only part of each file is wanted.
        kind: tells a file's kind by its path and place.
        fingerprint: skip content that landed before.
        refresh: everything or nothing: if any file is new or changed, all are read.
    """

    def __init__(
        self, root: Path, *, scope: str, kind: Callable[[Path, str], Kind], fingerprint: bool, refresh: bool
    ) -> None:
        self.twins: dict[str, State] = {}
        """What is known of files whose content landed under another name, by place."""
        self._root = root
        self._scope = scope
        self._kind = kind
        self._fingerprint = fingerprint
        self._refresh = refresh

    def plan(self, paths: Iterable[Path], known: Mapping[str, State]) -> list[FilePlan]:
        """A plan for each file."""
        whole: dict[int, dict[str, State]] = {}
        for state in known.values():
            if state.get("complete") and state.get("scope", "") in ("", self._scope):
                whole.setdefault(state["size"], {})[state["content"]] = state
        plans = [self._plan_file(path, known, whole) for path in paths]
        if self._refresh and (self.gone(plans, known) or any(p.action != "skip" for p in plans)):
            plans = [p if p.action == "fail" else FilePlan(p.path, p.place, p.size, "read") for p in plans]
        return plans

    def gone(self, plans: Sequence[FilePlan], known: Mapping[str, State]) -> list[str]:
        """With ``refresh``: the keys of files that were read and are no longer there."""
        there = {p.place + self._scope for p in plans}
        mine = (k for k, s in known.items() if not s.get("gone") and s.get("scope", "") == self._scope)
        return sorted(k for k in mine if k not in there) if self._refresh else []

    def known(self, place: str, known: Mapping[str, State]) -> State | None:
        """What was read of a file: for this window, or whole."""
        whole = known.get(place)
        if whole is not None and whole.get("complete"):
            return whole
        part = known.get(place + self._scope)
        return None if part is None or part.get("gone") else part

    def _plan_file(self, path: Path, known: Mapping[str, State], whole: Mapping[int, Mapping[str, State]]) -> FilePlan:
        """``whole`` are the files that were read to their end, by size and content."""
        try:
            return self._planned(path, known, whole)
        except SourceError as e:
            return FilePlan(path, e.where, 0, "fail", error=e)

    def _planned(self, path: Path, known: Mapping[str, State], whole: Mapping[int, Mapping[str, State]]) -> FilePlan:
        place = self.place(path)
        stat = stat_of(path, place)
        if S_ISDIR(stat.st_mode):
            raise SourceError(
                "the folder cannot be listed, so what is in it is not known",
                where=place,
                fix="give the user that runs Penstock the right to read it",
            )
        if not self._fingerprint:
            return FilePlan(path, place, stat.st_size, "read")
        state = self.known(place, known)
        if state is not None:
            if state["complete"] and same_stamp(state, stat):
                return FilePlan(path, place, stat.st_size, "skip")
            if state["complete"] and state["size"] == stat.st_size and self._content(path, place) == state["content"]:
                return FilePlan(path, place, stat.st_size, "skip")
            if state.get("prefix") and (not state["complete"] or stat.st_size > state["size"]):
                return FilePlan(path, place, stat.st_size, "resume", state["offset"])
            return FilePlan(path, place, stat.st_size, "read")
        twins = whole.get(stat.st_size)
        if twins and (twin := twins.get(self._content(path, place))):
            self.twins[place] = twin
            return FilePlan(path, place, stat.st_size, "skip")
        return FilePlan(path, place, stat.st_size, "read")

    def _content(self, path: Path, place: str) -> str:
        return content_of(path, place, self._kind(path, place))

    def place(self, path: Path) -> str:
        """How positions and origins call a file.

        Raises:
            SourceError: its name is no text.
        """
        try:
            place = path.relative_to(self._root).as_posix()
        except ValueError:
            place = str(path)
        try:
            place.encode()
        except UnicodeEncodeError:
            shown = place.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            raise SourceError("a file name that is not UTF-8", where=shown, fix="rename the file") from None
        return place


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


def same_stamp(state: State, stat: os.stat_result) -> bool:
    """Whether a file has not changed since its position was kept."""
    return all(state.get(name) == value for name, value in stamp_of(stat).items())
