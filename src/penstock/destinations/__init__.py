"""Destinations: the warehouses. A folder a kind, each implementing :class:`penstock.ports.Destination`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.errors import DestinationError
from penstock.extras import require

if TYPE_CHECKING:
    from penstock.ports import Destination
    from penstock.project import DuckDB, Postgres


def expect_warehouse(settings: DuckDB | Postgres) -> None:
    """For those who only look, or tell: nobody makes a warehouse by that.

    Raises:
        DestinationError: there is no warehouse yet.
    """
    if not settings.may_exist:
        raise DestinationError("there is no warehouse yet", where=settings.address, fix="penstock run")


def open_destination(settings: DuckDB | Postgres) -> Destination:
    """The destination that the settings describe. Connects when it is first used.

    Raises:
        MissingLibrary: its libraries are not installed.
    """
    if settings.type == "duckdb":
        from penstock.destinations.duckdb.destination import DuckDBDestination

        return DuckDBDestination(
            settings.path,
            lock_timeout_seconds=settings.lock_timeout_seconds,
            threads=settings.threads,
            memory_limit=settings.memory_limit,
        )
    require("postgres")
    from penstock.destinations.postgres.destination import PostgresDestination

    return PostgresDestination(settings.conninfo(), shown=settings.conninfo(masked=True))
