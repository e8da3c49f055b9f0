"""What the settings of every destination have in common, and the kinds of destination: those built in, and those that
distributions add.

A distribution adds a kind by an entry point of the group ``penstock.destinations``::

    [project.entry-points."penstock.destinations"]
    iceberg = "penstock_iceberg:KIND"

What it names is a :class:`penstock.destinations.kinds.DestinationKind`. Of it, only its ``settings`` matter here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.project.group import Settings
from penstock.project.kinds import KindsOfSettings


class DestinationSettings(Settings):
    """The settings of a destination. A kind's own have a field ``type: Literal["…"]`` beside what they need."""

    if TYPE_CHECKING:  # the kinds have a field of this name, which must not hide anything

        @property
        def type(self) -> str:
            """Which kind of destination this is."""

    @property
    def address(self) -> str:
        """Tells this warehouse from others."""
        raise NotImplementedError

    @property
    def may_exist(self) -> bool:
        """False when nothing can have landed."""
        return True


DESTINATIONS = KindsOfSettings(
    group="penstock.destinations",
    noun="destination",
    base=DestinationSettings,
    built_in={"duckdb": "penstock.project.warehouses:DuckDB", "postgres": "penstock.project.warehouses:Postgres"},
)
