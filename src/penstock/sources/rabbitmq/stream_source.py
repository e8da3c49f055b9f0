"""RabbitMQ stream queues as a source, by the stream protocol.

Delivery: at least once. A stream is read on after the offset in the ledger, wherever the broker stands; its own
tracking of offsets is not used. A stream that was deleted and made again is read from its start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from penstock.sources.rabbitmq import amqp1
from penstock.sources.rabbitmq.batches import Delivery
from penstock.sources.rabbitmq.inbox import Run
from penstock.sources.rabbitmq.queued import QueueSource
from penstock.sources.rabbitmq.stream_receiver import StreamReceiver


class StreamProtocolSource(QueueSource[StreamReceiver]):
    """Reads one stream queue by the stream protocol; batches and positions are those of reading it by AMQP."""

    heads = amqp1

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._landed_to: int | None = None

    def lag(self) -> int | None:
        """How many messages have not landed, gaps among them; None when the broker does not say."""
        receiver = self._receiver
        last = None if receiver is None else receiver.last_offset()
        if receiver is None or last is None:
            return None
        # what was taken lies ahead of what has landed, unless the stream is another one of that name, made since
        return max(last + 1 - min(self._landed_to or 0, receiver.offset or 0), 0)

    def acknowledge(self, deliveries: Sequence[Delivery], /) -> None:
        """Only note it: the ledger knows, and nobody else has to."""
        if deliveries:
            self._landed_to = deliveries[-1].tag + 1

    def _open(self, known: Mapping[str, Mapping[str, Any]]) -> StreamReceiver:
        state = known.get(self._key)
        self._landed_to = None if state is None else int(state["offset"]) + 1
        return StreamReceiver(
            self._settings,
            offset=self._landed_to,
            first_generation=self._generation + 1,
            patience_seconds=self._patience_seconds,
        )

    def _most(self, _: StreamReceiver) -> int:
        return self._settings.batch_messages

    def _drained(self, receiver: StreamReceiver) -> bool:
        if not receiver.connected or receiver.waiting:
            return False
        generation = receiver.generation
        last = receiver.last_offset()
        read = last is not None and last < (receiver.offset or 0)
        return read and receiver.connected and receiver.generation == generation

    def _numbers(self, runs: Sequence[Run]) -> Sequence[int]:
        if self._landed_to is None:
            self._landed_to = runs[0].tags[0]  # the oldest that the stream still has
        return list(chain.from_iterable(run.tags for run in runs))
