"""The look at a model's SQL that says whether it may be built scope by scope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from penstock.transform.scopes.clock import expect_same_again
from penstock.transform.scopes.parts import UnsafePart, shown
from penstock.transform.scopes.reading import Reader
from penstock.transform.scopes.tables import SCOPE, Lookup, Mark, Read

__all__ = ["Lookup", "Read", "unsafe_scope"]


def unsafe_scope(sql: str, scope: Sequence[str], refs: Mapping[str, Read], dialect: str) -> str | None:
    """Why a model may not be built scope by scope: the part of its SQL that takes rows of several scopes together, and
    the fix, as one line; None when it may.

    What cannot be followed counts as unsafe. Ties are not seen: a window whose order leaves two rows equal may give
    either, and so may a build that is not step by step.

    Args:
        sql: the model's own select, compiled.
        scope: the columns of its result that are the scope.
        refs: the tables that it reads, ``schema.table`` or ``table`` → by which of their columns, or expressions on
            those, they are filtered to the scope, one for each of its columns; or as what else they are read.
        dialect: as sqlglot names it (:attr:`penstock.ports.Capabilities.dialect`).
    """
    try:
        query = sqlglot.parse_one(sql, read=dialect)
        expect_same_again(query)
        reader = Reader(scope, refs, dialect)
        table = reader.query(query)
        for dimension in table.depends:
            if dimension != SCOPE:
                lookup = refs[dimension]
                assert isinstance(lookup, Lookup)
                pairs = zip(lookup.their, lookup.on, strict=True)
                on = " and ".join(f"{dimension}.{their} = {lookup.through}.{ours}" for their, ours in pairs)
                raise UnsafePart(
                    dimension, f"is a look-up, but is not joined by {on}", reader.words.whole_or("join it by that")
                )
        for number, column in enumerate(scope):
            if SCOPE not in table.depends:
                continue
            marks = table.marks(column.lower())
            if marks is None:
                raise UnsafePart(column, "is the scope, but no column of the result", "select it")
            if Mark(SCOPE, number) not in marks:
                raise UnsafePart(
                    _made_by(query, column) or column,
                    f"is not the column by which {reader.words.tables(SCOPE)} is filtered to {column}",
                    reader.words.whole_or("take that column as it is, or name the one that it is in sources"),
                )
    except UnsafePart as e:
        return f"{shown(e.part, dialect)} {e.why}; {e.fix}"
    except (SqlglotError, RecursionError) as e:
        reason = str(e).splitlines()[0] if str(e) else type(e).__name__
        return f"the SQL cannot be followed ({reason}); have the model built whole"
    return None


def _made_by(query: exp.Expr, column: str) -> exp.Expr | None:
    """The expression that is this column of the result, where it is more than a name."""
    select = query
    while isinstance(select, exp.SetOperation | exp.Subquery):
        select = select.this
    named = select.expressions if isinstance(select, exp.Select) else ()
    return next((e for e in named if isinstance(e, exp.Alias) and e.alias.lower() == column.lower()), None)
