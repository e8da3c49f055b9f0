"""Reading and shaping ahead: the next batches are read, and as many of them shaped at once as there are shapers, while
the one before them is written. They come out in the order in which they were read.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass

from penstock.ports import Batch, Shaped
from penstock.schema import Schema

BYTES_AT_ONCE = 32 << 20
"""What may wait in batches for each shaper; one batch may be larger."""


@dataclass(slots=True)
class _Waiting:
    """A batch that was read, and what shapes it: None as long as nothing does."""

    batch: Batch
    schema: Schema
    shaping: Future[Shaped] | None = None


class Ahead:
    """The batches of a source, each to be taken by :meth:`next` and then shaped by :meth:`shaped`.

    As many batches wait as there are threads in ``pool`` besides the one for the batch that was taken, at least one, of
    ``BYTES_AT_ONCE`` for each thread; one more is read and not counted.
    A batch is shaped after the schema that is known when its turn comes. Where a batch before it made that grow, it is
    shaped again: the rows are those of batches that were shaped one after the other.

    Args:
        shape: shapes a batch after a schema, in a thread of ``pool``.
        schema: what the first batch is shaped after.
        at_once: how many threads ``pool`` has.
    """

    def __init__(
        self,
        batches: Iterator[Batch],
        shape: Callable[[Batch, Schema], Shaped],
        schema: Schema,
        *,
        pool: ThreadPoolExecutor,
        at_once: int,
    ) -> None:
        self._batches = batches
        self._shape = shape
        self._schema = schema
        self._pool = pool
        self._at_once = at_once
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._taken: _Waiting | None = None
        self._over = self._abandoned = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=copy_context().run, args=(self._read,), name="read", daemon=True)
        self._thread.start()

    def next(self) -> Batch | None:
        """The next batch, when there is one; None when there are no more.

        Raises:
            SourceError: as reading does, after the batches that came before it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._over)
            if not self._waiting:
                self._taken = None
                if self._failure is not None:
                    raise self._failure
                return None
            self._taken = self._waiting.popleft()
            self._changed.notify_all()
            return self._taken.batch

    def shaped(self, schema: Schema) -> Shaped:
        """The batch that was taken last, shaped after ``schema``, which may be later than that of the batch before.

        Raises:
            ContractError, PenstockError: as shaping does.
        """
        taken = self._taken
        assert taken is not None
        with self._changed:
            self._schema = schema
            self._submit(taken)
        assert taken.shaping is not None
        shaped = taken.shaping.result()
        with self._changed:
            self._schema = shaped.schema
            for waiting in self._waiting:
                self._submit(waiting)
        return shaped

    def close(self) -> None:
        """Stop reading and shaping; waits for the batch that is being read."""
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()
            for waiting in self._waiting:
                if waiting.shaping is not None:
                    waiting.shaping.cancel()
        self._thread.join()

    def _read(self) -> None:
        try:
            for batch in self._batches:
                if not self._put(batch):
                    return
        except BaseException as e:  # noqa: BLE001 - raised in the thread that takes batches
            self._failure = e
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _put(self, batch: Batch) -> bool:
        """Add a batch when there is room for it; False when nobody wants it any more."""
        with self._changed:
            if batch.empty and self._waiting:
                return not self._abandoned  # it says that the source waits, and nobody waits for it
            self._changed.wait_for(lambda: self._abandoned or self._room(batch))
            if self._abandoned:
                return False
            waiting = _Waiting(batch, self._schema)
            # the columns of a stream that never landed come with its first batch
            if not batch.empty and (self._schema.version or (self._taken is None and not self._waiting)):
                self._submit(waiting)
            self._waiting.append(waiting)
            self._changed.notify_all()
            return True

    def _room(self, batch: Batch) -> bool:
        if not self._waiting:
            return True
        held = sum(_bytes(waiting.batch) for waiting in self._waiting)
        most = max(self._at_once - 1, 1)
        return len(self._waiting) < most and held + _bytes(batch) <= self._at_once * BYTES_AT_ONCE

    def _submit(self, waiting: _Waiting) -> None:
        """Have a batch shaped after the schema that is known now, unless it is or there is nothing in it."""
        if waiting.batch.empty or (waiting.shaping is not None and waiting.schema == self._schema):
            return
        if waiting.shaping is not None:
            waiting.shaping.cancel()
        waiting.schema = self._schema
        waiting.shaping = self._pool.submit(copy_context().run, self._shape, waiting.batch, self._schema)


def _bytes(batch: Batch) -> int:
    return max(batch.bytes, int(batch.bodies.nbytes))
