"""A publisher by the stream protocol, for tests: plain messages and sub-batches, as they are told."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from struct import pack, unpack_from
from typing import Any

from penstock.project import RabbitMQ
from penstock.sources.rabbitmq import stream_frames as wire
from penstock.sources.rabbitmq.stream_connection import StreamConnection
from penstock.testing.rabbitmq import PrivateRabbitMQ
from tests.support.queues import PATIENCE_SECONDS, a_queue

_PUBLISHER = b"\0"
_AT_ONCE = 500


def a_stream(broker: PrivateRabbitMQ, **said: Any) -> RabbitMQ:
    """Settings of a stream of the caller's own, read by the stream protocol."""
    return a_queue(broker.url, "stream", protocol="stream", stream_port=broker.stream_port, **said)


def data(body: bytes) -> bytes:
    """An AMQP 1.0 message of one data section."""
    return b"\0\x53\x75\xb0" + pack(">I", len(body)) + body


def with_id(number: int, body: bytes) -> bytes:
    """The same with a message id and a content type, laid out as the broker does with what comes by AMQP 0-9-1."""
    items = b"\xa1\x08%08d@@@@@\xa3\x10application/json@@@@@@" % number
    return b"\0\x53\x73\xc0" + bytes([len(items) + 1, 13]) + items + data(body)


def publish_entries(settings: RabbitMQ, entries: Sequence[bytes]) -> None:
    """Publish messages as they are, confirmed. The stream has to be there."""
    _publish(settings, [pack(">I", len(entry)) + entry for entry in entries])


def publish_batches(settings: RabbitMQ, batches: Sequence[Sequence[bytes]], compression: int, pack_: Any) -> None:
    """Publish each list of messages as one sub-batch, packed by ``pack_``."""
    entries = []
    for messages in batches:
        plain = b"".join(pack(">I", len(message)) + message for message in messages)
        packed = pack_(plain)
        entries.append(
            pack(">BHII", 0x80 | compression << 4, len(messages), len(plain), len(packed)) + packed,
        )
    _publish(settings, entries)


def _publish(settings: RabbitMQ, entries: Sequence[bytes]) -> None:
    with closing(StreamConnection(settings)) as connection:
        stream = wire.text(settings.queue)
        connection.request(wire.DECLARE_PUBLISHER, _PUBLISHER + wire.text("") + stream, "publisher")
        confirmed = 0
        give_up = time.monotonic() + PATIENCE_SECONDS
        for start in range(0, len(entries), _AT_ONCE):
            some = entries[start : start + _AT_ONCE]
            said = b"".join(pack(">Q", start + i) + entry for i, entry in enumerate(some))
            connection.send(wire.PUBLISH, _PUBLISHER + pack(">I", len(some)) + said)
            while confirmed < start + len(some):
                for frame in connection.frames(1.0):
                    if frame.key == wire.CONFIRM:
                        confirmed += unpack_from(">I", frame.content, 1)[0]
                assert time.monotonic() < give_up, f"{confirmed} of {len(entries)} confirmed"
