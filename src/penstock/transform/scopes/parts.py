"""Parts of a parsed query: found, compared, and named where they are unsafe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlglot import exp

_MOST_CHARACTERS = 90


class UnsafePart(Exception):
    """A part of the SQL takes rows of several scopes together, or cannot be followed: the part, why, and what to do."""

    def __init__(self, part: exp.Expr | str, why: str, fix: str) -> None:
        self.part, self.why, self.fix = part, why, fix
        super().__init__(why)


def normalised(expression: exp.Expr, dialect: str) -> str:
    """An expression on the columns of one table as text, the same for the same: without the table's name."""
    copy = expression.copy()
    for column in list(copy.find_all(exp.Column)):
        column.set("table", None)
        column.set("db", None)
        column.set("catalog", None)
    for identifier in copy.find_all(exp.Identifier):
        identifier.set("this", identifier.name.lower())
        identifier.set("quoted", False)
    return copy.sql(dialect=dialect)


def conjuncts(condition: exp.Expr | None) -> Iterator[exp.Expr]:
    """What all has to hold for a condition to hold."""
    if isinstance(condition, exp.Where | exp.Having | exp.Paren):
        yield from conjuncts(condition.this)
    elif isinstance(condition, exp.And):
        yield from conjuncts(condition.left)
        yield from conjuncts(condition.right)
    elif condition is not None:
        yield condition


def own(expression: exp.Expr, kind: type[exp.Expr]) -> Iterator[Any]:
    """The outermost parts of this kind inside an expression, but for those of queries inside of it."""
    for part in expression.iter_expressions():
        if isinstance(part, kind) and not (kind is exp.Query and isinstance(part, exp.Table | exp.Values)):
            yield part
        elif not isinstance(part, exp.Query | exp.From | exp.Join | exp.With) or isinstance(part, exp.Table):
            yield from own(part, kind)


def compared(query: exp.Expr) -> list[exp.Expr] | None:
    """What is compared with the rows of a query by ``in`` or ``= any``; None where nothing is, or by ``not in``."""
    around = query.parent
    while isinstance(around, exp.Paren | exp.Array | exp.Any | exp.Subquery):
        query, around = around, around.parent
    if isinstance(around, exp.In) and around.args.get("query") is query:
        inverted = around.parent
        while isinstance(inverted, exp.Paren):
            inverted = inverted.parent
        if isinstance(inverted, exp.Not):
            return None
        value = around.this
    elif isinstance(around, exp.EQ) and isinstance(query, exp.Any):
        value = around.left if around.right is query else around.right
    else:
        return None
    value = value.this if isinstance(value, exp.Paren) else value
    return list(value.expressions) if isinstance(value, exp.Tuple) else [value]


def unaliased(expression: exp.Expr) -> exp.Expr:
    """What a column of the result is, without its name."""
    return expression.this if isinstance(expression, exp.Alias) else expression


def shown(part: exp.Expr | str, dialect: str) -> str:
    """A part as it is named to people: its text on one line, the start of it where it is long."""
    text = part if isinstance(part, str) else part.sql(dialect=dialect, comments=False)
    text = " ".join(text.split())
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
