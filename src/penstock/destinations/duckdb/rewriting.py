"""Writes a DuckDB file anew, so that nothing that was deleted is left in it.

DuckDB keeps deleted values in the blocks they were in until it has another use for those; only a copy is free of them.
"""

from __future__ import annotations

import os
from pathlib import Path

import duckdb

from penstock.sql import literal


def copy_of(path: Path) -> Path:
    """Where a copy of the file is made that is to take its place."""
    return path.with_name(f".{path.name}.rewritten")


def rewrite_file(path: Path) -> None:
    """Put a copy of the database in the place of its file, which nobody in this process may have open.

    Killed in the middle, it leaves the file as it was.

    Raises:
        duckdb.Error: another process holds the file, or the disk is full.
    """
    copy = copy_of(path)
    copy.unlink(missing_ok=True)
    with duckdb.connect() as connection:
        connection.execute(f"attach {literal(str(path))} as before")
        connection.execute("checkpoint before")
        row = connection.execute("select tags from duckdb_databases() where database_name = 'before'").fetchone()
        version = row[0].get("storage_version", "").rstrip("+") if row else ""
        options = f" (storage_version {literal(version)})" if version else ""
        try:
            connection.execute(f"attach {literal(str(copy))} as after{options}")
            connection.execute("copy from database before to after")
            connection.execute("detach after")
            copy.chmod(path.stat().st_mode & 0o777)
            with copy.open("rb") as written:
                os.fsync(written.fileno())
            # the lock on the old file is held until it is gone, so nobody writes to it meanwhile
            copy.replace(path)
        finally:
            copy.unlink(missing_ok=True)
