"""What a stream says about its records, for shaping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from penstock.errors import UsageError
from penstock.pseudonym import Keys
from penstock.schema import Column, Schema, name_columns
from penstock.shape.layout import PLAIN, Layout

Mode = Literal["evolve", "rescue", "reject", "freeze"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a stream says about its records.

    ``identity`` lists the key fields, empty for the content. ``declared`` maps fields to types. ``content`` asks for
    the hash of the content beside the identity, for streams whose rows can be replaced: where such a stream has a
    ``version``, the greatest one's record is the row. ``message`` makes the id of a
    record's message its identity. ``pii`` are the fields whose pseudonyms under ``keys`` land beside them. With
    a flat ``layout``, all fields have their flat names. With ``raw_json``, rows keep the whole record.
    """

    stream: str
    identity: Sequence[str] = ()
    declared: Sequence[tuple[str, str]] = ()
    event_time: str | None = None
    version: str | None = None
    content: bool = False
    message: bool = False
    columns: Mode = "evolve"
    types: Mode = "rescue"
    max_record_bytes: int = 16 * 2**20
    pii: Sequence[str] = ()
    keys: Keys | None = None
    layout: Layout = PLAIN
    raw_json: bool = False

    @property
    def versioned(self) -> bool:
        """Whether rows carry the key of their version, ``_pen_version``."""
        return self.content and self.version is not None

    def with_declared(self, schema: Schema) -> Schema:
        """``schema`` with a column for each declared field that has none.

        Raises:
            UsageError: a field is declared as another type than its column has.
        """
        types = {c.field: c.type for c in schema.columns if not c.variant}
        for field, type_ in self.declared:
            if types.get(field, type_) != type_:
                raise UsageError(
                    f"stream {self.stream}: field {field!r} is declared {type_}, and its column is {types[field]}",
                    fix=f"declare it {types[field]}; a column keeps its type; for another, penstock reset {self.stream}"
                    " starts the stream anew",
                )
        new = [(f, t) for f, t in self.declared if f not in types]
        names = name_columns([f for f, _ in new], schema.names)
        return schema.grown(Column(field=f, name=names[f], type=t, declared=True) for f, t in new)
