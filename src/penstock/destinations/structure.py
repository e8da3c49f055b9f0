"""Whether a raw table is as the ledger has it: what somebody changed by hand is told before anything is written.

A value that is copied into a column of another type may be stored as another value, and one that does not fit would go
to quarantine for what the table is at fault for.
"""

from __future__ import annotations

from collections.abc import Mapping

from penstock.errors import LandingBlocked


def check_table(table: str, expected: Mapping[str, str], actual: Mapping[str, str], *, where: str) -> None:
    """See that a table has these columns, by name and type in the engine's words. It may have more.

    Raises:
        LandingBlocked: it has no column at all, as it is gone; one is missing, or of another type.
    """
    if not actual:
        raise LandingBlocked(
            f"table {table} is gone, and the ledger has rows in it",
            where=where,
            fix="put it back, from a backup or as it was; nothing lands into it meanwhile",
        )
    for name, type_ in expected.items():
        if name not in actual:
            raise LandingBlocked(
                f"column {name} of {table} is gone",
                where=where,
                fix=f'put it back: alter table {table} add column "{name}" {type_}',
            )
        if actual[name] != type_:
            raise LandingBlocked(
                f"column {name} of {table} is {actual[name]}, and was {type_}",
                where=where,
                fix=f'give it its type back: alter table {table} alter column "{name}" type {type_}',
            )
