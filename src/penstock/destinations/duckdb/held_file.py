"""Opens a DuckDB file, and waits for the process that holds it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from penstock.errors import DestinationError, LockedError, UsageError

if TYPE_CHECKING:
    from penstock.destinations.duckdb.held import HeldFile

_HOLDER = re.compile(r"held in (?P<program>.*?) \(PID (?P<pid>\d+)\)(?P<rest>[^.]*)")
_RETRY_SECONDS = 0.1
_TAKEN_NAMES = ("penstock", "raw")
_SETTINGS = (
    "TimeZone = 'UTC'",
    "enable_progress_bar = false",
    # a checkpoint merges row groups that are not full, a hundred times at once unless told otherwise, and each merge
    # takes what its rows take uncompressed: 1.7 GB at the end of a load of 10 million events, for no gain
    "max_vacuum_tasks = 1",
)


def open_file(path: Path, held: HeldFile, settings: Iterable[str], timeout_seconds: float) -> duckdb.DuckDBPyConnection:
    """A connection, which is among those of ``held``. The file is made when it is missing.

    Args:
        settings: DuckDB's, each as ``name = value``.

    Raises:
        UsageError: its name hides a schema of ours.
        LockedError: another process holds it, longer than the timeout.
        DestinationError: it is no DuckDB database, or of a newer version.
    """
    if path.stem in _TAKEN_NAMES:
        raise UsageError(
            f"a DuckDB file named {path.name} hides the schema {path.stem} in it",
            where=str(path),
            fix="give the destination another path:, such as warehouse.duckdb",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    give_up = time.monotonic() + timeout_seconds
    while True:
        try:
            with held.opening:
                return _connect(path, held, settings)
        except duckdb.IOException as e:
            if "set lock" not in str(e) and _HOLDER.search(str(e)) is None:
                raise DestinationError(
                    str(e), where=str(path), fix="check that the file is a DuckDB database of this version"
                ) from None
            if time.monotonic() >= give_up:
                raise _locked(path, str(e), timeout_seconds) from None
            time.sleep(_RETRY_SECONDS)


def _connect(path: Path, held: HeldFile, settings: Iterable[str]) -> duckdb.DuckDBPyConnection:
    """Connect as dbt does, without a configuration: DuckDB refuses a second one that differs in a process."""
    if not path.exists() and duckdb.__version__.startswith("2"):
        duckdb.connect(str(path), config={"storage_compatibility_version": "v1.5.0"}).close()
    connection = duckdb.connect(str(path))
    for setting in (*_SETTINGS, *settings):
        connection.execute(f"set {setting}")
    held.connections.append(connection)
    return connection


def _locked(path: Path, message: str, timeout_seconds: float) -> LockedError:
    holder, fix = "another process", "wait for it, or stop it"
    if match := _HOLDER.search(message):
        holder = f"process {match['pid']} ({Path(match['program']).name}{match['rest']})"
        fix = f"wait for it, or stop it: kill {match['pid']}"
    return LockedError(
        f"the warehouse is held by {holder}, and was for {timeout_seconds:g} s",
        where=str(path),
        fix=f"{fix}; to wait longer set lock_timeout_seconds: on the destination",
        pid=int(match["pid"]) if match else None,
    )
