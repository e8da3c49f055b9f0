"""What was asked of an endpoint, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.errors import SourceError
    from penstock.ports import Reject
    from penstock.records.splitters import Cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A list to go through, page by page: what the endpoint is asked with, and from which page on.

    ``key`` names the pass it belongs to. ``parent`` says which parent it is of: the state of the parents' page, the
    parent's keys, and the same of its own parent; ``fields`` are what records get of it, as JSON. ``resumed`` walks
    begin anew when the API does not know their page any more.
    """

    key: str
    path: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    shown: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    state: Mapping[str, Any] = field(default_factory=dict)
    parent: Mapping[str, Any] | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    resumed: bool = False
    alone: bool = True
    """Whether no other list is read beside it, of another parent or window."""
    failure: SourceError | None = None
    """Why there is no list to go through: the parents could not be read."""
    finishes: bool = False
    """It is no list, but stands behind the last one of its pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Records of one page, or of a part of it.

    ``at`` is the page's state and ``following`` that of the page to go on with, None when there is none. Only when it
    is ``whole`` have all of the page's records been given. ``missing`` says that there is no such page, ``failure`` why
    it could not be read.
    """

    walk: Walk
    place: str = ""
    cuts: Sequence[Cut] = ()
    rejects: Sequence[Reject] = ()
    bytes: int = 0
    at: Mapping[str, Any] = field(default_factory=dict)
    following: Mapping[str, Any] | None = None
    whole: bool = True
    missing: bool = False
    failure: SourceError | None = None
