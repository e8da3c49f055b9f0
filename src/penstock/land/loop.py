"""The loop: read, shape, land, commit, acknowledge.

Reading, shaping and landing overlap: while one batch is written, the next ones are shaped, as many at once as there are
cores, and those after them are read. What a commit covers is landed whole or not at all, and only then acknowledged.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock.errors import PenstockError, SourceError, together
from penstock.faults import fault_point
from penstock.land.writing import Again, Writer
from penstock.ledger.soundness import expect_known
from penstock.ports import Batch, Destination, Landing, Receipt, Source, Target, Window

if TYPE_CHECKING:
    from penstock.land.presence import Presence
    from penstock.land.shapers import Shapes

Landings = Callable[[Destination], AbstractContextManager[Callable[[Target], Landing]]]
"""Gives what opens the landings of one load; entered once the ledger is known to be whole, and left after the last."""


class Stop:
    """A wish to stop, safe to set from a signal handler."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.exit_code = 0

    def set(self, exit_code: int = 0) -> None:
        """Ask for the batch in hand to be finished and no other begun."""
        self.exit_code = exit_code
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Let time pass, until the wish comes; whether it has."""
        return self._event.wait(seconds)

    def is_set(self) -> bool:
        """As ``bool()``, for those who take an event."""
        return self._event.is_set()

    def __bool__(self) -> bool:
        return self._event.is_set()


@dataclass(slots=True)
class Landed:
    """What loading one stream from one source did: a receipt for each commit.

    ``failures`` are the parts of the source that could not be read; the others are landed, and these are tried again by
    the next load. ``kept`` says that a refresh was not whole for that reason, so that the table stayed as it was.
    ``warnings`` say what looks like a mistake in the project file, each in a sentence or two with the fix.
    """

    stream: str
    source: str
    receipts: list[Receipt] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failures: list[SourceError] = field(default_factory=list)
    kept: bool = False
    warnings: list[str] = field(default_factory=list)
    stopped: bool = False

    @property
    def failure(self) -> PenstockError | None:
        """All failures as one error; None when all was read."""
        return together(self.failures) if self.failures else None

    def total(self, name: str) -> int:
        """Sum of a receipt's count over the commits."""
        return sum(getattr(r, name) for r in self.receipts)


def into_warehouse(destination: Destination) -> AbstractContextManager[Callable[[Target], Landing]]:
    """Landings in the warehouse, and nowhere else."""
    return nullcontext(destination.land)


def load(
    source: Source,
    destination: Destination,
    shaper: Shapes,
    target: Target,
    *,
    window: Window | None = None,
    commit_bytes: int | None = None,
    progress: Callable[[Batch], None] = lambda _: None,
    on_commit: Callable[[Receipt], None] | None = None,
    stop: Stop | None = None,
    landings: Landings = into_warehouse,
    presence: Presence | None = None,
) -> Landed:
    """Land what is new in ``source`` into a stream.

    Commits about every ``commit_bytes``, the destination's own measure when left out and after each batch when 0;
    ``replace`` commits once, at the end. Receipts go to ``on_commit``, or are kept when there is none. When ``stop`` is
    set, commits what is written and returns early; a ``replace`` is rolled back instead. Fields that the project file
    names are looked for by ``presence``, and those that never came are among the warnings. ``landings`` opens the
    landings: :func:`penstock.lake.lake_landing.into_lake` has each fill the lake, too.

    What a part of the source could not be read for is in the result's ``failures``: whoever calls this has to look. The
    other parts are landed all the same, but for a ``replace``, which is rolled back.

    Raises:
        SourceError: the source as a whole cannot be read; what had been read before is landed.
        ContractError: the records break the stream's contract, or lack what ``pii`` or ``drop`` names.
        ContractError, DestinationError: what was not committed is rolled back. A ledger that does not fit the stream's
            table is such an error, before anything is read.
    """
    expect_known(destination, target.stream)
    landed = Landed(stream=target.stream, source=target.source)
    stop = Stop() if stop is None else stop
    most = destination.commit_bytes if commit_bytes is None else commit_bytes
    took = landed.receipts.append if on_commit is None else on_commit
    with landings(destination) as land, Writer(destination, land, shaper, target, window, presence) as writer:
        while True:
            try:
                failure = _pass(source, writer, landed, most, progress, took, stop)
            except Again:
                writer.begin_again()
            else:
                break
    if failure:
        raise together([*source.failures, failure])
    landed.skipped = list(getattr(source, "skipped", ()))
    landed.warnings = [*getattr(source, "warnings", ()), *(presence.warnings() if presence is not None else ())]
    landed.failures = list(source.failures)
    landed.kept = target.whole and bool(landed.failures)
    return landed


def _pass(
    source: Source,
    writer: Writer,
    landed: Landed,
    commit_bytes: int,
    progress: Callable[[Batch], None],
    took: Callable[[Receipt], None],
    stop: Stop,
) -> SourceError | None:
    """Read, shape, land, commit and acknowledge until the source is empty; returns what stopped it before."""
    whole = writer.target.whole
    failure: SourceError | None = None
    with closing(writer.read(source)) as ahead:
        while not stop:
            try:
                batch = ahead.next()
            except SourceError as e:
                failure = e
                break
            if batch is None:
                break
            if batch.empty:
                continue
            fault_point("file_middle")
            writer.write(batch, ahead, unchanged=whole and _unchanged(source))
            progress(batch)
            # what a row was refused beside has to be there when the row is looked for
            if not whole and (writer.bytes >= commit_bytes or writer.target.immediate):
                _commit(writer, source, took)
        landed.stopped = bool(stop)
        if whole and (failure or source.failures or landed.stopped):
            writer.rollback()
        else:
            if whole and not _unchanged(source):
                writer.refresh()
            _commit(writer, source, took)
    return failure


def _unchanged(source: Source) -> bool:
    """Whether the source holds what it held at the last load: of a refresh, all is new or nothing is."""
    return bool(getattr(source, "skipped", ()))


def _commit(writer: Writer, source: Source, took: Callable[[Receipt], None]) -> None:
    """Commit what is written; only then is it acknowledged."""
    receipt, acknowledgements = writer.commit()
    if receipt is None:
        return
    fault_point("before_ack")
    source.acknowledge(acknowledgements)
    if receipt.read or receipt.deleted:
        took(receipt)
