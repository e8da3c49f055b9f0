"""Shaping and landing overlap: while one batch is written, the next ones are shaped."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from penstock.errors import RejectedRows
from penstock.faults import fault_point
from penstock.land.ahead import Ahead
from penstock.land.refused import Refused, Search, culprits
from penstock.ports import Batch, Destination, Landing, Receipt, SchemaMoved, Shaped, Source, Target, Window

if TYPE_CHECKING:
    from typing import Self

    from penstock.land.presence import Presence
    from penstock.land.shapers import Shapes
    from penstock.schema import Schema


class Again(Exception):
    """The destination refused rows, which are known now: read again from the last commit, without them."""


@dataclass(frozen=True, slots=True)
class _InHand:
    """A batch that is being written."""

    batch: Batch
    shaped: Shaped
    written: Future[None]


class Writer:
    """Writes one batch in a thread of its own while the next ones are read and shaped in others.

    A context manager: what is not committed at its end, because something was raised, is rolled back.

    Args:
        land: opens a landing, at the first batch after each commit.
        presence: looks for the fields that the project file names.
    """

    def __init__(
        self,
        destination: Destination,
        land: Callable[[Target], Landing],
        shaper: Shapes,
        target: Target,
        window: Window | None,
        presence: Presence | None,
    ) -> None:
        self.bytes = 0
        """What was taken from the source for the batches since the last commit."""
        self.refused: Refused = {}
        """What the destination is known to refuse."""
        self._destination = destination
        self._land = land
        self._shaper = shaper
        self.target = target
        self._window = window
        self._presence = presence
        if presence is not None:
            presence.begin(destination)
        self._schema = destination.ledger.schema(target.stream)
        self._landing: Landing | Search | None = None
        self._searching = False
        self._unfound = False
        self._acknowledgements: list[Any] = []
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="land")
        self._shaping = ThreadPoolExecutor(shaper.at_once, thread_name_prefix="shape")
        self._in_hand: _InHand | None = None

    def positions(self) -> dict[str, dict[str, Any]]:
        """What is landed of the source, and committed."""
        return self._destination.ledger.positions(self.target.stream, self.target.source)

    def read(self, source: Source) -> Ahead:
        """What is new in a source, read and shaped ahead. Only while it is not closed can its batches be written."""
        return Ahead(
            source.read(self.positions()),
            self._shape,
            self._schema,
            pool=self._shaping,
            at_once=self._shaper.at_once,
        )

    def write(self, batch: Batch, ahead: Ahead, *, unchanged: bool = False) -> None:
        """Hand over the batch that was taken last. With ``unchanged``, what landed before stays whatever the
        disposition.

        Raises:
            Again: the destination refuses rows of the batch before.
            ContractError, DestinationError: this batch, or the one before, cannot be landed.
        """
        if self._presence is not None:
            self._presence.look(batch)
        shaped = ahead.shaped(self._schema)
        if self._settle():
            shaped = ahead.shaped(self._schema)
        self._schema = shaped.schema
        if self._landing is None:
            self._landing = self._opened(replace(self.target, partial=self.target.partial or unchanged))
        self._in_hand = _InHand(batch, shaped, self._pool.submit(self._landing.write, shaped))
        self._acknowledgements.extend(batch.acknowledgements)
        self.bytes += batch.bytes

    def refresh(self) -> None:
        """All that the source has is written. When that is nothing, the stream is emptied all the same."""
        if self._landing is None and self._schema.version:
            self._landing = self._opened(self.target)

    def commit(self) -> tuple[Receipt | None, list[Any]]:
        """Wait for what is in hand, and commit; the receipt, and what acknowledges the batches it covers. No receipt
        when nothing was written.

        Raises:
            Again, ContractError, DestinationError: as :meth:`write`; nothing is committed.
        """
        self._settle()
        landing, self._landing = self._landing, None
        if landing is None:
            return None, []
        if isinstance(landing, Search):
            self._end(landing)
        acknowledgements, self._acknowledgements, self.bytes = self._acknowledgements, [], 0
        try:
            if self._presence is not None:
                landing.keep(self._presence.positions())
            receipt = landing.commit()
        except RejectedRows as e:
            landing.rollback()
            if self._destination.capabilities.tries_parts:
                self._search(e)
            if self._puts_nothing_off():
                raise
            raise Again from e
        except BaseException:
            landing.rollback()
            raise
        self._unfound = False
        if self._presence is not None:
            self._presence.committed()
        return receipt, acknowledgements

    def rollback(self) -> None:
        """Undo what is not committed."""
        if self._in_hand is not None:
            self._in_hand.written.exception()
            self._in_hand = None
        if self._landing is not None:
            self._landing.rollback()
            self._landing = None
        self._acknowledgements, self.bytes = [], 0

    def begin_again(self) -> None:
        """Undo what is not committed, and go on from what is."""
        self.rollback()
        self._schema = self._landed_schema()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is not None:
                self.rollback()
        finally:
            self._pool.shutdown()
            self._shaping.shutdown(cancel_futures=True)

    def _shape(self, batch: Batch, schema: Schema) -> Shaped:
        shaped = self._shaper.shape(batch, schema, self._window, self.refused)
        fault_point("after_shape")
        return shaped

    def _settle(self) -> bool:
        """Wait until the batch in hand is written. Whether its schema had moved, so that what was shaped meanwhile has
        to be shaped again."""
        if self._in_hand is None:
            return False
        batch, shaped = self._in_hand.batch, self._in_hand.shaped
        moved = False
        try:
            try:
                self._written(self._in_hand)
            except SchemaMoved:
                assert self._landing is not None
                moved = True
                self._schema = self._landed_schema()
                shaped = self._shaping.submit(copy_context().run, self._shape, batch, self._schema).result()
                self._schema = shaped.schema
                self._written(_InHand(batch, shaped, self._pool.submit(self._landing.write, shaped)))
        except RejectedRows as e:
            self.begin_again()
            if self._destination.capabilities.tries_parts:
                self._search(e)
            nothing_put_off = self._puts_nothing_off()
            try:
                refused = culprits(self._destination, self.target, shaped)
            except SchemaMoved:
                raise Again from e
            if not refused and nothing_put_off:
                raise
            self._add(refused)
            raise Again from e
        return moved

    def _opened(self, target: Target) -> Landing | Search:
        return Search(self._destination, target) if self._searching else self._land(target)

    def _search(self, refusal: RejectedRows) -> NoReturn:
        """Have what was read since the last commit read once more, in search of what is refused; unless that has found
        nothing before."""
        if self._searching or self._unfound:
            raise refusal
        self._searching = True
        raise Again from refusal

    def _end(self, search: Search) -> NoReturn:
        """End a search, and go on without what it found."""
        try:
            refused = search.refused()
        finally:
            search.rollback()
        self._searching = False
        self._unfound = not self._add(refused)
        raise Again

    def _add(self, refused: Refused) -> bool:
        """Note what is refused; whether any of it is new."""
        before = sum(map(len, self.refused.values()))
        for id_, records in refused.items():
            self.refused.setdefault(id_, {}).update(records)
        return sum(map(len, self.refused.values())) > before

    def _puts_nothing_off(self) -> bool:
        """Whether no row was put off beyond the write of its batch. From now on none is, so that the batch to blame for
        a refusal is the one in hand."""
        before, self.target = self.target, replace(self.target, immediate=True)
        return before.immediate

    def _written(self, in_hand: _InHand) -> None:
        """Wait for it; what interrupts the wait leaves it in hand, for :meth:`rollback` to wait for."""
        self._in_hand = in_hand
        wait([in_hand.written])
        self._in_hand = None
        in_hand.written.result()

    def _landed_schema(self) -> Schema:
        return self._destination.ledger.schema(self.target.stream)
