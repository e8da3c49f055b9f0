"""What the threads of this process share of one DuckDB file: another process cannot have it meanwhile."""

from __future__ import annotations

import threading
from pathlib import Path
from weakref import WeakValueDictionary

from penstock.destinations.known import KnownIds

_files: WeakValueDictionary[Path, HeldFile] = WeakValueDictionary()
_finding = threading.Lock()


class HeldFile:
    """One DuckDB file, as long as a destination in this process is about it.

    ``landing`` is held from a landing's start to its end, so that landings follow each other. ``known`` is for whoever
    holds it: the last load's ``seq`` that a table was remembered at, and its identities.
    """

    def __init__(self) -> None:
        self.opening = threading.Lock()
        self.landing = threading.Lock()
        self.known: dict[str, tuple[int, KnownIds]] = {}
        self.landings: dict[str, int] = {}
        self.connections = 0


def held_file(path: Path) -> HeldFile:
    """What is shared of the file, the same for every name of it."""
    with _finding:
        return _files.setdefault(path.resolve(), HeldFile())
