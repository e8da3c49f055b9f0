"""Which settings name a field of the records, and which fields a project's settings name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

from pydantic import BaseModel

How = Literal["field", "path", "dropped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamesFields:
    """Marks a setting that names fields of the records: its text, each of its texts, or its keys.

    ``how`` a name is read: as the stream's ``field``, as a ``path`` in the record as it came, or as what is
    ``dropped``. The records are the stream's own, or those of an endpoint's parents. Where what is ``vital`` was
    missed, personal data would land that should not.
    """

    how: How = "field"
    keys: bool = False
    vital: bool = False
    of_parents: bool = False


FIELD = NamesFields()


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedField:
    """A field that a setting of ``penstock.yml`` names, as it is written there."""

    setting: str
    field: str
    how: How = "field"
    vital: bool = False

    @property
    def key(self) -> str:
        """Tells it from others of the stream. What is dropped is not named in the ledger either."""
        field = sha256(self.field.encode()).hexdigest()[:16] if self.how == "dropped" else self.field
        return f"{self.how} {field}"


def fields_named(stream: BaseModel, endpoint: BaseModel | None = None) -> tuple[NamedField, ...]:
    """The fields that a stream's settings name, and those of the endpoint that feeds it; each once."""
    every = [*_named(stream), *(() if endpoint is None else _named(endpoint))]
    return tuple({(named.key, named.vital): named for named in reversed(every)}.values())[::-1]


def _named(group: BaseModel, before: str = "") -> Iterator[NamedField]:
    for name, info in type(group).model_fields.items():
        value = getattr(group, name)
        setting = before + (info.alias or name)
        if isinstance(value, BaseModel):
            yield from _named(value, f"{setting}.")
        for mark in info.metadata:
            if isinstance(mark, NamesFields) and not mark.of_parents:
                for field in _texts(value, keys=mark.keys):
                    yield NamedField(setting=setting, field=field, how=mark.how, vital=mark.vital)


def _texts(value: Any, *, keys: bool) -> Iterable[str]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Mapping):
        return tuple(value) if keys else tuple(value.values())
    return tuple(getattr(value, "fields", value))
