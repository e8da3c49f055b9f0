"""Tables that a model reads by their names: no change of them has it built."""

from __future__ import annotations

from collections.abc import Sequence

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from penstock.transform.scopes.parts import shown

_FIX = "read it by ref() or source()"


def unnoticed(sql: str, inputs: Sequence[str], dialect: str) -> str | None:
    """The first table of a model's SQL that is none of its ``inputs``, each ``schema.table``, with the fix, as one
    line; None where there is none, or the SQL cannot be followed."""
    try:
        query = sqlglot.parse_one(sql, read=dialect)
    except (SqlglotError, RecursionError):
        return None
    known = {tuple(name.lower().split(".")) for name in inputs}
    own = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    for table in query.find_all(exp.Table):
        parts = tuple(part.name.lower() for part in table.parts)
        if not isinstance(table.this, exp.Identifier) or (len(parts) == 1 and parts[0] in own):
            continue
        if not any(parts[-len(name) :] == name for name in known):
            return f"{shown(table, dialect)} is read by its name, and a change of it alone starts no step; {_FIX}"
    return None
