"""The look at a model's SQL that says whether its sums may be moved by what came and went."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from penstock.transform.scopes.clock import expect_same_again
from penstock.transform.scopes.parts import UnsafePart, normalised, shown, unaliased
from penstock.transform.scopes.rows import PER_ROW, Arm, RowByRow

_WHOLE = "or have the model built whole"
_INTEGERS = frozenset(exp.DataType.SIGNED_INTEGER_TYPES)
_EXACT = _INTEGERS | {exp.DataType.Type.DECIMAL}


def unsafe_sums(sql: str, additive: Sequence[str], inputs: Mapping[str, Collection[str]], dialect: str) -> str | None:
    """Why a model may not be built by adding what came and subtracting what went: the part of its SQL, and the fix, as
    one line; None when it may. What is not known to be a sum over single rows counts as unsafe.

    Each additive column has to be linear in the rows: a sum or a count, or such added to each other; all others are
    what is grouped by. A group is there as long as its first additive column is above zero, so that one has to count
    rows. Rows come to the outermost select one by one: filtered, computed and put together, not grouped or joined.

    Args:
        sql: the model's own select, compiled.
        additive: the additive columns of its result.
        inputs: the tables that it reads, ``schema.table`` → the columns that count rows, and are never below one.
        dialect: as sqlglot names it (:attr:`penstock.ports.Capabilities.dialect`).
    """
    try:
        query = sqlglot.parse_one(sql, read=dialect)
        if not isinstance(query, exp.Select):
            return "the result is no single select with a group by; write it as one, " + _WHOLE
        expect_same_again(query)
        _Sums(RowByRow(inputs).select(query, {}, outermost=True), dialect).expect(additive)
    except UnsafePart as e:
        return f"{shown(e.part, dialect)} {e.why}; {e.fix}"
    except (SqlglotError, RecursionError):
        return "the SQL cannot be followed; have the model built whole"
    return None


@dataclass(frozen=True, slots=True)
class _Sums:
    """Those of the outermost select."""

    arm: Arm
    dialect: str

    def expect(self, additive: Sequence[str]) -> None:
        """Look at each column of the result."""
        made = {each.alias_or_name.lower(): unaliased(each) for each in self.arm.select.expressions}
        for name in additive:
            part = made.get(name.lower())
            if part is None:
                raise UnsafePart(name, "is no column of the select", f"name it there, {_WHOLE}")
            self._expect_linear(part)
        first = made[additive[0].lower()]
        if not self._counts_rows(first):
            raise UnsafePart(
                _bare(first), "may be zero where there are rows", f"name a count(*) first in additive, {_WHOLE}"
            )
        sums = {name.lower() for name in additive}
        self._expect_grouped([each for each in self.arm.select.expressions if each.alias_or_name.lower() not in sums])

    def _expect_linear(self, part: exp.Expr) -> None:
        if not _is_linear(part):
            raise UnsafePart(
                _bare(part), "is not a sum or a count of rows", f"leave it to who reads the model, {_WHOLE}"
            )
        for cast in part.find_all(exp.Cast):
            if cast.find_ancestor(exp.Sum, exp.Count, exp.Filter) is not None:
                continue  # of a single row
            integers = all(self._is_integer(each.this, self.arm) for each in cast.find_all(exp.Sum))
            if isinstance(cast, exp.TryCast) or cast.to.this not in _EXACT or not integers:
                fix = f"cast what is summed up instead, such as sum(cast(x as bigint)), {_WHOLE}"
                raise UnsafePart(cast, "casts a sum that is not known to be of integers, which may change it", fix)

    def _is_integer(self, part: exp.Expr, arm: Arm) -> bool:
        """Whether an expression on rows is an integer for sure, or null."""
        parts: list[exp.Expr]
        if isinstance(part, exp.Literal):
            return part.is_int
        if isinstance(part, exp.Null):
            return True
        if isinstance(part, exp.Cast):
            return part.to.this in _INTEGERS
        if isinstance(part, exp.Column):
            return self._is_of(part, arm, self._is_integer)
        if isinstance(part, exp.Paren | exp.Neg):
            parts = [part.this]
        elif isinstance(part, exp.Add | exp.Sub | exp.Mul):
            parts = [part.left, part.right]
        elif isinstance(part, exp.Coalesce):
            parts = [part.this, *part.expressions]
        elif isinstance(part, exp.Case):
            default = part.args.get("default")
            parts = [each.args["true"] for each in part.args["ifs"]] + ([default] if default is not None else [])
        else:
            return False
        return all(self._is_integer(each, arm) for each in parts)

    def _is_of(self, column: exp.Column, arm: Arm, holds: Callable[[exp.Expr, Arm], bool]) -> bool:
        """Whether something holds of all that a column is made of: it does of the counts of a table."""
        made_of = arm.made_of(column)
        if made_of is None:
            return False
        return all(part.name.lower() in each.counts if part is column else holds(part, each) for part, each in made_of)

    def _counts_rows(self, part: exp.Expr) -> bool:
        part = _bare(part)
        if isinstance(part, exp.Count):
            return isinstance(part.this, exp.Star | exp.Literal)
        return isinstance(part, exp.Sum) and self._is_above_zero(part.this, self.arm)

    def _is_above_zero(self, part: exp.Expr, arm: Arm) -> bool:
        part = _bare(part)
        if isinstance(part, exp.Literal):
            return part.is_int and int(part.name) > 0
        return isinstance(part, exp.Column) and self._is_of(part, arm, self._is_above_zero)

    def _expect_grouped(self, outputs: Sequence[exp.Expr]) -> None:
        """Raise where a column that is no sum is more than what is grouped by, or the other way round."""
        select = self.arm.select
        group = select.args.get("group")
        if group is None:
            raise UnsafePart("the result", "has no group by", f"group by the other columns, {_WHOLE}")
        if any(value for name, value in group.args.items() if name not in ("expressions", "all")) or group.find(
            exp.GroupingSets, exp.Rollup, exp.Cube
        ):
            raise UnsafePart(group, "makes groups of several kinds", f"group by the other columns, {_WHOLE}")
        if group.args.get("all"):
            items = [[unaliased(each)] for each in outputs if not any(map(_is_other, each.walk()))]
        else:
            items = [list(self._stands_for(each)) for each in group.expressions]
        groups = {normalised(each, self.dialect) for item in items for each in item}
        for output in outputs:
            if not self._is_of_groups(unaliased(output), groups):
                fix = f"name it in additive if it is a sum, or add it to the group by, {_WHOLE}"
                raise UnsafePart(output, "is not in additive, and not what is grouped by", fix)
        shown_groups = {normalised(unaliased(each), self.dialect) for each in outputs}
        for item in items:
            if shown_groups.isdisjoint(normalised(each, self.dialect) for each in item):
                raise UnsafePart(item[0], "is grouped by, but no column of the result", f"select it, {_WHOLE}")

    def _stands_for(self, item: exp.Expr) -> Iterator[exp.Expr]:
        """What a position, or a name, in the group by stands for."""
        outputs = self.arm.select.expressions
        if isinstance(item, exp.Literal) and item.is_int and 0 < int(item.name) <= len(outputs):
            yield unaliased(outputs[int(item.name) - 1])
            return
        yield item
        if isinstance(item, exp.Column) and not item.table:
            yield from (unaliased(each) for each in outputs if each.alias.lower() == item.name.lower())

    def _is_of_groups(self, part: exp.Expr, groups: Collection[str]) -> bool:
        if isinstance(part, exp.Column | exp.Func | exp.Binary | exp.Paren) and (
            normalised(part, self.dialect) in groups
        ):
            return True
        if not isinstance(part, PER_ROW) or isinstance(part, exp.AggFunc):
            return normalised(part, self.dialect) in groups
        return all(self._is_of_groups(each, groups) for each in part.iter_expressions())


def _is_other(part: exp.Expr) -> bool:
    """Whether it is a function that may be an aggregate."""
    return isinstance(part, exp.AggFunc) or (isinstance(part, exp.Func) and not isinstance(part, PER_ROW))


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
