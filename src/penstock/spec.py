"""What a stream is, in one value: shaping and landing both take what they need of it from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from penstock.layout import PLAIN, Layout
from penstock.pseudonym import Keys, Personal

Disposition = Literal["append", "merge", "replace"]
Mode = Literal["evolve", "rescue", "reject", "freeze"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSpec:
    """One kind of record: how it is read, what makes two the same, and how it lands.

    ``identity`` lists the key fields, empty for the content; with ``message``, the id of a record's message is its
    identity, and one identity with two contents is a conflict. ``sameness`` is the identity in words, which the ledger
    remembers; empty leaves it unchecked. ``version`` is the field whose greatest value wins, for merge. ``declared``
    maps fields to types, ``columns`` and ``types`` are the contract. ``pii`` are the fields whose pseudonyms under
    ``keys`` land beside them; ``subjects`` has, for each kind of person, the field that holds the id of one. With a
    flat ``layout``, all fields have their flat names. With ``raw_json``, rows keep the whole record.
    """

    stream: str
    identity: Sequence[str] = ()
    message: bool = False
    sameness: str = ""
    disposition: Disposition = "append"
    version: str | None = None
    event_time: str | None = None
    declared: Sequence[tuple[str, str]] = ()
    columns: Mode = "evolve"
    types: Mode = "rescue"
    layout: Layout = PLAIN
    pii: Sequence[str] = ()
    subjects: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    keys: Keys | None = None
    raw_json: bool = False
    max_record_bytes: int = 16 * 2**20

    @property
    def content(self) -> bool:
        """Whether rows carry a hash of their content, ``_pen_content``: a row may be replaced or contradicted."""
        return self.message or self.disposition != "append"

    @property
    def versioned(self) -> bool:
        """Whether rows carry the key of their version, ``_pen_version``."""
        return self.disposition == "merge" and self.version is not None

    @property
    def personal(self) -> Personal:
        """Whom its records are about, so that erased people stay out."""
        return Personal(subjects=self.subjects, keys=self.keys)
