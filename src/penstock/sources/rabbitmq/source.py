"""RabbitMQ queues as a source: classic and quorum queues, and stream queues by AMQP.

Delivery: at least once. A message is acknowledged after the commit that holds it, over the connection it came by
and no other; whatever is not acknowledged when a connection ends comes again, and identity keeps the rows single.
A stream queue is read on after the offset in the ledger, wherever the broker stands.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.sources.rabbitmq import frames
from penstock.sources.rabbitmq.batches import Delivery
from penstock.sources.rabbitmq.frames import stream_offset
from penstock.sources.rabbitmq.inbox import Run
from penstock.sources.rabbitmq.queued import QueueSource
from penstock.sources.rabbitmq.receiver import Receiver

_POLL_SECONDS = 0.05
_QUIET_SECONDS = 1.0
"""An empty queue is asked twice, with this between, as messages may be under way."""
_LATE_SECONDS = 10.0
"""Likewise while fewer came than waited when the connection was made: a busy broker is slow, or others took them."""


class RabbitMQSource(QueueSource[Receiver]):
    """Reads one queue by AMQP 0-9-1."""

    heads = frames

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._next_offset: int | None = None
        self._landed_to = 0

    def lag(self) -> int | None:
        """How many messages have not landed; None when the broker does not say."""
        receiver = self._receiver
        left = None if receiver is None else receiver.left()
        if receiver is None or left is None or not self._is_stream:
            return left
        # a stream counts all it holds, whoever has read it
        return max(left - receiver.unacknowledged - self._landed_to, receiver.unacknowledged)

    def acknowledge(self, deliveries: Sequence[Delivery], /) -> None:
        """Tell the broker that these have landed; nothing happens if their connection is gone."""
        for delivery in deliveries:
            if delivery.offset is not None:
                self._landed_to = delivery.offset + 1
            if self._receiver is not None:
                self._receiver.acknowledge(delivery.connection, delivery.tag)

    def _open(self, known: Mapping[str, Mapping[str, Any]]) -> Receiver:
        receiver = Receiver(
            self._settings, first_generation=self._generation + 1, patience_seconds=self._patience_seconds
        )
        if self._is_stream:
            state = known.get(self._key)
            self._next_offset = None if state is None else int(state["offset"]) + 1
            self._landed_to = self._next_offset or 0
            receiver.offset = lambda: self._next_offset
        return receiver

    def _most(self, receiver: Receiver) -> int:
        # a window that is all in hand would wait for acknowledgements that wait for the batch to fill
        return min(self._settings.batch_messages, max(receiver.prefetch // 2, 1))

    def _drained(self, receiver: Receiver) -> bool:
        if not receiver.connected or receiver.waiting:
            return False
        before = receiver.received
        generation = receiver.generation
        if not self._read_all(receiver.ready()):
            return False
        with receiver.changed:
            late = not self._is_stream and receiver.received < receiver.expected
            quiet = _LATE_SECONDS if late else _QUIET_SECONDS
            until = time.monotonic() + quiet
            while time.monotonic() < until and not self.ending:
                if receiver.changed.wait_for(
                    lambda: receiver.received != before or not receiver.connected, _POLL_SECONDS
                ):
                    return False
        again = self._read_all(receiver.ready())
        return again and receiver.received == before and receiver.generation == generation and receiver.connected

    def _read_all(self, ready: int | None) -> bool:
        """Whether nothing is left, as far as the broker's count of messages tells.

        A stream counts all it holds, read or not; its last offset is that count less one, or greater where its
        oldest messages have been dropped.
        """
        return ready is not None and ready <= ((self._next_offset or 0) if self._is_stream else 0)

    def _numbers(self, runs: Sequence[Run]) -> Sequence[int] | None:
        if not self._is_stream:
            return None
        offsets = [-1 if (offset := stream_offset(head)) is None else offset for run in runs for head in run.heads]
        self._next_offset = offsets[-1] + 1
        return offsets
