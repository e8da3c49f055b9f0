"""What the settings of every source have in common, and the kinds of source that installed distributions add.

A distribution adds a kind by an entry point of the group ``penstock.sources``, whose name is what ``type:`` says::

    [project.entry-points."penstock.sources"]
    numbers = "penstock_numbers:KIND"

What it names is a :class:`penstock.sources.kinds.SourceKind`. Of it, only its ``settings`` matter here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from penstock.project.added import AddedKinds
from penstock.project.group import Settings


class SourceSettings(Settings):
    """The settings of a source.

    A kind's own have a field ``type: Literal["…"]`` beside what they need.
    """

    if TYPE_CHECKING:  # the kinds have a field of this name, which must not hide anything

        @property
        def type(self) -> str:
            """Which kind of source this is."""

    noun: ClassVar[str] = "a source"
    """What messages call it."""
    ends: ClassVar[bool] = True
    """Whether reading comes to an end. What has none is consumed, and not loaded."""
    has_message_ids: ClassVar[bool] = False
    """Whether its records may bring an id of their own, for ``identity: message``."""


ADDED = AddedKinds(group="penstock.sources", noun="source", base=SourceSettings)
