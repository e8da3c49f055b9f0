"""A stream's columns: which field of the record lands in which column, as which type."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

RECORD_COLUMNS = ("_pen_id", "_pen_load", "_pen_loaded_at", "_pen_origin", "_pen_rescued")
MAX_NAME_BYTES = 63
"""PostgreSQL cuts identifiers here (NAMEDATALEN - 1); we never let it."""

_SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})

MAX_COLUMNS = 500
"""Columns a stream may grow to by itself; later fields are rescued. PostgreSQL's own limit is 1,600."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: ``field`` of the record lands in ``name`` as ``type``.

    A ``declared`` column also takes text that parses. A ``variant`` takes the values of its field that did
    not fit the field's first column.
    """

    field: str
    name: str
    type: str
    declared: bool = False
    variant: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The columns of a stream in table order, and the version they make up. Version 0 is empty.

    ``reserved`` are names that no column may take.
    """

    version: int = 0
    columns: tuple[Column, ...] = ()
    reserved: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """The record fields that have a column, each once, in column order."""
        return tuple(dict.fromkeys(c.field for c in self.columns))

    @property
    def names(self) -> tuple[str, ...]:
        """All names that are taken."""
        return (*(c.name for c in self.columns), *self.reserved)

    def grown(self, added: Iterable[Column]) -> Schema:
        """A next version with ``added`` at the end."""
        new = tuple(added)
        return replace(self, version=self.version + 1, columns=self.columns + new) if new else self


def normal_name(field: str) -> str:
    """The column name of a field, before collisions are settled.

    Camel case is split, letters lowered, every run of other characters than ``a-z 0-9 _`` becomes one
    underscore, a leading digit gets one; names over 63 bytes keep 54 and eight digits of their hash, names
    with nothing left become ``field_<hash>``; ``_pen_…`` and PostgreSQL's system columns get ``field_`` before them.
    """
    text = unicodedata.normalize("NFKD", field)
    text = "".join(c for c in text if not unicodedata.combining(c))
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text).lower()
    text = re.sub(r"[^a-z0-9_]+", "_", text)
    if text != field:
        text = text.strip("_")
    if not text.strip("_"):
        return f"field_{_digest(field)}"
    if text[0].isdigit():
        text = f"_{text}"
    if text.startswith("_pen_") or text in _SYSTEM_COLUMNS:
        text = f"field_{text.lstrip('_')}"
    if len(text) > MAX_NAME_BYTES:
        text = f"{text[:54]}_{_digest(field)}"
    return text


def name_columns(fields: Sequence[str], taken: Iterable[str]) -> dict[str, str]:
    """Field → column name for new fields: unlike ``taken`` and each other.

    A field whose name is normal already keeps it; of others that meet, the later one gets its hash.
    """
    used = set(taken)
    names: dict[str, str] = {}
    for field in sorted(fields, key=lambda f: (normal_name(f) != f, f)):
        name = normal_name(field)
        name = _free(name, field, used)
        used.add(name)
        names[field] = name
    return names


def variant_name(name: str, type_: str, taken: Iterable[str]) -> str:
    """The column for values of ``name`` that are of another type: ``price__text``."""
    short = re.sub(r"[^a-z]+", "", type_.split("(")[0])
    return _free(f"{name[:50]}__{short}", type_, set(taken))


def pseudonym_name(name: str, taken: Iterable[str]) -> str:
    """The column for the pseudonyms of ``name``: ``email_pseudonym``."""
    return _free(f"{name[:53]}_pseudonym", name, set(taken))


def _free(name: str, seed: str, used: set[str]) -> str:
    """``name``, or where it is taken, with eight digits of a hash of ``seed``."""
    candidate = name
    while candidate in used:
        candidate = f"{name[:54]}_{_digest(seed)}"
        seed += "+"
    return candidate


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
