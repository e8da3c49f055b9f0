"""What one ``select`` reads: its tables, which of their columns are equal, and what an expression on them is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlglot import exp

from penstock.transform.scopes.parts import normalised
from penstock.transform.scopes.tables import NO_MARKS, Depends, Mark, Marks, Origin, Stored, Table

Key = tuple[str, str]
"""A column: the alias of its table, and its name."""


@dataclass(slots=True)
class Source:
    """A table under its alias. ``nullable`` rows may be missing, beside an outer join; ``settled`` are dimensions that
    it no longer depends on here, and ``joined`` those by which it was joined to the tables before it."""

    alias: str
    table: Table
    nullable: bool = False
    hidden: bool = False
    settled: set[str] = field(default_factory=set)
    joined: set[str] = field(default_factory=set)

    @property
    def depends(self) -> Depends:
        """The dimensions that it depends on still."""
        return {d: width for d, width in self.table.depends.items() if d not in self.settled}


class Sources:
    """The tables of a select, and those of the one around it, which it may refer to."""

    def __init__(self, dialect: str, outer: Sources | None = None) -> None:
        self.dialect = dialect
        self.outer = outer
        self.tables: dict[str, Source] = {}
        self.equal: list[set[Key]] = []
        """Groups of columns that are equal in every row that is left."""
        self._using: dict[str, list[Key]] = {}

    def add(self, source: Source) -> None:
        """Take another table."""
        self.tables[source.alias] = source

    def share(self, name: str, alias: str) -> None:
        """A column by which this table and one before it were joined, so that its bare name is that of either."""
        before = next((s.alias for s in self.tables.values() if s.alias != alias and s.table.has(name)), None)
        before = before or next(iter(self.tables))
        self._using.setdefault(name, [(before, name)]).append((alias, name))

    def equate(self, one: Key, other: Key) -> None:
        """Note that two columns are equal in every row that is left."""
        merged = {one, other}
        rest = []
        for group in self.equal:
            if group & merged:
                merged |= group
            else:
                rest.append(group)
        self.equal = [*rest, merged]

    def key(self, column: exp.Expr) -> Key | None:
        """Which column of the tables here this is; None when it is none, or that cannot be told."""
        if not isinstance(column, exp.Column) or isinstance(column.this, exp.Star):
            return None
        name = column.name.lower()
        if alias := column.table.lower():
            return (alias, name) if alias in self.tables else None
        if name in self._using:
            return self._using[name][0]
        seen = [s for s in self.tables.values() if not s.hidden]
        sure = [s for s in seen if s.table.has(name)]
        perhaps = sure or [s for s in seen if s.table.marks(name) is not None]
        return (perhaps[0].alias, name) if len(perhaps) == 1 else None

    def bare(self, key: Key) -> Marks:
        """What a column is in its table, whether or not the row is there."""
        return self.tables[key[0]].table.marks(key[1]) or NO_MARKS

    def equals(self, key: Key) -> set[Key]:
        """The columns that are equal to it, itself among them."""
        return next((group for group in self.equal if key in group), {key})

    def marks(self, expression: exp.Expr) -> Marks:
        """What an expression on the tables here is."""
        if isinstance(expression, exp.Alias | exp.Paren):
            return self.marks(expression.this)
        if isinstance(expression, exp.Column):
            return self._column_marks(expression)
        first = NO_MARKS
        if isinstance(expression, exp.Coalesce):
            first = self._first_of([expression.this, *expression.expressions])
        return first or self._filtered_by(expression)

    def _filtered_by(self, expression: exp.Expr) -> Marks:
        """What an expression is by which a table is filtered."""
        keys = {self.key(column) for column in expression.find_all(exp.Column)}
        aliases = {key[0] for key in keys if key is not None}
        if len(aliases) != 1 or None in keys:
            return NO_MARKS
        source = self.tables[aliases.pop()]
        if not isinstance(source.table, Stored) or source.nullable:
            return NO_MARKS
        return source.table.by.get(normalised(expression, self.dialect), NO_MARKS)

    def around(self, expression: exp.Expr) -> Marks:
        """What an expression on the tables of the selects around this one is."""
        if self.outer is None or any(self.key(column) is not None for column in expression.find_all(exp.Column)):
            return NO_MARKS
        return self.outer.marks(expression) or self.outer.around(expression)

    def _column_marks(self, column: exp.Column) -> Marks:
        key = self.key(column)
        if not column.table and (shared := self._using.get(column.name.lower())):
            key = next((each for each in shared if not self.tables[each[0]].nullable), None)
            if key is None:
                return self._first_of_keys(shared)
        if key is None:
            return NO_MARKS
        group = self.equals(key)
        if len(group) == 1 and self.tables[key[0]].nullable:
            return frozenset(mark for mark in self.bare(key) if isinstance(mark, Origin))
        return NO_MARKS.union(*(self.bare(each) for each in group))

    def _first_of(self, parts: Iterable[exp.Expr]) -> Marks:
        keys = [self.key(part) for part in parts]
        return NO_MARKS if None in keys else self._first_of_keys([key for key in keys if key is not None])

    def _first_of_keys(self, keys: list[Key]) -> Marks:
        """What the first of columns that is not null is: beside an outer join they are null or equal."""
        shared = frozenset.intersection(*(self.bare(key) for key in keys))
        aliases = {key[0] for key in keys}
        always = any(not self.tables[alias].nullable for alias in aliases)
        return frozenset(
            mark
            for mark in shared
            if isinstance(mark, Mark)
            and (always or all(s.alias in aliases for s in self.tables.values() if mark.dimension in s.depends))
        )
