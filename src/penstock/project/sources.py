"""What the settings of every source have in common, and the kinds of source that installed distributions add.

A distribution adds a kind by an entry point of the group ``penstock.sources``, whose name is what ``type:`` says::

    [project.entry-points."penstock.sources"]
    numbers = "penstock_numbers:KIND"

What it names is a :class:`penstock.sources.kinds.SourceKind`. Of it, only its ``settings`` matter here.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, ClassVar

from penstock.project.group import Settings
from penstock.project.values import WrongName

GROUP = "penstock.sources"


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


def added_types() -> list[str]:
    """The types that distributions add, in order."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


@cache
def added_kind(type_: str) -> Any:
    """The kind that a distribution adds under a type; None when none does.

    Raises:
        WrongName: several do, it cannot be loaded, or it is no kind.
    """
    entries = list(entry_points(group=GROUP, name=type_))
    if not entries:
        return None
    owners = [_owner(entry) for entry in entries]
    if len(entries) > 1:
        raise WrongName("type", f"{type_!r} is added by {' and by '.join(owners)}", "uninstall one of them")
    try:
        kind = entries[0].load()
    except Exception as e:
        what = f"{type_!r} comes from {owners[0]}, which cannot be loaded: {type(e).__name__}: {e}"
        raise WrongName("type", what, "install that distribution anew, or another version of it") from e
    settings = getattr(kind, "settings", None)
    if not isinstance(settings, type) or not issubclass(settings, SourceSettings):
        what = f"{type_!r} comes from {owners[0]}, and {entries[0].value} there is no kind of source"
        raise WrongName("type", what, "its settings: have to be a class of penstock.project.SourceSettings")
    return kind


def added_settings(type_: str) -> type[SourceSettings] | None:
    """The settings of the kind that a distribution adds under a type; None when none does.

    Raises:
        WrongName: as :func:`added_kind`.
    """
    kind = added_kind(type_)
    return None if kind is None else kind.settings


def _owner(entry: EntryPoint) -> str:
    return "an unknown distribution" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
