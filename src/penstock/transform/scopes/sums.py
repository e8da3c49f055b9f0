"""The look at a model's SQL that says whether its sums may be moved by what came and went."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

_WHOLE = "or have the model built whole"


def unsafe_sums(sql: str, additive: Sequence[str], counts: Collection[str], dialect: str) -> str | None:
    """Why a model may not be built by adding what came and subtracting what went: the part of its SQL, and the fix, as
    one line; None when it may.

    Each additive column has to be linear in the rows: a sum or a count, or such added to each other. A group is there
    as long as its first one is above zero, so that one has to count rows.

    Args:
        sql: the model's own select, compiled.
        additive: the additive columns of its result.
        counts: the columns of what it reads that count rows, and are never below one there.
        dialect: ``duckdb`` or ``postgres``.
    """
    try:
        query = sqlglot.parse_one(sql, read=dialect)
    except (SqlglotError, RecursionError):
        return "the SQL cannot be followed; have the model built whole"
    if not isinstance(query, exp.Select):
        return "the result is no single select with a group by; write it as one, " + _WHOLE
    made = {each.alias_or_name.lower(): _bare(each) for each in query.expressions}
    for name in additive:
        part = made.get(name.lower())
        if part is None:
            return f"{name} is no column of the select; name it there, {_WHOLE}"
        if not _is_linear(part):
            text = part.sql(dialect=dialect)
            return f"{text} is not a sum or a count of rows; leave it to who reads the model, {_WHOLE}"
    first = made[additive[0].lower()]
    if not _counts_rows(first, query, counts):
        text = first.sql(dialect=dialect)
        return f"{text} may be zero where there are rows; name a count(*) first in additive, {_WHOLE}"
    return None


def _bare(part: exp.Expr) -> exp.Expr:
    """An expression without its name and its type."""
    while isinstance(part, exp.Alias | exp.Cast | exp.Paren):
        part = part.this
    return part


def _is_linear(part: exp.Expr) -> bool:
    part = _bare(part)
    if isinstance(part, exp.Filter):
        part = _bare(part.this)
    if isinstance(part, exp.Sum | exp.Count):
        return part.find(exp.Distinct) is None and not part.expressions
    if isinstance(part, exp.Coalesce):
        return _is_linear(part.this) and all(isinstance(e, exp.Literal) and e.name == "0" for e in part.expressions)
    if isinstance(part, exp.Add | exp.Sub):
        return _is_linear(part.left) and _is_linear(part.right)
    return isinstance(part, exp.Neg) and _is_linear(part.this)


def _counts_rows(part: exp.Expr, query: exp.Select, counts: Collection[str]) -> bool:
    if isinstance(part, exp.Count):
        return isinstance(part.this, exp.Star | exp.Literal)
    column = _bare(part.this) if isinstance(part, exp.Sum) else None
    if not isinstance(column, exp.Column) or column.name.lower() not in counts:
        return False
    # under way it may have become another
    renamed = [each for each in query.find_all(exp.Alias) if each.alias.lower() == column.name.lower()]
    return all(_bare(each) in (_bare(part), column) or _is_column(each, column) for each in renamed)


def _is_column(alias: exp.Alias, column: exp.Column) -> bool:
    inner = _bare(alias)
    while isinstance(inner, exp.Sum):
        inner = _bare(inner.this)
    return isinstance(inner, exp.Column) and inner.name.lower() == column.name.lower()
