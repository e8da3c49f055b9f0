"""Keeps out what is sent again of people who were erased.

A record of such a person is not taken: it counts as a duplicate, as it was here before. The ledger knows the people
by pseudonyms alone, so the ids in a batch are looked up by theirs; where nobody was erased, nothing is looked up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.destinations.dispositions import kept_rows
from penstock.ports import Reject, Shaped, Taken
from penstock.pseudonym import Personal, id_text, subject_text
from penstock.schema import Schema
from penstock.sql import identifier, literal

_SCALAR = r'"(?:[^"\\]|\\.)*"|-?\d[0-9.eE+-]*'


class Erased:
    """The people who may not land into one stream.

    Args:
        digests: the pseudonyms of ``kind:id`` that the ledger has.
    """

    def __init__(self, personal: Personal, digests: Iterable[str]) -> None:
        self._personal = personal
        self._digests = frozenset(digests)
        self._versions = sorted({d.partition(":")[0] for d in self._digests})

    def without(self, shaped: Shaped) -> Shaped:
        """The batch without rows and rejects of erased people.

        Raises:
            UsageError: they were erased under a key that is not known here.
        """
        if not self._digests:
            return shaped
        gone = np.zeros(shaped.rows.num_rows, dtype=bool)
        for kind, field in self._personal.subjects.items():
            for column in shaped.schema.columns:
                if column.field == field and column.type != "pseudonym":
                    gone |= self._in_column(kind, shaped.rows[column.name], column.type)
            gone |= self._in_rescued(kind, field, shaped.rows["_pen_rescued"])
        rejects = tuple(r for r in shaped.rejects if not self._in_reject(r))
        kept = kept_rows(shaped, np.flatnonzero(~gone).tolist()) if gone.any() else shaped
        return replace(kept, rejects=rejects, taken=lambda: self._taken(shaped.taken()))

    def is_erased(self, kind: str, id_: str) -> bool:
        """Whether this is one of them."""
        keys, who = self._personal.needed_keys(), subject_text(kind, id_)
        return any(keys.pseudonym(who, version) in self._digests for version in self._versions)

    def _taken(self, taken: Taken) -> Taken:
        stays = pa.array([not self._in_body(body) for body in taken.bodies.to_pylist()], pa.bool_())
        rejects = [r for r in taken.rejects if not self._in_reject(r)]
        return replace(taken, bodies=taken.bodies.filter(stays), rejects=rejects)

    def _in_column(self, kind: str, column: pa.ChunkedArray, type_: str) -> Any:
        if isinstance(column.type, pa.BaseExtensionType):
            column = pa.chunked_array([c.storage for c in column.chunks], column.type.storage_type)
        ids = (v for v in pc.unique(column).to_pylist() if v is not None)
        erased = [v for v in ids if self.is_erased(kind, id_text(_read(v, type_)))]
        if not erased:
            return np.zeros(len(column), dtype=bool)
        return pc.is_in(column, value_set=pa.array(erased, column.type)).to_numpy()

    def _in_rescued(self, kind: str, field: str, rescued: pa.ChunkedArray) -> Any:
        erased = np.zeros(len(rescued), dtype=bool)
        if rescued.null_count < len(rescued):
            for i in np.flatnonzero(pc.is_valid(rescued).to_numpy()):
                value = json.loads(rescued[int(i)].as_py(), parse_float=Decimal).get(field)
                erased[i] = value is not None and self.is_erased(kind, id_text(value))
        return erased

    def _in_reject(self, reject: Reject) -> bool:
        from penstock.sources.rabbitmq.messages import readings_of  # lazily: pika comes with it

        return any(self._in_body(body) for body in readings_of(reject.headers, reject.body))

    def _in_body(self, body: bytes) -> bool:
        return any(
            self.is_erased(kind, id_) for kind, field in self._personal.subjects.items() for id_ in ids_in(body, field)
        )


def _read(value: Any, type_: str) -> Any:
    """An id as it travels, as its own type."""
    return UUID(bytes=value) if type_ == "uuid" else json.loads(value) if type_ == "json" else value


def ids_in(body: bytes, field: str) -> Iterator[str]:
    """What a body, however broken, gives for the field: of JSON, its value, in each of several objects; of anything
    else, whatever follows its name."""
    text = body.decode("utf-8", "replace")
    try:
        document = json.loads(text, parse_float=Decimal)
    except ValueError:
        document = None
    records = document if isinstance(document, list) else [document]
    if any(isinstance(r, dict) for r in records):
        for record in records:
            yield from (id_text(value) for path, value in leaves(record) if path == field and value is not None)
        return
    name = re.escape(json.dumps(field, ensure_ascii=False))
    for match in re.finditer(rf"{name}\s*:\s*({_SCALAR})", text):
        try:
            yield id_text(json.loads(match[1], parse_float=Decimal))
        except ValueError:
            yield match[1].strip('"')


def leaves(record: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a record by their fields, in objects also as they are called in a flat record: ``name_first``."""
    for name, value in record.items() if isinstance(record, dict) else ():
        field = f"{path}{name}".replace(".", "_") if path else name
        yield field, value
        yield from leaves(value, f"{field}_")


def subject_condition(schema: Schema, field: str, id_: str, rescued: Callable[[str], str]) -> str:
    """SQL condition for the rows of the person with this id; ``rescued`` gives SQL for a rescued field's text."""
    conditions = [f"{rescued(field)} = {literal(id_)}"]
    for column in (c for c in schema.columns if c.field == field and c.type != "pseudonym"):
        conditions += same_id(column.name, column.type, id_)
    return f"coalesce({' or '.join(conditions)}, false)"


def same_id(column: str, type_: str, id_: str) -> list[str]:
    """SQL conditions under which a column of one of our types holds an id; none where it cannot."""
    name = identifier(column)
    if type_ in ("bigint", "double") or type_.startswith("decimal"):
        if not re.fullmatch(r"-?\d{1,38}(\.\d{1,38})?", id_):
            return []
        return [f"{name} = {id_}"]
    if type_ == "uuid":
        try:
            return [f"{name} = cast({literal(str(UUID(id_)))} as uuid)"]
        except ValueError:
            return []
    if type_ == "json":
        return [f"cast({name} as varchar) in ({literal(id_)}, {literal(json.dumps(id_))})"]
    return [f"cast({name} as varchar) = {literal(id_)}"]
