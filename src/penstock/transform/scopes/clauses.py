"""The clauses of one ``select`` that take rows together: each has to take those of one scope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from penstock.transform.scopes.parts import UnsafePart, own, unaliased
from penstock.transform.scopes.sources import Sources
from penstock.transform.scopes.tables import Depends, missing
from penstock.transform.scopes.words import Words


@dataclass(frozen=True, slots=True)
class Clauses:
    """Those of a select that reads ``sources``, and depends on these dimensions."""

    select: exp.Select
    sources: Sources
    depends: Depends
    words: Words

    def expect_one_scope(self) -> None:
        """Look at each.

        Raises:
            UnsafePart: one takes rows of several scopes together.
        """
        self._groups()
        self._windows()
        self._distinct()

    def _groups(self) -> None:
        group = self.select.args.get("group")
        if group is None:
            return
        by = [self._resolved(each) for each in group.expressions]
        if group.args.get("all"):
            by = [each for each in self.select.expressions if not each.find(exp.AggFunc)]
        self._expect(group, by, "groups rows without {}, so of several scopes", "add {} to it")

    def _windows(self) -> None:
        named = {each.name.lower(): each for each in self.select.args.get("windows") or ()}
        for window in own(self.select, exp.Window):
            if window in named.values():
                continue
            by = list(window.args.get("partition_by") or ())
            base = named.get((window.alias or "").lower())
            if base is not None:
                by += base.args.get("partition_by") or ()
            why = "goes over rows of several scopes: it is not partitioned by {}"
            self._expect(window, by, why, "add {} to its partition by")

    def _distinct(self) -> None:
        distinct = self.select.args.get("distinct")
        if distinct is None or distinct.args.get("on") is None:
            return
        on = distinct.args["on"]
        by = [self._resolved(each) for each in (on.expressions if isinstance(on, exp.Tuple) else [on])]
        self._expect(distinct, by, "takes one row of several scopes: {} is not in it", "add {} to it")

    def _expect(self, part: exp.Expr, by: Sequence[exp.Expr], why: str, fix: str) -> None:
        absent = missing(self.depends, [self.sources.marks(each) for each in by])
        if absent:
            columns = ", ".join(self.words.column(mark) for mark in absent)
            raise UnsafePart(part, why.format(columns), self.words.whole_or(fix.format(columns)))

    def _resolved(self, expression: exp.Expr) -> exp.Expr:
        """What a position, or the name of a column of the result, stands for."""
        outputs = self.select.expressions
        if isinstance(expression, exp.Literal) and expression.is_int and 0 < int(expression.name) <= len(outputs):
            return unaliased(outputs[int(expression.name) - 1])
        if isinstance(expression, exp.Column) and not expression.table and not self.sources.marks(expression):
            named = [each for each in outputs if each.alias_or_name.lower() == expression.name.lower()]
            return unaliased(named[0]) if named else expression
        return expression
