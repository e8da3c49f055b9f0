"""Whether a DuckDB file has the schema that raw tables are made in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.errors import LandingBlocked

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_RAW_SQL = "select 1 from duckdb_schemas() where database_name = current_database() and schema_name = 'raw'"


def lacks_raw(ask: Callable[[str], DuckDBPyConnection]) -> bool:
    """Whether schema raw is to be made beside a whole ledger. One that the ledger has tables in is not: an empty one
    would be in the way of putting it back."""
    return not ask(_RAW_SQL).fetchall() and not ask("select 1 from penstock.columns limit 1").fetchall()


def check_raw(ask: Callable[[str], DuckDBPyConnection], *, where: str) -> None:
    """See that a stream's first table has a schema to be made in, before anything is taken for it.

    Raises:
        LandingBlocked: there is none.
    """
    if not ask(_RAW_SQL).fetchall():
        raise LandingBlocked(
            "there is no schema raw, where the stream's table has to be made",
            where=where,
            fix="put it back, from a backup; or have it made anew, for streams that have no table: create schema raw",
        )
