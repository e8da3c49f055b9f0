"""What DuckDB is as a destination."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.destinations.duckdb.capabilities import CAPABILITIES
from penstock.destinations.duckdb.scratch import DuckDBScratch
from penstock.destinations.kinds import DestinationKind
from penstock.project import DuckDB

if TYPE_CHECKING:
    from penstock.ports import Destination


class DuckDBKind(DestinationKind[DuckDB]):
    """A file, which one process at a time has."""

    settings = DuckDB
    capabilities = CAPABILITIES

    def open(self, settings: DuckDB) -> Destination:
        """The file, opened when it is first used."""
        from penstock.destinations.duckdb.destination import DuckDBDestination

        return DuckDBDestination(
            settings.path,
            lock_timeout_seconds=settings.lock_timeout_seconds,
            threads=settings.threads,
            memory_limit=settings.memory_limit,
        )

    def scratch(self, settings: DuckDB, folder: Path) -> AbstractContextManager[DuckDBScratch]:
        """A file in the folder, of the same name."""
        return nullcontext(DuckDBScratch(settings, folder))

    def unwaiting(self, settings: DuckDB) -> DuckDB:
        """The settings of one who does not wait for the file."""
        return settings.model_copy(update={"lock_timeout_seconds": 0.0})

    def unmade(self, settings: DuckDB) -> str:
        """What will be made."""
        folder = settings.path.parent
        while not folder.exists():
            folder = folder.parent
        return f"{settings.path} will be made; {shutil.disk_usage(folder).free / 2**30:.1f} GiB free"

    def files(self, settings: DuckDB) -> Sequence[Path]:
        """The file, and the one beside it while it is open."""
        return (settings.path, settings.path.with_name(f"{settings.path.name}.wal"))

    def leftover(self, settings: DuckDB) -> Path | None:
        """What a process leaves that is killed while it writes the file anew."""
        from penstock.destinations.duckdb.rewriting import copy_of

        return copy_of(settings.path)

    def dbt_output(self, settings: DuckDB, threads: int) -> tuple[dict[str, Any], dict[str, str]]:
        """As dbt-duckdb has it, with one thread: they would wait for each other."""
        del threads
        options: dict[str, Any] = {"TimeZone": "UTC", "max_vacuum_tasks": 1}  # as :mod:`.held_file` has it
        if settings.memory_limit:
            options["memory_limit"] = settings.memory_limit
        if settings.threads:
            options["threads"] = settings.threads
        output = {
            "type": "duckdb",
            "path": str(settings.path),
            "schema": "main",
            "threads": 1,
            "settings": options,
            # after attempt n dbt sleeps for 2^n seconds: as many as make up the time to wait
            "retries": {"connect_attempts": 1 + math.ceil(math.log2(settings.lock_timeout_seconds + 1))},
        }
        return output, {}

    def namespace(self, settings: DuckDB) -> tuple[str, str]:
        """As dbt's integration has it."""
        return f"duckdb://{settings.path.absolute()}", settings.path.stem


KIND = DuckDBKind()
