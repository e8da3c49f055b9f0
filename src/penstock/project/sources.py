"""What the settings of every source have in common, and the kinds of source: those built in, and those that installed
distributions add.

A distribution adds a kind by an entry point of the group ``penstock.sources``, whose name is what ``type:`` says::

    [project.entry-points."penstock.sources"]
    numbers = "penstock_numbers:KIND"

What it names is a :class:`penstock.sources.kinds.SourceKind`. Of it, only its ``settings`` matter here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from penstock.project.group import Settings
from penstock.project.kinds import KindsOfSettings
from penstock.project.yaml_document import Document, Problem


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

    def problems(self, name: str, fed: Sequence[str], document: Document) -> Iterator[Problem]:
        """What does not fit in the settings of the source called ``name``, each of which is right by itself.

        Args:
            fed: the streams that take records from it, in the file's order.
        """
        del name, fed, document
        yield from ()

    def stream_problems(self, stream: str, name: str, document: Document, *, replaced: bool) -> Iterator[Problem]:
        """What a stream that takes records from the source called ``name`` needs of it, and does not get.

        Args:
            replaced: each load takes the place of all that the stream had.
        """
        del stream, name, document, replaced
        yield from ()


SOURCES = KindsOfSettings(
    group="penstock.sources",
    noun="source",
    base=SourceSettings,
    built_in={
        "files": "penstock.project.settings:Files",
        "rabbitmq": "penstock.project.rabbitmq_settings:RabbitMQ",
        "http": "penstock.project.http:Http",
    },
)
