"""What the readers of queues have in common: when a batch is given."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pyarrow as pa

from penstock.ports import Batch
from penstock.sources.rabbitmq.batches import Batches, Delivery, Heads
from penstock.sources.rabbitmq.inbox import Inbox, Run

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Self

    from penstock.errors import SourceError
    from penstock.project import RabbitMQ

_POLL_SECONDS = 0.05
_IDLE_SECONDS = 0.25
"""How long a reader waits for a message before it gets an empty batch."""

I = TypeVar("I", bound=Inbox)  # noqa: E741 - an inbox


class QueueSource(ABC, Generic[I]):
    """Reads one queue. A context manager; :meth:`close` it after the last commit.

    :meth:`read` and :meth:`acknowledge` may be called from different threads.

    Args:
        name: the source's name, under which positions are kept.
        message_ids: whether batches carry the messages' ids.
        max_record_bytes: a body larger than this when decompressed is quarantined as it came.
        until_empty: end when the queue is drained.
        max_messages, max_seconds: end after so many messages, or so long from now.
        stop: asked at least every 50 ms; once true, what is in hand is given and reading ends.
        patience_seconds: how long the broker may be away at the first start.
    """

    heads: Heads

    def __init__(
        self,
        name: str,
        settings: RabbitMQ,
        *,
        message_ids: bool = False,
        max_record_bytes: int = 16 << 20,
        until_empty: bool = False,
        max_messages: int | None = None,
        max_seconds: float | None = None,
        stop: Callable[[], bool] = lambda: False,
        patience_seconds: float = 30.0,
    ) -> None:
        self.name = name
        self.failures: list[SourceError] = []
        self._settings = settings
        self._is_stream = settings.queue_type == "stream"
        self._batches = Batches(name, settings, self.heads, message_ids=message_ids, max_record_bytes=max_record_bytes)
        self._key = self._batches.place
        self._until_empty = until_empty
        self._max_messages = max_messages
        self._ends = None if max_seconds is None else time.monotonic() + max_seconds
        self._stop = stop
        self._patience_seconds = patience_seconds
        self._receiver: I | None = None
        self._left = max_messages
        self._runs: Sequence[Run] = ()
        self._holding = False
        self._before = (0, 0)
        self._generation = 0

    @property
    def connected(self) -> bool:
        """Whether messages can come now."""
        return self._receiver is not None and self._receiver.connected

    @property
    def open(self) -> bool:
        """Whether reading has begun: :meth:`follow` can go on with it."""
        return self._receiver is not None

    @property
    def ending(self) -> bool:
        """Whether reading is to end: it was stopped, or its time is up."""
        return self._stop() or (self._ends is not None and time.monotonic() >= self._ends)

    @property
    def reconnects(self) -> int:
        """How many times the connection was made again."""
        now = 0 if self._receiver is None else self._receiver.connections
        return max(self._before[0] + now - 1, 0)

    @property
    def received(self) -> int:
        """Messages received, also those that came again."""
        return self._before[1] + (0 if self._receiver is None else self._receiver.received)

    @property
    def untaken(self) -> int:
        """Messages received and not yet given."""
        waiting = 0 if self._receiver is None else self._receiver.waiting
        return waiting + sum(len(run.tags) for run in self._runs)

    @property
    def last_error(self) -> str:
        """Why the last connection ended; empty when none did."""
        return "" if self._receiver is None else self._receiver.last_error

    @property
    def last_error_at(self) -> datetime | None:
        """When it ended."""
        return None if self._receiver is None else self._receiver.last_error_at

    @abstractmethod
    def lag(self) -> int | None:
        """How many messages have not landed: those in the queue, and those received and not acknowledged. None when
        the broker does not say."""

    @abstractmethod
    def acknowledge(self, deliveries: Sequence[Delivery], /) -> None:
        """These have landed, and all that came before them."""

    @abstractmethod
    def _open(self, known: Mapping[str, Mapping[str, Any]]) -> I:
        """What receives, not yet started."""

    @abstractmethod
    def _most(self, receiver: I) -> int:
        """How many messages a batch may have."""

    @abstractmethod
    def _drained(self, receiver: I) -> bool:
        """Whether there is nothing to come."""

    @abstractmethod
    def _numbers(self, runs: Sequence[Run]) -> Sequence[int] | None:
        """The messages' offsets, where they have any."""

    def read(self, known: Mapping[str, Mapping[str, Any]]) -> Iterator[Batch]:
        """Consume anew; a batch is given when it has the messages or bytes set, or its time is up.

        Raises:
            SourceError: at the first start, the broker refuses or stays away.
        """
        self._start(known)
        self._left = self._max_messages
        self._runs = ()
        yield from self.follow()

    def follow(self) -> Iterator[Batch]:
        """Go on reading over the same connection, after an error ended :meth:`read`; nothing comes again for it.

        Raises:
            SourceError: as :meth:`read`.
        """
        receiver = self._receiver
        assert receiver is not None
        most = self._most(receiver)
        gave = time.monotonic()
        while self._left is None or self._left > 0:
            wanted = most if self._left is None else min(most, self._left)
            stopping = self.ending
            if not stopping and not self._runs and not self._full(receiver, wanted):
                if time.monotonic() - gave >= _IDLE_SECONDS:
                    # what waits for its time to be up is in no queue, and has to be given
                    if self._until_empty and self._drained(receiver) and not receiver.waiting:
                        return
                    yield self._nothing()
                    gave = time.monotonic()
                continue
            # what was taken is kept until it has become a batch: nobody else has it
            self._runs = self._runs or receiver.take(wanted, self._settings.batch_bytes)
            if self._runs:
                batch = self._batch(self._runs)
                taken, self._runs = self._runs, ()
                self._left = None if self._left is None else self._left - sum(len(run.tags) for run in taken)
                yield batch
                gave = time.monotonic()
            if stopping:
                if not self._stop() and not receiver.connections and receiver.trouble is not None:
                    raise receiver.trouble
                return

    def hold(self, holding: bool) -> None:
        """While nothing can be landed, take no more over a connection that is made again: each message taken and not
        acknowledged counts as a failed delivery when its connection ends."""
        changed, self._holding = holding != self._holding, holding
        if changed and self._receiver is not None:
            self._receiver.hold(holding)

    def close(self) -> None:
        """Leave; messages that were not acknowledged come again. Harmless again."""
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.close()
            self._before = (self._before[0] + receiver.connections, self._before[1] + receiver.received)
            self._generation = receiver.generation

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, known: Mapping[str, Mapping[str, Any]]) -> I:
        self.close()
        self._receiver = receiver = self._open(known)
        receiver.ending = lambda: self.ending
        receiver.hold(self._holding)
        receiver.start()
        return receiver

    def _full(self, receiver: I, messages: int) -> bool:
        """Wait a moment for a batch to be worth giving, and say whether one is."""
        with receiver.changed:
            now = time.monotonic()
            due = receiver.runs[0].at + self._settings.batch_seconds if receiver.runs else now + _POLL_SECONDS
            if not self._worth(receiver, messages) and now < due:
                until = due if self._ends is None else min(due, self._ends)
                receiver.changed.wait(max(min(until - now, _POLL_SECONDS), 0))
            if receiver.failure is not None and not receiver.runs:
                raise receiver.failure
            return self._worth(receiver, messages) or (bool(receiver.runs) and time.monotonic() >= due)

    def _worth(self, receiver: I, messages: int) -> bool:
        """Whether a batch is full, or nothing more can come before one is taken."""
        return (
            receiver.waiting >= messages
            or receiver.waiting_bytes >= self._settings.batch_bytes
            or (receiver.waiting > 0 and receiver.halted)
        )

    def _nothing(self) -> Batch:
        return Batch(bodies=pa.array([], pa.binary()), segments=())

    def _batch(self, runs: Sequence[Run]) -> Batch:
        return self._batches.batch(runs, self._numbers(runs))
