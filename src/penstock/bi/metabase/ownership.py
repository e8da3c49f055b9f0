"""How what Penstock made is told from what people made: by a mark on the last line of its description.

    How many users there are at the end of each day.

    penstock user_events/users_by_day 3f2a1b9c7d8e

The mark names project and question. Of the two hashes, the first is of what was written; the second, there only where
it differs, of what Metabase made of it. A card that does not have this hash any more was edited by a person.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

_MARK = re.compile(
    r"(?:^|\n)\s*penstock (?P<project>[a-z0-9_]+)/(?P<name>[^\n]+?) (?P<wrote>[0-9a-f]{12})"
    r"(?::(?P<holds>[0-9a-f]{12}))?(?P<archived> archived)?\s*$"
)
_OWNER = re.compile(r"(?:^|\n)\s*penstock (?P<project>[a-z0-9_]+)(?:: (?P<placed>[^\n]*))?\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Which question a card is, and the hashes of what was written and of what Metabase made of it."""

    project: str
    name: str
    wrote: str
    holds: str
    archived: bool = False
    """Penstock put it into the trash, and no person did."""

    def under(self, text: str) -> str:
        """A description with the mark below it."""
        held = "" if self.holds == self.wrote else f":{self.holds}"
        line = f"penstock {self.project}/{self.name} {self.wrote}{held}{' archived' if self.archived else ''}"
        return f"{text}\n\n{line}" if text else line

    def thrown_away(self) -> Mark:
        """The same, of a card in the trash."""
        return replace(self, archived=True)


def mark_of(description: str | None) -> Mark | None:
    """The mark that a card's description has."""
    match = _MARK.search(description or "")
    if match is None:
        return None
    return Mark(
        project=match["project"],
        name=match["name"],
        wrote=match["wrote"],
        holds=match["holds"] or match["wrote"],
        archived=match["archived"] is not None,
    )


def without_mark(description: str | None) -> str:
    """The description that people wrote."""
    text = description or ""
    match = _MARK.search(text) or _OWNER.search(text)
    return text[: match.start()].rstrip() if match else text


def owner_line(project: str, placed: tuple[str, ...] | None = None) -> str:
    """The mark of a collection; of a dashboard with the questions that were ever put on it."""
    return f"penstock {project}" + ("" if placed is None else f": {', '.join(placed)}")


def owned_by(description: str | None, project: str) -> tuple[str, ...] | None:
    """The questions that were put on a dashboard, none for a collection; None when it is not of this project."""
    match = _OWNER.search(description or "")
    if match is None or match["project"] != project:
        return None
    return tuple(n.strip() for n in (match["placed"] or "").split(",") if n.strip())


def hashed(content: Mapping[str, Any]) -> str:
    """Twelve digits that tell one content from another."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
