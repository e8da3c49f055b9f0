"""RabbitMQ queues as a source: classic and quorum queues, and stream queues by AMQP.

Delivery: at least once. A message is acknowledged after the commit that holds it, over the connection it came by
and no other; whatever is not acknowledged when a connection ends comes again, and identity keeps the rows single.
A stream queue is read on after the offset in the ledger, wherever the broker stands.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from penstock.ports import Batch, Position, Reject, Segment
from penstock.sources.frames import is_plain, message_id, stream_offset
from penstock.sources.messages import Message, Unreadable, headers_of, read_message
from penstock.sources.receiver import Receiver, Run

if TYPE_CHECKING:
    from penstock.project import RabbitMQ

_POLL_SECONDS = 0.05
_IDLE_SECONDS = 0.25
"""How long a reader waits for a message before it gets an empty batch."""
_QUIET_SECONDS = 1.0
"""An empty queue is asked twice, with this between, as messages may be under way."""
_LATE_SECONDS = 10.0
"""Likewise while fewer came than waited when the connection was made: a busy broker is slow, or others took them."""


class RabbitMQSource:
    """Reads one queue. A context manager; :meth:`close` it after the last commit.

    :meth:`read` and :meth:`acknowledge` may be called from different threads.

    Args:
        name: the source's name, under which positions are kept.
        message_ids: whether batches carry the messages' ids.
        max_record_bytes: a body larger than this when decompressed is quarantined as it came.
        until_empty: end when the queue is drained.
        max_messages, max_seconds: end after so many messages, or so long.
        stop: asked at least every 50 ms; once true, what is in hand is given and reading ends.
        patience_seconds: how long the broker may be away at the first start.
    """

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
        self._settings = settings
        self._is_stream = settings.queue_type == "stream"
        self._key = f"{'stream' if self._is_stream else 'queue'} {settings.queue}"
        self._message_ids = message_ids
        self._max_record_bytes = max_record_bytes
        self._until_empty = until_empty
        self._max_messages = max_messages
        self._max_seconds = max_seconds
        self._stop = stop
        self._patience_seconds = patience_seconds
        self._receiver: Receiver | None = None
        self._before = (0, 0)
        self._generation = 0
        self._next_offset: int | None = None
        self._tags: dict[int, tuple[int, int]] = {}
        self._lock = threading.Lock()

    @property
    def connected(self) -> bool:
        """Whether messages can come now."""
        return self._receiver is not None and self._receiver.connected

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
    def last_error(self) -> str:
        """Why the last connection ended; empty when none did."""
        return "" if self._receiver is None else self._receiver.last_error

    def lag(self) -> int | None:
        """How many messages wait in the queue; None when the broker does not say."""
        return None if self._receiver is None else self._receiver.ready()

    def read(self, known: Mapping[str, Mapping[str, Any]]) -> Iterator[Batch]:
        """Consume anew; a batch is given when it has the messages or bytes set, or its time is up.

        Raises:
            SourceError: at the first start, the broker refuses or stays away.
        """
        receiver = self._start(known)
        started = time.monotonic()
        ends = None if self._max_seconds is None else started + self._max_seconds
        left = self._max_messages
        # a window that is all in hand would wait for acknowledgements that wait for the batch to fill
        most = min(self._settings.batch_messages, max(receiver.prefetch // 2, 1))
        gave = started
        while left is None or left > 0:
            asked = most if left is None else min(most, left)
            stopping = self._stop() or (ends is not None and time.monotonic() >= ends)
            if not stopping and not self._full(receiver, asked, ends):
                if time.monotonic() - gave >= _IDLE_SECONDS:
                    if self._until_empty and self._drained(receiver):
                        return
                    yield self._nothing()
                    gave = time.monotonic()
                continue
            runs = receiver.take(asked, self._settings.batch_bytes)
            if runs:
                yield self._batch(runs)
                gave = time.monotonic()
                left = None if left is None else left - sum(len(run.tags) for run in runs)
            if stopping:
                return

    def acknowledge(self, positions: Sequence[Position]) -> None:
        """Tell the broker that these have landed; nothing happens if their connection is gone."""
        receiver = self._receiver
        for position in positions:
            if receiver is None or position.key != self._key:
                continue
            state = position.state
            if self._is_stream:
                with self._lock:
                    tags = [self._tags.pop(offset) for offset in sorted(self._tags) if offset <= state["offset"]]
                if tags:
                    receiver.acknowledge(*tags[-1])
            else:
                receiver.acknowledge(state["connection"], state["tag"])

    def close(self) -> None:
        """Leave; messages that were not acknowledged go back to the queue. Harmless again."""
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.close()
            self._before = (self._before[0] + receiver.connections, self._before[1] + receiver.received)
            self._generation = receiver.generation

    def __enter__(self) -> RabbitMQSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, known: Mapping[str, Mapping[str, Any]]) -> Receiver:
        self.close()
        receiver = Receiver(
            self._settings, first_generation=self._generation + 1, patience_seconds=self._patience_seconds
        )
        if self._is_stream:
            state = known.get(self._key)
            self._next_offset = None if state is None else int(state["offset"]) + 1
            self._tags.clear()
            receiver.offset = lambda: self._next_offset
        self._receiver = receiver
        receiver.start()
        return receiver

    def _full(self, receiver: Receiver, messages: int, ends: float | None) -> bool:
        """Wait a moment for a batch to be worth giving, and say whether one is."""
        with receiver.changed:
            now = time.monotonic()
            due = receiver.runs[0].at + self._settings.batch_seconds if receiver.runs else now + _POLL_SECONDS
            if not self._worth(receiver, messages) and now < due:
                until = due if ends is None else min(due, ends)
                receiver.changed.wait(max(min(until - now, _POLL_SECONDS), 0))
            if receiver.failure is not None and not receiver.runs:
                raise receiver.failure
            return self._worth(receiver, messages) or (bool(receiver.runs) and time.monotonic() >= due)

    def _worth(self, receiver: Receiver, messages: int) -> bool:
        """Whether a batch is full, or nothing more can come before one is acknowledged."""
        return (
            receiver.waiting >= messages
            or receiver.waiting_bytes >= self._settings.batch_bytes
            or (receiver.waiting > 0 and receiver.unacknowledged >= receiver.prefetch)
        )

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
            if receiver.changed.wait_for(lambda: receiver.received != before or not receiver.connected, quiet):
                return False
        again = self._read_all(receiver.ready())
        return again and receiver.received == before and receiver.generation == generation and receiver.connected

    def _read_all(self, ready: int | None) -> bool:
        """Whether nothing is left, as far as the broker's count of messages tells.

        A stream counts all it holds, read or not; its last offset is that count less one, or greater where its
        oldest messages have been dropped.
        """
        return ready is not None and ready <= ((self._next_offset or 0) if self._is_stream else 0)

    def _nothing(self) -> Batch:
        return Batch(bodies=pa.array([], pa.binary()), segments=())

    def _batch(self, runs: Sequence[Run]) -> Batch:
        bodies = [body for run in runs for body in run.bodies]
        heads = [head for run in runs for head in run.heads]
        tags = [tag for run in runs for tag in run.tags]
        size = sum(run.bytes for run in runs)
        numbers = self._numbers(heads) if self._is_stream else None
        position = self._position(runs[-1].generation, tags[-1], numbers)
        pairs = enumerate(zip(heads, bodies, strict=True))
        odd = [i for i, (head, body) in pairs if not body or body.isspace() or not is_plain(head)]
        rejects, ids = self._read_odd(odd, heads, bodies, numbers)
        if rejects:
            kept = [i for i in range(len(bodies)) if i not in rejects]
            bodies, heads = [bodies[i] for i in kept], [heads[i] for i in kept]
            numbers = None if numbers is None else [numbers[i] for i in kept]
            ids = {n: ids[i] for n, i in enumerate(kept) if i in ids}

        def headers(row: int) -> Mapping[str, Any]:
            return {**headers_of(heads[row]), **({"message_id": ids[row]} if ids.get(row) else {})}

        return Batch(
            bodies=pa.array(bodies, pa.binary() if sum(map(len, bodies)) < 1 << 31 else pa.large_binary()),
            segments=self._segments(numbers)
            if numbers is not None
            else (Segment(start=0, place=self._key, number=None),),
            positions=(position,),
            rejects=tuple(rejects.values()),
            bytes=size,
            message_ids=self._ids(heads, ids),
            headers=headers,
        )

    def _position(self, generation: int, tag: int, numbers: Sequence[int] | None) -> Position:
        if numbers is None:
            return Position(source=self.name, key=self._key, state={"connection": generation, "tag": tag})
        with self._lock:
            self._tags[numbers[-1]] = (generation, tag)
        self._next_offset = numbers[-1] + 1
        return Position(source=self.name, key=self._key, state={"offset": numbers[-1]})

    def _numbers(self, heads: Sequence[bytes]) -> list[int]:
        return [offset if (offset := stream_offset(head)) is not None else -1 for head in heads]

    def _segments(self, numbers: Sequence[int]) -> list[Segment]:
        """One for each stretch of offsets without a gap."""
        starts = [i for i, number in enumerate(numbers) if not i or number != numbers[i - 1] + 1]
        return [Segment(start=i, place=self._key, number=numbers[i]) for i in starts]

    def _read_odd(
        self, odd: Sequence[int], heads: Sequence[bytes], bodies: list[bytes], numbers: Sequence[int] | None
    ) -> tuple[dict[int, Reject], dict[int, str | None]]:
        """Undo compression and CloudEvents in place; what is no record becomes a reject, as it came."""
        rejects: dict[int, Reject] = {}
        ids: dict[int, str | None] = {}
        for i in odd:
            try:
                if not bodies[i].strip():
                    raise Unreadable("invalid_json", "an empty message")
                message: Message = read_message(
                    heads[i], bodies[i], cloudevents=self._settings.cloudevents, max_bytes=self._max_record_bytes
                )
                bodies[i], ids[i] = message.body, message.id
            except Unreadable as e:
                origin = self._key if numbers is None else f"{self._key}#{numbers[i]}"
                rejects[i] = Reject(
                    body=bodies[i], code=e.code, reason=e.reason, origin=origin, headers=headers_of(heads[i])
                )
        return rejects, ids

    def _ids(self, heads: Sequence[bytes], ids: Mapping[int, str | None]) -> pa.StringArray | None:
        if not self._message_ids:
            return None
        found = [ids[i] if i in ids else _text(message_id(head)) for i, head in enumerate(heads)]
        return pa.array(found, pa.string())


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("utf-8", "replace")
