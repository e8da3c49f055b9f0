"""Landings that fill the lake, too: what a landing is given is in both once it has committed, or in neither."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from penstock.lake.unfinished import settle

if TYPE_CHECKING:
    from penstock.lake.lake_writer import LakeWriter
    from penstock.ports import Destination, Landing, Position, Receipt, Shaped, Target


@contextmanager
def into_lake(lake: LakeWriter, destination: Destination) -> Iterator[Callable[[Target], Landing]]:
    """What opens the landings of one load: in the warehouse, each with the stream's lake around it.

    First settles what earlier loads left unfinished there, so the ledger has to be whole.
    """
    settle(lake.folder, lake.stream, warehouse=lake.warehouse, positions=destination.ledger.positions)
    try:
        yield lambda target: LakeLanding(destination.land(target), lake, whole=target.whole)
    finally:
        lake.close()


class LakeLanding:
    """A landing around another one.

    The lake's files are complete and durable before the warehouse commits, under hidden names and with positions in the
    ledger, and get their own names after it. Killed between the two, :func:`settle` asks the ledger which it was.

    Args:
        whole: what is landed takes the place of all there was.
    """

    def __init__(self, landing: Landing, lake: LakeWriter, *, whole: bool) -> None:
        self._landing = landing
        self._lake = lake
        self._whole = whole

    def write(self, shaped: Shaped) -> None:
        """Write a batch into both: the warehouse comes first, which may want it shaped again."""
        self._landing.write(shaped)
        self._lake.write(self._landing.admitted(shaped))

    def admitted(self, shaped: Shaped) -> Shaped:
        """The batch without the records of people who were erased."""
        return self._landing.admitted(shaped)

    def keep(self, positions: Sequence[Position]) -> None:
        """Add positions to those of the batches that were written."""
        self._landing.keep(positions)

    def commit(self) -> Receipt:
        """Commit all that was written, and then show the lake's files."""
        if self._whole:
            self._lake.end_refresh()
        self._landing.keep(self._lake.prepare())
        receipt = self._landing.commit()
        self._lake.publish()
        return receipt

    def rollback(self) -> None:
        """Undo all that was written. What a commit may have been heard of is left for the next load to decide about."""
        self._landing.rollback()
        self._lake.discard()
