"""Tables compared: which rows only one of two has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penstock.ports import Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What two tables differ in: the rows of each that the other has not, of the same columns."""

    columns: Sequence[str]
    only_in_steps: Sequence[Sequence[Any]]
    only_in_full: Sequence[Sequence[Any]]


def difference(steps: Rows, full: Rows) -> Difference | None:
    """What differs between the rows of a table that was built in steps and one that was built whole; None when nothing.

    The order of rows and of columns does not matter. Floating-point numbers are the same to twelve digits: a sum of
    them depends on the order of its parts.
    """
    columns = sorted({*steps.columns, *full.columns})
    have, wanted = (_counted(rows, columns) for rows in (steps, full))
    if have == wanted:
        return None
    return Difference(
        columns=columns,
        only_in_steps=sorted((have - wanted).elements()),
        only_in_full=sorted((wanted - have).elements()),
    )


def _counted(rows: Rows, columns: Sequence[str]) -> Counter[tuple[str, ...]]:
    places = {name: place for place, name in enumerate(rows.columns)}
    return Counter(tuple(_text(row[places[name]]) if name in places else "" for name in columns) for row in rows.rows)


def _text(value: Any) -> str:
    return format(value, ".12g") if isinstance(value, float) else "null" if value is None else str(value)
