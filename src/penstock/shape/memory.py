"""The DuckDB that shaping works in, and how much memory it may take."""

from __future__ import annotations

import duckdb

_MAX_BYTES = 16 << 30


class Memory:
    """A DuckDB in memory, for one thread at a time, opened when it is first needed: what the kernel shapes whole needs
    none.

    Args:
        threads: DuckDB's own.
        max_bytes: what it may use; :meth:`doubled` lets it have more.
    """

    def __init__(self, threads: int, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._threads = threads
        self._connection: duckdb.DuckDBPyConnection | None = None

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection to it."""
        if self._connection is None:
            self._connection = duckdb.connect(
                ":memory:",
                config={
                    "threads": self._threads,
                    "memory_limit": f"{self.max_bytes}B",
                    "arrow_lossless_conversion": True,
                    "preserve_insertion_order": False,
                },
            )
            self._connection.execute("set TimeZone = 'UTC'; set enable_progress_bar = false")
        return self._connection

    def doubled(self) -> bool:
        """Allow twice as much, as records of many fields need. False when that would be over 16 GiB."""
        if self.max_bytes > _MAX_BYTES // 2:
            return False
        self.max_bytes *= 2
        self.connection.execute(f"set memory_limit = '{self.max_bytes}B'")
        return True

    def close(self) -> None:
        """Free it."""
        if self._connection is not None:
            self._connection.close()
