"""Destinations: the warehouses. A folder a kind, each implementing :class:`penstock.ports.Destination`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.errors import DestinationError

if TYPE_CHECKING:
    from penstock.ports import Destination
    from penstock.project.destinations import DestinationSettings


def expect_warehouse(settings: DestinationSettings) -> None:
    """For those who only look, or tell: nobody makes a warehouse by that.

    Raises:
        DestinationError: there is no warehouse yet.
    """
    if not settings.may_exist:
        raise DestinationError("there is no warehouse yet", where=settings.address, fix="penstock run")


def open_destination(settings: DestinationSettings) -> Destination:
    """The destination that the settings describe. Connects when it is first used.

    Raises:
        MissingLibrary: its libraries are not installed.
    """
    from penstock.destinations.kinds import kind_of

    return kind_of(settings).open(settings)
