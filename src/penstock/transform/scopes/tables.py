"""What is known of a table, or a query as one, while a model's SQL is followed: which of its columns carry the scope.

A *dimension* is something by which changes come: the model's scope, or a look-up. A table *depends* on a dimension when
it is made of rows that change by it, and a column *marked* with it says which value of it the row is made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

SCOPE = "the scope"
"""The dimension of the scope itself; a look-up's is the name of its table."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A column is part ``number`` of what ``dimension`` goes by."""

    dimension: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class Origin:
    """A column is this one of a table that the model reads, unchanged."""

    table: str
    column: str


Marks = frozenset[Mark | Origin]
Depends = Mapping[str, int]
"""Dimensions, with the number of columns that each goes by."""
NO_MARKS: Marks = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """A table that is read whole: a change in a row of it touches the scopes of those rows of ``through``, another
    table that the model reads, whose columns ``on`` equal its own columns ``their``."""

    through: str
    on: Sequence[str]
    their: Sequence[str]


Read = Sequence[str] | Lookup | None
"""How a model reads a table: filtered to the scope by these expressions, one for each of its columns; as a look-up; or,
as None, whole, without taking in changes of it."""


def missing(depends: Depends, marked: Iterable[Marks]) -> list[Mark]:
    """The marks that no column has, of those that rows need so as to be of one value of each dimension."""
    have = NO_MARKS.union(*marked)
    wanted = [Mark(dimension, number) for dimension, width in depends.items() for number in range(width)]
    return [mark for mark in wanted if mark not in have]


class Table(Protocol):
    """A table, or a query as one."""

    @property
    def depends(self) -> Depends:
        """The dimensions that it depends on."""
        ...

    @property
    def names(self) -> Sequence[str] | None:
        """Its columns in their order; None when they are not known."""
        ...

    def marks(self, column: str) -> Marks | None:
        """What a column is; None when there is no such column."""
        ...

    def has(self, column: str) -> bool:
        """Whether there is such a column for sure."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A table of the warehouse, or a function as one, whose columns are not known but for those it is filtered by:
    ``by`` has expressions on its columns as normalised SQL."""

    name: str
    by: Mapping[str, Marks] = field(default_factory=dict)
    depends: Depends = field(default_factory=dict)

    @property
    def names(self) -> Sequence[str] | None:
        """They are not known."""
        return None

    def marks(self, column: str) -> Marks | None:
        """What a column is."""
        return self.by.get(column, NO_MARKS) | {Origin(self.name, column)}

    def has(self, column: str) -> bool:
        """Whether there is such a column for sure."""
        return column in self.by


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A query as a table. ``stars`` are the tables of which it has all other columns too."""

    columns: Mapping[str, Marks]
    depends: Depends = field(default_factory=dict)
    stars: Sequence[Table] = ()

    @property
    def names(self) -> Sequence[str] | None:
        """Its columns in their order; None when they are not known."""
        return None if self.stars else tuple(self.columns)

    def marks(self, column: str) -> Marks | None:
        """What a column is; None when there is no such column."""
        if column in self.columns:
            return self.columns[column]
        return next((marks for table in self.stars if (marks := table.marks(column)) is not None), None)

    def has(self, column: str) -> bool:
        """Whether there is such a column for sure."""
        return column in self.columns or any(table.has(column) for table in self.stars)


def renamed(table: Table, names: Sequence[str]) -> Table:
    """The table under other names of its first columns; where its columns are not known, nothing is known of them."""
    if not names:
        return table
    if table.names is None:
        return Made(columns=dict.fromkeys(names, NO_MARKS), depends=table.depends, stars=[Stored(name="")])
    pairs = zip([*names, *table.names[len(names) :]], table.names, strict=True)
    return Made(columns={new: table.marks(old) or NO_MARKS for new, old in pairs}, depends=table.depends)


def put_together(left: Table, right: Table, *, by_name: bool) -> Table:
    """The rows of both, of a union or the like: a column is what it is in both of them."""
    depends = {**left.depends, **right.depends}
    if left.names is None or right.names is None:
        return Made(columns={}, depends=depends, stars=[Stored(name="")])
    others = left.names if by_name else right.names
    columns = {
        name: _on(left, name, depends) & _on(right, other, depends)
        for name, other in zip(left.names, others, strict=False)
    }
    return Made(columns=columns, depends=depends)


def _on(table: Table, column: str, depends: Depends) -> Marks:
    """What a column is; of dimensions that the table does not depend on, whatever it should be."""
    free = {d: width for d, width in depends.items() if d not in table.depends}
    return (table.marks(column) or NO_MARKS) | set(missing(free, ()))
