"""How much of the machine a landing takes: what it does not need is left to others, and given back when somebody asks
the file for something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from penstock.destinations.duckdb.held import HeldFile

LANDING_MEMORY_MB = 128
ONE_THREAD_MEMORY_MB = 64
LANDING_MEMORY_MB_PER_COLUMN = 1
"""DuckDB holds a block of 256 KB or more for each column that it fills."""
USUAL_BATCH_BYTES = 32 << 20


class Sparing:
    """What landings set of a file that this process holds.

    Args:
        limit, threads: whether the project says how much memory DuckDB has, and how many threads: that stays.
    """

    def __init__(self, held: HeldFile, *, limit: bool, threads: bool) -> None:
        self._held = held
        self._limit = limit
        self._threads = threads

    def landing(
        self,
        connection: DuckDBPyConnection,
        columns: int,
        batch_bytes: int = 0,
        refused_bytes: int = 0,
        *,
        one_thread: bool = False,
    ) -> None:
        """Landing needs little memory, so it takes little, unless the project says how much or others of this process
        work with the file, such as dbt, whose memory it is too: what DuckDB has read for a model is not to be read
        again for the next step. Bodies for the quarantine are held up to the commit, and twice while written.

        With ``one_thread`` it inserts one batch after the other, which takes more CPU where two wait for each other.
        """
        held = self._held
        one_thread = held.one_thread or (one_thread and not self._threads)
        sparing = held.sparing if self._limit else _limit(columns, batch_bytes, refused_bytes, one_thread=one_thread)
        if (one_thread, sparing) == (held.one_thread, held.sparing) or not self._is_alone(connection):
            return
        if one_thread != held.one_thread:
            connection.execute("set threads = 1")
            held.one_thread = True
        if sparing != held.sparing:
            connection.execute(f"set memory_limit = '{sparing}'")
            held.sparing = sparing

    def nothing(self, connection: DuckDBPyConnection) -> None:
        """Whoever asks the file may have the machine."""
        if self._held.sparing:
            connection.execute("reset memory_limit")
            self._held.sparing = ""
        if self._held.one_thread:
            connection.execute("reset threads")
            self._held.one_thread = False

    def _is_alone(self, connection: DuckDBPyConnection) -> bool:
        """Whether this process has no other connection to the file."""
        if len(self._held.connections) > 1:
            return False
        return connection.execute("from duckdb_connection_count()").fetchall() == [(1,)]


def _limit(columns: int, batch_bytes: int, refused_bytes: int, *, one_thread: bool) -> str:
    """What a landing needs, in DuckDB's spelling."""
    limit = ONE_THREAD_MEMORY_MB if one_thread else LANDING_MEMORY_MB
    limit += LANDING_MEMORY_MB_PER_COLUMN * columns
    if batch_bytes > USUAL_BATCH_BYTES:
        limit += 6 * batch_bytes >> 20
    limit += 4 * refused_bytes >> 20
    return f"{limit}MB"
