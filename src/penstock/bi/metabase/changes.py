"""What a synchronisation did, or would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from penstock.errors import PenstockError

Kind = Literal["administrator", "database", "table", "collection", "card", "dashboard"]
What = Literal["created", "updated", "unchanged", "left", "archived", "restored"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of one thing; ``left`` is what a person has changed, and so keeps."""

    kind: Kind
    name: str
    what: What
    note: str = ""


@dataclass(slots=True, kw_only=True)
class Synced:
    """All changes in their order, what was wrong with questions, and what the reader should know."""

    url: str
    version: str = ""
    changes: list[Change] = field(default_factory=list)
    problems: list[PenstockError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    dashboard: int | None = None
    """The dashboard's id."""

    def add(self, kind: Kind, name: str, what: What, note: str = "") -> None:
        """One more change."""
        self.changes.append(Change(kind=kind, name=name, what=what, note=note))

    def count(self, *whats: What) -> int:
        """How many things this became of."""
        return sum(c.what in whats for c in self.changes)

    @property
    def changed(self) -> Sequence[Change]:
        """Those that are not as they were."""
        return [c for c in self.changes if c.what not in ("unchanged", "left")]
