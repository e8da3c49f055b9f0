"""Queues for tests: settings, publishing, and reading a source until it has given enough."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import pika

from penstock.ports import Batch
from penstock.project import RabbitMQ
from penstock.sources.rabbitmq.amqp import connected, declare_topology
from penstock.sources.rabbitmq.queued import QueueSource
from penstock.sources.rabbitmq.source import RabbitMQSource
from penstock.sources.rabbitmq.stream_source import StreamProtocolSource
from penstock.testing.proxy import Proxy

PATIENCE_SECONDS = 60.0
_numbers = itertools.count(1)


def a_queue(url: str, queue_type: str = "quorum", **said: Any) -> RabbitMQ:
    """Settings of a queue of the caller's own."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    return RabbitMQ.model_validate({"type": "rabbitmq", "url": url, "queue": name, "queue_type": queue_type, **said})


def declare(settings: RabbitMQ) -> None:
    """Make the queue."""
    with connected(settings) as connection:
        declare_topology(connection.channel(), settings)


def publish(
    settings: RabbitMQ, bodies: Sequence[bytes], *, exchange: str = "", key: str | None = None, **said: Any
) -> None:
    """Declare the queue and put messages on it, confirmed."""
    declare(settings)
    properties_of: Any = pika.BasicProperties
    with connected(settings) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        properties = properties_of(**{"delivery_mode": 2, **said})
        for body in bodies:
            channel.basic_publish(exchange, settings.queue if key is None else key, body, properties, mandatory=True)


def numbered(start: int, end: int, *, size: int = 0) -> list[bytes]:
    """Records that hold their number."""
    filling = "x" * size
    return [b'{"n":%d,"x":"%s"}' % (n, filling.encode()) for n in range(start, end)]


def waiting(settings: RabbitMQ) -> int:
    """How many messages are ready in the queue, as another connection sees it."""
    with connected(settings) as connection:
        return int(connection.channel().queue_declare(settings.queue, passive=True).method.message_count or 0)


@contextmanager
def reading(settings: RabbitMQ, known: Any = None, **said: Any) -> Iterator[tuple[Any, Iterator[Batch]]]:
    """A source, and the batches it gives."""
    kind: type[QueueSource[Any]] = RabbitMQSource if settings.protocol == "amqp" else StreamProtocolSource
    with kind("queue", settings, **said) as source:
        yield source, source.read(known or {})


def bodies_of(batches: Sequence[Batch]) -> list[bytes]:
    """All records, in order."""
    return [body for batch in batches for body in batch.bodies.to_pylist()]


def take(batches: Iterator[Batch], records: int) -> list[Batch]:
    """Read until there are so many records."""
    found: list[Batch] = []
    give_up = time.monotonic() + PATIENCE_SECONDS
    while sum(len(b.bodies) + len(b.rejects) for b in found) < records:
        batch = next(batches)
        if not batch.empty:
            found.append(batch)
        assert time.monotonic() < give_up, f"{sum(len(b.bodies) for b in found)} of {records} came"
    return found


def drain(settings: RabbitMQ, *, acknowledge: bool = True, known: Any = None, **said: Any) -> list[Batch]:
    """Read all there is."""
    with reading(settings, known, until_empty=True, **said) as (source, batches):
        found = []
        for batch in batches:
            if not batch.empty:
                found.append(batch)
                if acknowledge:
                    source.acknowledge(batch.acknowledgements)
    return found


def refuse_an_attempt(proxy: Proxy, source: QueueSource[Any]) -> None:
    """Break the way to the broker, and mend it once the source has tried in vain to connect again."""
    proxy.refuse()
    proxy.reset()
    until(lambda: not source.connected, "its connection broke")
    broke_at = source.last_error_at
    until(lambda: source.last_error_at != broke_at, "an attempt was refused")
    proxy.accept()


def until(holds: Callable[[], bool], what: str | Callable[[], str]) -> None:
    """Wait for something to be so."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < give_up, what if isinstance(what, str) else what()
        time.sleep(0.02)


PERSISTENT = b"".join(cast("Any", pika.BasicProperties)(delivery_mode=2).encode())
