"""Whether a raw table is as the ledger has it: what somebody changed by hand is told before anything is written.

A value that is copied into a column of another type may be stored as another value, and one that does not fit would go
to quarantine for what the table is at fault for.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from penstock.errors import LandingBlocked, UsageError

_RECORD_COLUMNS = ("_pen_id", "_pen_load")
"""Columns that every raw table has had in every version."""


def check_table(
    table: str, expected: Mapping[str, str], actual: Mapping[str, str], *, needed: Iterable[str] = (), where: str
) -> None:
    """See that a table has these columns, by name and type in the engine's words. It may have more, but none of the
    ``needed``, which have to have a value.

    Raises:
        LandingBlocked: it has no column at all, as it is gone; one is missing, or of another type, or no record has it.
    """
    stream = table.removeprefix("raw.").strip('"')
    anew = f"or start the stream anew: penstock reset {shlex.quote(stream)}"
    if not actual:
        raise LandingBlocked(
            f"table {table} is gone, and the ledger has rows in it",
            where=where,
            fix=f"put it back, from a backup or as it was; nothing lands into it meanwhile; {anew}",
        )
    for name, type_ in expected.items():
        if name not in actual:
            raise LandingBlocked(
                f"column {name} of {table} is gone",
                where=where,
                fix=f'put it back: alter table {table} add column "{name}" {type_}; {anew}',
            )
        if actual[name] != type_:
            raise LandingBlocked(
                f"column {name} of {table} is {actual[name]}, and was {type_}",
                where=where,
                fix=f'give it its type back: alter table {table} alter column "{name}" type {type_}',
            )
    for name in needed:
        if name not in expected and not name.startswith("_pen_"):
            raise LandingBlocked(
                f"column {name} of {table} may not be null, and no record has it",
                where=where,
                fix=f'let it be null: alter table {table} alter column "{name}" drop not null',
            )


def check_foreign(table: str, columns: Iterable[str]) -> None:
    """See that a table under a stream's name of which the ledger knows nothing is one that Penstock made, if it is
    there at all.

    Raises:
        UsageError: it is another tool's; nothing is changed in it.
    """
    names = set(columns)
    if names and not set(_RECORD_COLUMNS) <= names:
        raise UsageError(
            f"{table} is there already, and is no table of Penstock's: it has no column _pen_id",
            where=table,
            fix=f"give the stream another name, or move the other away: alter table {table} rename to"
            f' {table.removeprefix("raw.")[:-1]}_before"',
        )
