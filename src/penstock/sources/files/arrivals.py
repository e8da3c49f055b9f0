"""Which files of a folder are wholly written: told by native notifications, or by polling where there are none.

A file that was moved in is whole at once. Any other is when its size and times have not changed for a while.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from penstock.records.opening import is_lines
from penstock.sources.files.source import FilesSource

TEMPORARY = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", "~")
"""How the names of files end that will get another name once they are written. A dot at the start says so too."""
RESCAN_SECONDS = 30.0
"""How often the folders are looked through though nothing was told: network drives do not tell."""

_GROWING = 4
"""A file of lines that never rests is read after so many times the settling."""
_REST = 2
"""So many times as long as a scan takes, there is none."""
_POLL_MILLISECONDS = 500
_STEP_MILLISECONDS = 25
_GATHER_MILLISECONDS = 200
_ADDED, _MODIFIED, _DELETED = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file to read. With ``final`` its last line counts, finished or not."""

    path: Path
    final: bool = False


@dataclass(slots=True)
class _File:
    """What was last seen of a file. ``due`` is when it is to be read, None once it was; ``begun`` when it first
    differed from what was read."""

    stamp: tuple[int, int, int]
    begun: float
    due: float | None
    final: bool = False


class Arrivals:
    """The files of a source that are new or changed since they were last given, once they are whole.

    Args:
        source: whose files; it is only asked which there are.
        within: only files below this folder.
        folders: the folders to be told about.
        format: the source's ``format``, which may say that its files are NDJSON.
    """

    def __init__(
        self, source: FilesSource, *, folders: Sequence[Path], within: Path | None, settle_seconds: float, format: str
    ) -> None:
        self.lost: bool = False
        """Whether a file that was there before is gone, as of the last :meth:`scan`."""
        self._source = source
        self._folders = folders
        self._within = within
        self._settle_seconds = settle_seconds
        self._format = format
        self._files: dict[Path, _File] = {}
        self._moved: set[str] = set()
        self._renamed: set[str] = set()
        self._notify: RustNotify | None = None
        self._scan_seconds = 0.0

    @contextmanager
    def noticing(self) -> Iterator[None]:
        """Have changes told meanwhile, in those folders that are there when it begins."""
        folders = [str(f) for f in self._folders if f.is_dir()]
        if not folders:
            yield
            return
        with _notify(folders) as self._notify:
            try:
                yield
            finally:
                self._notify = None

    def scan(self) -> list[Arrival]:
        """Look through the folders; the files that are whole and not given before, in order."""
        now = time.monotonic()
        files: dict[Path, _File] = {}
        for path in self._paths():
            try:
                stat = path.stat()
            except OSError:
                continue
            stamp = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
            file = self._files.get(path)
            if file is None or file.stamp != stamp:
                begun = now if file is None or file.due is None or file.final else file.begun
                due = now + self._settle_seconds
                if stat.st_size and self._came_whole(path, stat):
                    due = now
                if is_lines(path.name, self._format):
                    due = min(due, begun + _GROWING * self._settle_seconds)
                file = _File(stamp, begun, due)
            files[path] = file
        self.lost = bool(self._files.keys() - files.keys())
        self._files = files
        self._moved.clear()
        self._renamed.clear()
        ready = [(path, file) for path, file in files.items() if file.due is not None and file.due <= now]
        for _, file in ready:
            file.due = None
        self._scan_seconds = time.monotonic() - now
        return [Arrival(path, file.final) for path, file in ready]

    @property
    def settled(self) -> bool:
        """Whether every file there was given, but for those that wait for the end of their last line."""
        return not any(file.due is not None and not file.final for file in self._files.values())

    @property
    def files(self) -> list[Path]:
        """All that there are, as of the last :meth:`scan`."""
        return list(self._files)

    def again(self, paths: Collection[Path], *, seconds: float = 0.0, final: bool = False) -> None:
        """Give these again, after a while, unless they change before."""
        for path in paths:
            if (file := self._files.get(path)) is not None:
                file.due, file.final = time.monotonic() + seconds, final

    def wait(self, seconds: float, stop: Any) -> float:
        """Until something changes, a file comes to rest, ``stop`` is set, or ``seconds`` have passed; how many did.

        Looking through a folder of many files takes its time, and most of the time it is not done.
        """
        now = time.monotonic()
        due = min((file.due for file in self._files.values() if file.due is not None), default=now + seconds)
        seconds = max(min(seconds, due - now), 0.001)
        if self._notify is None:
            stop.wait(min(seconds, 1.0))
        else:
            stop.wait(_REST * self._scan_seconds)
            changes = self._notify.watch(_GATHER_MILLISECONDS, _STEP_MILLISECONDS, max(int(seconds * 1000), 1), stop)
            if isinstance(changes, set):
                self._note_moved(changes)
        return time.monotonic() - now

    def _paths(self) -> list[Path]:
        within = self._within
        return [
            path
            for path in self._source.paths()
            if not _is_temporary(path.name) and (within is None or within in path.parents)
        ]

    def _note_moved(self, changes: set[tuple[int, str]]) -> None:
        """Who writes a file is told of more than once; who moves it, once."""
        moved = {path for change, path in changes if change == _ADDED} - {
            p for change, p in changes if change == _MODIFIED
        }
        gone = [Path(path) for change, path in changes if change == _DELETED]
        left = {path.parent for path in gone if _is_temporary(path.name)}
        self._moved.update(os.path.realpath(path) for path in moved)
        self._renamed.update(os.path.realpath(path) for path in moved if Path(path).parent in left)

    def _came_whole(self, path: Path, stat: os.stat_result) -> bool:
        """A move changes ``ctime`` alone, writing both times at once; one from a temporary name is told as such."""
        if not self._moved:
            return False
        real = os.path.realpath(path)
        return real in self._renamed or (real in self._moved and stat.st_mtime_ns < stat.st_ctime_ns)


def _is_temporary(name: str) -> bool:
    return name.startswith(".") or name.lower().endswith(TEMPORARY)


def _notify(folders: list[str]) -> RustNotify:
    forced = bool(os.environ.get("WATCHFILES_FORCE_POLLING"))
    try:
        return RustNotify(folders, False, forced, _POLL_MILLISECONDS, True, True)
    except (OSError, WatchfilesRustInternalError):
        # the system has no notifications to give, or none left
        return RustNotify(folders, False, True, _POLL_MILLISECONDS, True, True)
