"""What is in a batch of a queue: the records of its messages, and what acknowledges them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from penstock.ports import Batch, Position, Reject, Segment
from penstock.sources.rabbitmq.cloudevents import Unreadable
from penstock.sources.rabbitmq.inbox import Run
from penstock.sources.rabbitmq.message_headers import headers_of
from penstock.sources.rabbitmq.messages import Message, read_message

if TYPE_CHECKING:
    from pika.spec import BasicProperties

    from penstock.project import RabbitMQ


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What acknowledges a batch: the connection it came over, and its last message's delivery tag; of a stream, the
    offset, too."""

    connection: int
    tag: int
    offset: int | None


class Heads(Protocol):
    """How a protocol writes what comes beside a body."""

    def is_plain(self, head: bytes) -> bool:
        """Whether a body is what it seems: neither compressed nor, by its properties, a CloudEvent."""
        ...

    def message_id(self, head: bytes) -> bytes | None:
        """The message id."""
        ...

    def properties(self, head: bytes) -> BasicProperties:
        """All of it. A ``ValueError`` when it cannot be decoded."""
        ...


class Batches:
    """Makes batches of the messages of one queue.

    Args:
        source: the source's name, under which positions are kept.
        message_ids: whether batches carry the messages' ids.
        max_record_bytes: a body larger than this when decompressed is quarantined as it came.
    """

    def __init__(
        self, source: str, settings: RabbitMQ, heads: Heads, *, message_ids: bool, max_record_bytes: int
    ) -> None:
        self.place = f"{'stream' if settings.queue_type == 'stream' else 'queue'} {settings.queue}"
        """Where its records come from, and the key of a stream's position."""
        self._source = source
        self._settings = settings
        self._heads = heads
        self._message_ids = message_ids
        self._max_record_bytes = max_record_bytes

    def batch(self, runs: Sequence[Run], numbers: Sequence[int] | None) -> Batch:
        """The batch of some messages, with their offsets when they have any."""
        bodies = list(chain.from_iterable(run.bodies for run in runs))
        heads = list(chain.from_iterable(run.heads for run in runs))
        size = sum(run.bytes for run in runs)
        last = None if numbers is None else numbers[-1]
        delivery = Delivery(connection=runs[-1].generation, tag=runs[-1].tags[-1], offset=last)
        odd = [i for i, body in enumerate(bodies) if not body or body.isspace()]
        if not all(run.plain for run in runs):
            plain = self._heads.is_plain
            odd = sorted({*odd, *(i for i, head in enumerate(heads) if not plain(head))})
        rejects, ids, came = self._read_odd(odd, heads, bodies, numbers)
        if rejects:
            kept = [i for i in range(len(bodies)) if i not in rejects]
            came = {n: came[i] for n, i in enumerate(kept) if i in came}
            bodies, heads = [bodies[i] for i in kept], [heads[i] for i in kept]
            numbers = None if numbers is None else [numbers[i] for i in kept]
            ids = {n: ids[i] for n, i in enumerate(kept) if i in ids}

        def headers(row: int) -> Mapping[str, Any]:
            came_beside = headers_of(heads[row], self._heads.properties)
            other = ids.get(row) is not None and ids[row] != came_beside.get("message_id")
            return {**came_beside, **({"id": ids[row]} if other else {})}

        return Batch(
            bodies=pa.array(bodies, pa.binary() if sum(map(len, bodies)) < 1 << 31 else pa.large_binary()),
            segments=self._segments(numbers)
            if numbers is not None
            else (Segment(start=0, place=self.place, number=None),),
            positions=() if last is None else (Position(source=self._source, key=self.place, state={"offset": last}),),
            acknowledgements=(delivery,),
            rejects=tuple(rejects.values()),
            bytes=size,
            message_ids=self._ids(heads, ids),
            headers=headers,
            came=came,
        )

    def _segments(self, numbers: Sequence[int]) -> list[Segment]:
        """One for each stretch of offsets without a gap."""
        if numbers and numbers == list(range(numbers[0], numbers[0] + len(numbers))):
            return [Segment(start=0, place=self.place, number=numbers[0])]
        starts = [i for i, number in enumerate(numbers) if not i or number != numbers[i - 1] + 1]
        return [Segment(start=i, place=self.place, number=numbers[i]) for i in starts]

    def _read_odd(
        self, odd: Sequence[int], heads: Sequence[bytes], bodies: list[bytes], numbers: Sequence[int] | None
    ) -> tuple[dict[int, Reject], dict[int, str | None], dict[int, bytes]]:
        """Undo compression and CloudEvents in place; what is no record becomes a reject, as it came.

        Returns:
            The rejects, the ids of the other messages, and their bodies as they came where something was undone.
        """
        rejects: dict[int, Reject] = {}
        ids: dict[int, str | None] = {}
        came: dict[int, bytes] = {}
        for i in odd:
            try:
                if not bodies[i].strip():
                    raise Unreadable("invalid_json", "an empty message")
                message: Message = read_message(
                    heads[i],
                    bodies[i],
                    cloudevents=self._settings.cloudevents,
                    max_bytes=self._max_record_bytes,
                    properties=self._heads.properties,
                )
                if message.body is not bodies[i]:
                    came[i] = bodies[i]
                bodies[i], ids[i] = message.body, message.id
            except Unreadable as e:
                origin = self.place if numbers is None else f"{self.place}#{numbers[i]}"
                headers = {**headers_of(heads[i], self._heads.properties), "form": "message"}
                rejects[i] = Reject(body=bodies[i], code=e.code, reason=e.reason, origin=origin, headers=headers)
        return rejects, ids, came

    def _ids(self, heads: Sequence[bytes], ids: Mapping[int, str | None]) -> pa.StringArray | None:
        if not self._message_ids:
            return None
        message_id = self._heads.message_id
        texts = [ids[i] if i in ids else _text(message_id(head)) for i, head in enumerate(heads)]
        return pa.array(texts, pa.string())


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("utf-8", "replace")
