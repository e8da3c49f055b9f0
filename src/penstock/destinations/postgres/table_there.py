"""What a raw table of PostgreSQL is made of, and whether it still is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from penstock.destinations.structure import check_foreign, check_table
from penstock.errors import LandingBlocked
from penstock.schema import Column, Schema
from penstock.sql import identifier, statement

_TYPES = {"pseudonym": "text", "json": "jsonb", "double": "double precision", "timestamptz": "timestamp with time zone"}
_OWN_COLUMNS: Mapping[str, str] = {
    "_pen_id": "uuid",
    "_pen_load": "bigint",
    "_pen_loaded_at": "timestamp with time zone",
    "_pen_origin": "text",
    "_pen_rescued": "jsonb",
}


def column_type(column: Column) -> str:
    """The type of a column, as a statement that makes it says it."""
    return _TYPES.get(column.type, column.type)


def check_postgres_table(ask: Callable[..., list[tuple[Any, ...]]], table: str, schema: Schema, *, where: str) -> None:
    """See that a table is as the ledger has it, and open to us. ``ask`` runs a statement.

    Raises:
        LandingBlocked: it is not.
    """
    rows: Sequence[tuple[Any, ...]] = ask(statement("penstock.destinations.postgres", "table.sql"), table)
    if not schema.version:
        check_foreign(table, [name for name, *_ in rows])
        return
    expected = {c.name: _standard(column_type(c)) for c in schema.columns}
    actual = {name: type_ for name, type_, *_ in rows}
    needed = [name for name, _, has_to_be, *_ in rows if has_to_be]
    check_table(table, {**expected, **_OWN_COLUMNS}, actual, needed=needed, where=where)
    *_, user, missing = rows[0]
    if missing:
        raise LandingBlocked(
            f"user {user} has no right to {missing} in {table}",
            where=where,
            fix=f"have its owner grant it: grant {missing} on {table} to {identifier(user)}",
        )


def _standard(type_: str) -> str:
    """A type by the name that PostgreSQL itself has for it."""
    if type_.startswith("decimal"):
        return type_.replace("decimal", "numeric")
    return "timestamp without time zone" if type_ == "timestamp" else type_
