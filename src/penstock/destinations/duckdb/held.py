"""What the threads of this process share of one DuckDB file: another process cannot have it meanwhile."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import numpy as np

from penstock.destinations.known import KnownIds
from penstock.shape.arrow import id_halves
from penstock.sql import identifier

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_files: WeakValueDictionary[Path, HeldFile] = WeakValueDictionary()
_finding = threading.Lock()
_MAX_ROWS = 20_000_000
"""A table with more, filled before this process landed into it, is asked: to read its identities would take long."""


class HeldFile:
    """One DuckDB file, as long as a destination in this process is about it.

    ``landing`` is held from a landing's start to its end, so that landings follow each other. ``known`` is for whoever
    holds it: the last load's ``seq`` that a table was remembered at, and its identities. ``connections`` are those that
    are open, all of one database, which is closed with the last of them. ``sparing`` is the memory limit that a landing
    has set, empty where none has; ``one_thread`` says that it has DuckDB work in one thread.
    """

    def __init__(self) -> None:
        self.opening = threading.Lock()
        self.landing = threading.Lock()
        self.known: dict[str, tuple[int, KnownIds]] = {}
        self.connections: list[DuckDBPyConnection] = []
        self.sparing = ""
        self.one_thread = False
        self._landings: dict[str, int] = {}

    def drop(self) -> None:
        """Close all connections: after a fatal error only a database that is opened anew can be used. One that another
        thread is busy with is closed when that thread, too, meets the error."""
        import duckdb

        with self.opening:
            for connection in tuple(self.connections):
                with suppress(duckdb.Error):
                    connection.close()
                    self.connections.remove(connection)

    def known_ids(self, connection: DuckDBPyConnection, stream: str, last: int) -> KnownIds | None:
        """The identities of the stream's table when remembering them pays: it was empty when this process
        began to land into it, or this process lands into it again. For an open landing, ``last`` load's ``seq``."""
        seen = self.known.get(stream)
        self._landings[stream] = self._landings.get(stream, 0) + 1
        if seen is not None and seen[0] == last:
            return None if seen[1].overflowed else seen[1]
        self.known.pop(stream, None)
        sizes = "select max(estimated_size) from duckdb_tables() where schema_name = 'raw' and table_name = $1"
        size = connection.execute(sizes, [stream]).fetchall()[0][0] or 0
        if size > _MAX_ROWS or (size and self._landings[stream] < 2):
            return None
        ids = KnownIds()
        if size:
            rows = connection.sql(f"select _pen_id, _pen_load from raw.{identifier(stream)}")
            for batch in rows.to_arrow_reader(500_000):
                loads = batch.column(1).to_numpy()
                ids.add(id_halves(batch.column(0))[:, 0].view(np.uint64), int(loads.min()), int(loads.max()))
                ids.commit()
        self.known[stream] = (last, ids)
        return ids

    def remember(self, stream: str, seq: int) -> None:
        """Note that what is known of the stream includes load ``seq``."""
        if stream in self.known:
            self.known[stream] = (seq, self.known[stream][1])


def held_file(path: Path) -> HeldFile:
    """What is shared of the file, the same for every name of it."""
    with _finding:
        return _files.setdefault(path.resolve(), HeldFile())
