"""Follows a query that takes rows one by one: it filters, computes and puts together rows of the tables that a model
reads, and groups and joins none. What it gives of some rows and what it gives of the others is what it gives of all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from sqlglot import exp

from penstock.transform.scopes.parts import UnsafePart, own, unaliased

_ROW_BY_ROW = frozenset({"with_", "expressions", "from_", "where", "order"})
_OF_A_UNION = frozenset({"with_", "this", "expression", "distinct", "by_name", "order"})
_OF_A_TABLE = frozenset({"this", "alias", "db", "catalog"})
_OF_A_SUBQUERY = frozenset({"this", "alias", "with_"})
_WHOLE = "have the model built whole"


@dataclass(frozen=True, slots=True)
class Arm:
    """A ``select``, and what it reads under the name ``alias``: the selects of a query, or a table of the warehouse,
    of which ``counts`` are the columns that count rows. ``sure`` is false where its columns got other names."""

    select: exp.Select
    alias: str
    source: tuple[Arm, ...]
    counts: Collection[str] = ()
    sure: bool = True

    def made_of(self, column: exp.Column) -> list[tuple[exp.Expr, Arm]] | None:
        """The expressions that a column is in the selects it comes from; itself, where that is a table. None where
        that cannot be told."""
        if column.table.lower() not in ("", self.alias) or column.args.get("db"):
            return None
        if not self.source:
            return [(column, self)]
        if not self.sure:
            return None
        first = [each.alias_or_name.lower() for each in self.source[0].select.expressions]
        name = column.name.lower()
        if any(each.is_star for arm in self.source for each in arm.select.expressions):
            return self._through_star(column) if len(self.source) == 1 and name not in first else None
        if first.count(name) != 1:
            return None
        place = first.index(name)
        return [(unaliased(arm.select.expressions[place]), arm) for arm in self.source]

    def _through_star(self, column: exp.Column) -> list[tuple[exp.Expr, Arm]] | None:
        stars = [each for each in self.source[0].select.expressions if each.is_star]
        if len(stars) > 1 or not isinstance(stars[0], exp.Star) or any(stars[0].args.values()):
            return None
        return [(exp.column(column.name), self.source[0])]


CTEs = Mapping[str, tuple[exp.Expr, "CTEs", bool]]


class RowByRow:
    """Follows queries over ``inputs``: ``schema.table`` → the columns of it that count rows."""

    def __init__(self, inputs: Mapping[str, Collection[str]]) -> None:
        self._inputs = {tuple(name.lower().split(".")): counts for name, counts in inputs.items()}

    def select(self, select: exp.Select, ctes: CTEs, *, outermost: bool = False) -> Arm:
        """A select, with all that it reads.

        Raises:
            UnsafePart: it does not take rows one by one, but for the groups of the ``outermost`` one.
        """
        allowed = _ROW_BY_ROW | {"group"} if outermost else _ROW_BY_ROW
        _expect_only(select, allowed)
        for query in own(select, exp.Query):
            raise UnsafePart(query, "is a query in an expression: it is not told by single rows", _WHOLE)
        for window in own(select, exp.Window):
            raise UnsafePart(window, "is a window over several rows", f"leave it to who reads the model, or {_WHOLE}")
        if not outermost:
            _expect_no_aggregate(select)
        ctes = self._known(select, ctes)
        first = select.args.get("from_")
        if first is None:
            raise UnsafePart(select, "reads no input, so that its rows are there with each step", _WHOLE)
        return self._from(select, first.this, ctes)

    def _from(self, select: exp.Select, item: exp.Expr, ctes: CTEs) -> Arm:
        alias, renames = item.alias_or_name.lower(), bool(item.alias_column_names)
        if isinstance(item, exp.Table) and isinstance(item.this, exp.Identifier):
            _expect_only(item, _OF_A_TABLE)
            cte = None if item.args.get("db") else ctes.get(item.name.lower())
            if cte is not None:
                query, known, renamed = cte
                return Arm(select, alias, tuple(self._arms(query, known)), sure=not renames and not renamed)
            return Arm(select, alias, (), counts=() if renames else self._counts(item))
        if isinstance(item, exp.Subquery) and isinstance(item.this, exp.Query):
            return Arm(select, alias, tuple(self._arms(item, ctes)), sure=not renames)
        raise UnsafePart(item, "is no table that the model reads by ref() or source()", _WHOLE)

    def _arms(self, query: exp.Expr, ctes: CTEs) -> Iterator[Arm]:
        if isinstance(query, exp.Subquery | exp.Paren):
            _expect_only(query, _OF_A_SUBQUERY)
            yield from self._arms(query.this, self._known(query, ctes))
        elif isinstance(query, exp.Union):
            _expect_only(query, _OF_A_UNION)
            if query.args.get("distinct"):
                raise UnsafePart("union", "leaves out rows that are there twice", f"write union all, or {_WHOLE}")
            if query.args.get("by_name"):
                raise UnsafePart("union all by name", "cannot be followed", f"write union all, or {_WHOLE}")
            ctes = self._known(query, ctes)
            yield from self._arms(query.left, ctes)
            yield from self._arms(query.right, ctes)
        elif isinstance(query, exp.Select):
            yield self.select(query, ctes)
        else:
            raise UnsafePart(query, "does not take rows one by one", f"leave it to a model before, or {_WHOLE}")

    def _counts(self, table: exp.Table) -> Collection[str]:
        parts = tuple(part.name.lower() for part in table.parts)
        for name, counts in self._inputs.items():
            if parts[-len(name) :] == name:
                return counts
        raise UnsafePart(
            table, "is read without ref() or source(), so that changes in it go unnoticed", "read it by ref()"
        )

    def _known(self, query: exp.Expr, ctes: CTEs) -> CTEs:
        clause = query.args.get("with_")
        if clause is None:
            return ctes
        if clause.args.get("recursive"):
            raise UnsafePart("with recursive", "is not told by single rows", _WHOLE)
        known = dict(ctes)
        for cte in clause.expressions:
            known[cte.alias.lower()] = (cte.this, dict(known), bool(cte.alias_column_names))
        return known


PER_ROW = (
    *(exp.Literal, exp.Null, exp.Boolean, exp.Identifier, exp.Var, exp.DataType, exp.DataTypeParam, exp.Interval),
    *(exp.Cast, exp.Coalesce, exp.Nullif, exp.Case, exp.If, exp.Paren, exp.Not, exp.Neg, exp.Binary, exp.Between),
    *(exp.MD5, exp.Length, exp.Concat, exp.ConcatWs, exp.Lower, exp.Upper, exp.Trim, exp.Substring, exp.Round),
    *(exp.Abs, exp.DateTrunc, exp.TimestampTrunc, exp.Extract),
)
"""Expressions that are known to be of one row, and not of several."""


def _expect_no_aggregate(select: exp.Select) -> None:
    for part in (part for output in select.expressions for part in output.walk()):
        if isinstance(part, exp.AggFunc):
            raise UnsafePart(part, "takes several rows together before the outermost select", _WHOLE)
    # beside a column as it is, no function can be an aggregate where nothing is grouped
    unknown = [part for output in select.expressions for part in output.walk() if _is_unknown(part)]
    if unknown and not any(_has_plain_column(output, _named_beside(output, select)) for output in select.expressions):
        raise UnsafePart(unknown[0], "may be an aggregate", f"select a column beside it, or {_WHOLE}")


def _is_unknown(part: exp.Expr) -> bool:
    return isinstance(part, exp.Func) and not isinstance(part, PER_ROW)


def _named_beside(output: exp.Expr, select: exp.Select) -> set[str]:
    """The names that other columns of the result have, which DuckDB lets a column be made of."""
    return {each.alias.lower() for each in select.expressions if isinstance(each, exp.Alias) and each is not output}


def _has_plain_column(part: exp.Expr, beside: Collection[str]) -> bool:
    if part.is_star and isinstance(part, exp.Star | exp.Column):
        return True
    if isinstance(part, exp.Column):
        return bool(part.table) or part.name.lower() not in beside
    return not _is_unknown(part) and any(_has_plain_column(each, beside) for each in part.iter_expressions())


def _expect_only(part: exp.Expr, allowed: Collection[str]) -> None:
    """Raise for a clause that is not known to take rows one by one."""
    for name, value in part.args.items():
        if not value or name in allowed:
            continue
        clause = value[0] if isinstance(value, list) else value
        text = clause if isinstance(clause, exp.Expr) else name.strip("_")
        why = "joins rows: a change of one moves what others give" if name == "joins" else "is not told by single rows"
        raise UnsafePart(text, why, f"leave it to a model before or after, or {_WHOLE}")
