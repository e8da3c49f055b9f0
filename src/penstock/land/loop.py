"""The loop: read, shape, land, commit, acknowledge.

Reading, shaping and landing overlap: while one batch is written, the next is shaped and the one after it is read.
What a commit covers is landed whole or not at all, and only then acknowledged.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, field
from queue import Queue
from typing import TYPE_CHECKING, Any

from penstock.errors import PenstockError, RejectedRows, SourceError, together
from penstock.faults import fault_point
from penstock.land.refused import culprits
from penstock.ledger.soundness import expect_known
from penstock.ports import Batch, Destination, Landing, Position, Receipt, SchemaMoved, Shaped, Source, Target, Window
from penstock.records.lake_files import SOURCE as LAKE

if TYPE_CHECKING:
    from penstock.lake.writer import LakeWriter
    from penstock.land.presence import Presence
    from penstock.schema import Schema
    from penstock.shape.shaper import Shaper


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


def load(
    source: Source,
    destination: Destination,
    shaper: Shaper,
    target: Target,
    *,
    window: Window | None = None,
    commit_bytes: int | None = None,
    progress: Callable[[Batch], None] = lambda _: None,
    on_commit: Callable[[Receipt], None] | None = None,
    stop: Stop | None = None,
    lake: LakeWriter | None = None,
    presence: Presence | None = None,
) -> Landed:
    """Land what is new in ``source`` into a stream, and what was fetched in the lake when there is one.

    Commits about every ``commit_bytes``, the destination's own measure when left out and after each batch when 0;
    ``replace`` commits once, at the end. Receipts go to ``on_commit``, or are kept when there is none. When ``stop`` is
    set, commits what is written and returns early; a ``replace`` is rolled back instead. Fields that the project file
    names are looked for by ``presence``, and those that never came are among the warnings.

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
    whole = target.disposition == "replace" and not target.partial
    writer = _Writer(destination, shaper, target, window, lake, presence)
    stop = Stop() if stop is None else stop
    most = destination.commit_bytes if commit_bytes is None else commit_bytes
    took = landed.receipts.append if on_commit is None else on_commit
    if lake is not None:
        lake.recover(lambda: destination.ledger.positions(target.stream, LAKE))
    try:
        while True:
            try:
                failure = _pass(source, writer, landed, most, progress, took, stop, whole=whole)
            except _Again:
                writer.begin_again()
                continue
            break
    except BaseException:
        writer.rollback()
        raise
    finally:
        writer.close()
        if lake is not None:
            lake.close()
        landed.skipped = list(getattr(source, "skipped", ()))
        landed.warnings += [*getattr(source, "warnings", ()), *(presence.warnings() if presence is not None else ())]
    if failure:
        raise together([*source.failures, failure])
    landed.failures = list(source.failures)
    landed.kept = whole and bool(landed.failures)
    return landed


class _Again(Exception):
    """The destination refused rows, which are known now: read again from the last commit, without them."""


def _pass(
    source: Source,
    writer: _Writer,
    landed: Landed,
    commit_bytes: int,
    progress: Callable[[Batch], None],
    took: Callable[[Receipt], None],
    stop: Stop,
    *,
    whole: bool,
) -> SourceError | None:
    """Read, shape, land, commit and acknowledge until the source is empty; returns what stopped it before."""
    batches = _ahead(source.read(writer.positions()))
    failure: SourceError | None = None
    try:
        while not stop:
            try:
                batch = next(batches)
            except StopIteration:
                break
            except SourceError as e:
                failure = e
                break
            if batch.empty:
                continue
            fault_point("file_middle")
            writer.write(batch)
            progress(batch)
            if not whole and (writer.bytes >= commit_bytes or writer.refused):
                _commit(writer, source, took)
        landed.stopped = bool(stop)
        if whole and (failure or source.failures or landed.stopped):
            writer.rollback()
        else:
            if whole and not getattr(source, "skipped", ()):
                writer.refresh()
            _commit(writer, source, took)
    finally:
        batches.close()
    return failure


def _commit(writer: _Writer, source: Source, took: Callable[[Receipt], None]) -> None:
    receipt, positions = writer.commit()
    if receipt is not None:
        fault_point("before_ack")
        source.acknowledge(positions)
        if receipt.read or receipt.deleted:
            took(receipt)


class _Writer:
    """Shapes in the caller's thread while the batch before is written in another."""

    def __init__(
        self,
        destination: Destination,
        shaper: Shaper,
        target: Target,
        window: Window | None,
        lake: LakeWriter | None,
        presence: Presence | None,
    ) -> None:
        self.bytes = 0
        self.refused: dict[bytes, dict[bytes, str]] = {}
        self._destination = destination
        self._shaper = shaper
        self._target = target
        self._window = window
        self._lake = lake
        self._presence = presence
        if presence is not None:
            presence.begin(destination)
        self._schema = destination.ledger.schema(target.stream)
        self._landing: Landing | None = None
        self._positions: list[Position] = []
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="land")
        self._in_hand: tuple[Batch, Shaped, Future[None]] | None = None

    def positions(self) -> dict[str, dict[str, Any]]:
        """What is landed of the source, and committed."""
        return self._destination.ledger.positions(self._target.stream, self._target.source)

    def write(self, batch: Batch) -> None:
        """Shape a batch and hand it over."""
        if self._presence is not None:
            self._presence.look(batch)
        shaped = self._shape(batch)
        if self._settle():
            shaped = self._shape(batch)
        self._schema = shaped.schema
        if self._landing is None:
            self._landing = self._destination.land(self._target)
        if self._lake is not None:
            self._lake.write(self._landing.admitted(shaped))
        self._in_hand = (batch, shaped, self._pool.submit(self._landing.write, shaped))
        self._positions.extend(batch.positions)
        self.bytes += batch.bytes

    def refresh(self) -> None:
        """All that the source has is written. When that is nothing, the stream is emptied all the same."""
        if self._landing is None and self._schema.version:
            self._landing = self._destination.land(self._target)
        if self._lake is not None and self._landing is not None:
            self._lake.end_refresh()

    def commit(self) -> tuple[Receipt | None, list[Position]]:
        """Wait for what is in hand, and commit."""
        self._settle()
        landing, self._landing = self._landing, None
        if landing is None:
            return None, []
        positions, self._positions, self.bytes = self._positions, [], 0
        try:
            if self._lake is not None:
                landing.keep(self._lake.prepare())
            if self._presence is not None:
                landing.keep(self._presence.positions())
            receipt = landing.commit()
        except BaseException:
            landing.rollback()
            raise
        if self._presence is not None:
            self._presence.committed()
        if self._lake is not None:
            self._lake.publish()
        return receipt, positions

    def rollback(self) -> None:
        """Undo what is not committed."""
        if self._in_hand is not None:
            self._in_hand[2].exception()
            self._in_hand = None
        if self._landing is not None:
            self._landing.rollback()
            self._landing = None
        if self._lake is not None:
            self._lake.discard()
        self._positions, self.bytes = [], 0

    def begin_again(self) -> None:
        """Undo what is not committed, and go on from what is."""
        self.rollback()
        self._schema = self._landed_schema()

    def close(self) -> None:
        """Stop the thread."""
        self._pool.shutdown()

    def _shape(self, batch: Batch) -> Shaped:
        shaped = self._shaper.shape(batch, self._schema, self._window, self.refused)
        fault_point("after_shape")
        return shaped

    def _settle(self) -> bool:
        """Wait for the batch in hand. True when the schema turned out to have moved, so it was shaped again."""
        if self._in_hand is None:
            return False
        batch, shaped, written = self._in_hand
        wait([written])
        self._in_hand = None
        moved = False
        try:
            try:
                written.result()
            except SchemaMoved:
                assert self._landing is not None
                moved = True
                self._schema = self._landed_schema()
                shaped = self._shape(batch)
                self._schema = shaped.schema
                again = self._pool.submit(self._landing.write, shaped)
                self._in_hand = (batch, shaped, again)
                wait([again])
                self._in_hand = None
                again.result()
        except RejectedRows as e:
            self.begin_again()
            try:
                found = culprits(self._destination, self._target, shaped)
            except SchemaMoved:
                raise _Again from e
            if not found:
                raise
            for id_, records in found.items():
                self.refused.setdefault(id_, {}).update(records)
            raise _Again from e
        return moved

    def _landed_schema(self) -> Schema:
        return self._destination.ledger.schema(self._target.stream)


def _ahead(batches: Iterator[Batch]) -> Generator[Batch]:
    """The same batches, read up to two ahead in a thread."""
    queue: Queue[Batch | BaseException | None] = Queue(maxsize=1)
    abandoned = threading.Event()

    def read() -> None:
        try:
            for batch in batches:
                queue.put(batch)
                if abandoned.is_set():
                    return
            queue.put(None)
        except BaseException as e:  # noqa: BLE001 - handed to the reader's caller, which raises it
            queue.put(e)

    thread = threading.Thread(target=copy_context().run, args=(read,), name="read", daemon=True)
    thread.start()
    try:
        while (item := queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        abandoned.set()
        while thread.is_alive():
            if not queue.empty():
                queue.get_nowait()
            thread.join(0.005)
