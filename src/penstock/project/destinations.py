"""What the settings of every destination have in common, and the kinds of destination: those built in, and those that
distributions add.

A distribution adds a kind by an entry point of the group ``penstock.destinations``::

    [project.entry-points."penstock.destinations"]
    iceberg = "penstock_iceberg:KIND"

What it names is a :class:`penstock.destinations.kinds.DestinationKind`. Of it, only its ``settings`` matter here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from pydantic import model_validator

from penstock.project.group import Settings
from penstock.project.kinds import KindsOfSettings
from penstock.project.schedule import Clock
from penstock.project.values import WrongName
from penstock.project.yaml_document import Document, Problem


class DestinationSettings(Settings):
    """The settings of a destination. A kind's own have a field ``type: Literal["…"]`` beside what they need."""

    if TYPE_CHECKING:  # the kinds have a field of this name, which must not hide anything

        @property
        def type(self) -> str:
            """Which kind of destination this is."""

    @model_validator(mode="before")
    @classmethod
    def _has_files(cls, data: Any) -> Any:
        if isinstance(data, dict) and "tidy" in data and "tidy" not in cls.model_fields:
            what = "such a warehouse has no files and snapshots to look after"
            raise WrongName("tidy", what, "leave it out: it frees space by itself")
        return data

    @property
    def address(self) -> str:
        """Tells this warehouse from others."""
        raise NotImplementedError

    @property
    def may_exist(self) -> bool:
        """False when nothing can have landed."""
        return True

    @property
    def tidied(self) -> Clock | None:
        """When ``penstock up`` looks after its tables; None where it does not."""
        return None

    @property
    def needs(self) -> str:
        """The name of another destination that this one is not there without; empty when there is none."""
        return ""

    def problems(self, name: str, all_: Mapping[str, DestinationSettings], document: Document) -> Iterator[Problem]:
        """What does not fit between the settings of the destination called ``name`` and the others of the project."""
        del name, all_, document
        yield from ()

    def completed(self, all_: Mapping[str, DestinationSettings]) -> Self:
        """The same, with what it takes from the others of the project."""
        del all_
        return self


DESTINATIONS = KindsOfSettings(
    group="penstock.destinations",
    noun="destination",
    base=DestinationSettings,
    built_in={
        "duckdb": "penstock.project.warehouses:DuckDB",
        "postgres": "penstock.project.warehouses:Postgres",
        "spark": "penstock.project.lakehouse:Spark",
    },
)
