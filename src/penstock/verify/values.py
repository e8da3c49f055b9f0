"""The values that made-up records are made of: those that a stream's records really have, each by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from penstock.errors import DestinationError
from penstock.sql import identifier, literal

if TYPE_CHECKING:
    from penstock.ports import Rows
    from penstock.project import Project

Ask = Callable[[str], "Rows"]
"""Answers a query on the project's warehouse."""
_SAMPLE_ROWS = 400
_START = datetime(2024, 2, 26)
_MADE_UP: Mapping[str, Sequence[Any]] = {
    "text": ("a", "b", "c", "A", "", " b "),
    "bigint": (0, 1, 2, -1, 10),
    "double": (0.0, 1.5, -2.25, 10.0),
    "boolean": (True, False),
    "date": tuple((_START + timedelta(days=day)).date().isoformat() for day in range(5)),
    "timestamp": tuple((_START + timedelta(hours=9 * n)).isoformat() for n in range(12)),
    "timestamptz": tuple((_START + timedelta(hours=9 * n)).isoformat() + "+00:00" for n in range(12)),
    "uuid": tuple(f"00000000-0000-0000-0000-00000000000{n}" for n in range(4)),
    "json": ({}, {"a": 1}, [1, 2]),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """Field → the values it may have, as JSON has them, ``None`` for a record without it. ``real`` says that they are
    from records that landed; else they are made up from the declared types."""

    fields: Mapping[str, Sequence[Any]]
    real: bool


def values_of(project: Project, stream: str, ask: Ask | None) -> Values | None:
    """The values of a stream's fields: from a sample of its rows, column by column, so that no record is put together
    again; or from what is declared of it, when there are none or nobody to ask. None when there is nothing to go by."""
    sampled = {} if ask is None else _sampled(stream, ask)
    declared = {field: _made_up(type_) for field, type_ in project.spec(stream).declared}
    if sampled:
        return Values(fields={**declared, **sampled}, real=True)
    return Values(fields=declared, real=False) if declared else None


def _sampled(stream: str, ask: Ask) -> dict[str, list[Any]]:
    try:
        columns = ask(
            "select field, name, type from penstock.columns"
            f" where stream = {literal(stream)} and type <> 'pseudonym' order by position"
        ).rows
        if not columns:
            return {}
        names = ", ".join(identifier(name) for _, name, _ in columns)
        # identities are hashes: their order is as good as chance, and has an index
        rows = ask(f"select {names} from raw.{identifier(stream)} order by _pen_id limit {_SAMPLE_ROWS}").rows
    except DestinationError:  # there is no such table yet
        return {}
    fields: dict[str, list[Any]] = {}
    for place, (field, _, type_) in enumerate(columns if rows else ()):
        known = fields.setdefault(field, [])
        for value in dict.fromkeys(_json(row[place], type_) for row in rows):
            known.append(json.loads(value))
    return fields


def _json(value: Any, type_: str) -> str:
    """A value of a column as JSON."""
    if type_ == "json" and isinstance(value, str):
        return value
    return json.dumps(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if value is None or isinstance(value, str | int | float | bool | list | dict):
        return value
    return str(value)


def _made_up(type_: str) -> list[Any]:
    return [*_MADE_UP.get(type_, (0, 1, 2)), None]
