"""Receives a queue's messages in a thread of its own, which keeps the connection alive whatever its reader does."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pika
from pika import exceptions

from penstock.errors import SourceError
from penstock.sources.amqp import connection_parameters, declare_topology, is_permanent, source_error
from penstock.sources.frames import BulkConnection, DeliveryDecoder

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

    from penstock.project import RabbitMQ

WAITING_BYTES = 64 << 20
"""How much may wait for the reader before the socket is read no further."""
_FIRST_BACKOFF_SECONDS = 0.1
_LAST_BACKOFF_SECONDS = 30.0
_ANSWER_SECONDS = 15.0
"""A broker that is starting may take a declaration of a quorum queue and never answer it."""
_STEADY_SECONDS = 5.0
"""A connection that lived so long was not a failed attempt."""


@dataclass(slots=True)
class Run:
    """Messages received one after the other over one connection: bodies, properties, delivery tags."""

    generation: int
    at: float
    bodies: list[bytes] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    tags: list[int] = field(default_factory=list)
    bytes: int = 0

    def take(self, messages: int, most_bytes: int) -> Run:
        """Cut off the first messages: up to so many, and so many bytes; one at least."""
        if len(self.tags) <= messages and self.bytes <= most_bytes:
            taken = Run(self.generation, self.at, self.bodies, self.heads, self.tags, self.bytes)
            self.bodies, self.heads, self.tags, self.bytes = [], [], [], 0
            return taken
        end = size = 0
        for body in self.bodies[:messages]:
            if end and size + len(body) > most_bytes:
                break
            end, size = end + 1, size + len(body)
        taken = Run(self.generation, self.at, self.bodies[:end], self.heads[:end], self.tags[:end], size)
        del self.bodies[:end], self.heads[:end], self.tags[:end]
        self.bytes -= size
        return taken


class Receiver:
    """Consumes one queue until closed, over as many connections as it takes.

    A connection that ends, or a consumer that is cancelled, is made again after a while, longer each time up to
    30 s. What was received and not taken by then is thrown away: the broker delivers it again.

    Args:
        first_generation: the number of the first connection; one reader's connections have all another.
        patience_seconds: how long the first connection may take before :meth:`failure` says that it failed.
    """

    def __init__(self, settings: RabbitMQ, *, first_generation: int = 1, patience_seconds: float = 30.0) -> None:
        self.settings = settings
        self.changed = threading.Condition()
        """Notified whenever something comes; hold it to look at :attr:`waiting`."""
        self.runs: deque[Run] = deque()
        self.waiting = 0
        self.waiting_bytes = 0
        self.generation = first_generation - 1
        self.connected = False
        self.connections = 0
        self.received = 0
        self.unacknowledged = 0
        self.expected = 0
        """What :attr:`received` should come to by the messages that waited when this connection was made."""
        self.last_error = ""
        self.failure: SourceError | None = None
        self.offset: Callable[[], int | None] = lambda: None
        """For a stream queue, where to read on; None for its start."""
        self._prefetch = settings.prefetch
        self._patience_seconds = patience_seconds
        self._closing = threading.Event()
        self._wishes: deque[Callable[[BlockingChannel], None]] = deque()
        self._connection: pika.BlockingConnection | None = None
        self._bulk: BulkConnection | None = None
        self._paused = False
        self._acknowledged = 0
        self._thread = threading.Thread(target=self._work, name=f"receive {settings.queue}", daemon=True)

    @property
    def prefetch(self) -> int:
        """How many messages the broker sends ahead: as set, or fewer where those were too many to hold."""
        return self._prefetch

    def start(self) -> None:
        """Begin, and return at once."""
        self._thread.start()

    def take(self, messages: int, most_bytes: int) -> list[Run]:
        """The first messages that wait, of one connection, up to so many and so many bytes."""
        taken: list[Run] = []
        with self.changed:
            while self.runs and messages > 0 and (most_bytes > 0 or not taken):
                first = self.runs[0]
                if taken and (first.generation != taken[0].generation or len(first.bodies[0]) > most_bytes):
                    break
                part = first.take(messages, most_bytes)
                if not first.tags:
                    self.runs.popleft()
                taken.append(part)
                messages -= len(part.tags)
                most_bytes -= part.bytes
                self.waiting -= len(part.tags)
                self.waiting_bytes -= part.bytes
            bulk = self._bulk if self._paused and self.waiting_bytes <= WAITING_BYTES // 2 else None
            if bulk is not None:
                self._paused = False
        if bulk is not None:  # whatever the thread is at: it may be waiting for an answer that is not read
            with suppress(exceptions.AMQPError, RuntimeError, OSError):
                bulk.ioloop.add_callback_threadsafe(bulk.resume)
        return taken

    def acknowledge(self, generation: int, tag: int) -> None:
        """Acknowledge all up to ``tag``, unless the connection it came over is gone: then it comes again."""

        def do(channel: BlockingChannel) -> None:
            if generation == self.generation and tag > self._acknowledged:
                channel.basic_ack(tag, multiple=True)
                with self.changed:
                    self.unacknowledged -= tag - self._acknowledged
                    self._acknowledged = tag
                    self.changed.notify_all()

        self._wish(do)

    def ready(self, timeout_seconds: float = 5.0) -> int | None:
        """How many messages wait in the queue, as the broker says; None when it does not answer."""
        answer: list[int] = []
        answered = threading.Event()

        def ask(channel: BlockingChannel) -> None:
            try:
                if not self._paused and self._bulk is not None:
                    with self._bulk.answered_within(_ANSWER_SECONDS):
                        answer.append(_ready(channel, self.settings.queue))
            finally:
                answered.set()

        self._wish(ask)
        answered.wait(timeout_seconds)
        return answer[0] if answer else None

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Send the acknowledgements in hand, and leave; what is not acknowledged goes back to the queue."""
        self._closing.set()
        self._wish(lambda _: None)
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)

    def _wish(self, wish: Callable[[BlockingChannel], None]) -> None:
        """Have something done in the connection's thread; dropped when there is no connection."""
        connection = self._connection
        if connection is None:
            return
        self._wishes.append(wish)
        try:
            connection.add_callback_threadsafe(_awake)
        except exceptions.AMQPError:
            return

    def _work(self) -> None:
        backoff = _FIRST_BACKOFF_SECONDS
        give_up = time.monotonic() + self._patience_seconds
        while not self._closing.is_set():
            started = time.monotonic()
            try:
                self._consume()
            except Exception as e:  # noqa: BLE001 - pika raises many kinds, and giving up helps against none
                error = source_error(e, self.settings)
                self.last_error = str(error)
                if not self.connections and (is_permanent(e) or time.monotonic() > give_up):
                    self._fail(error)
                    return
            finally:
                self._forget()
            if time.monotonic() - started > _STEADY_SECONDS:
                backoff = _FIRST_BACKOFF_SECONDS
            self._closing.wait(backoff * random.uniform(0.5, 1.0))  # noqa: S311 - spreads reconnects
            backoff = min(2 * backoff, _LAST_BACKOFF_SECONDS)

    def _fail(self, error: SourceError) -> None:
        with self.changed:
            self.failure = error
            self.changed.notify_all()

    def _consume(self) -> None:
        """Connect, consume and do what is wished until closed or lost."""
        settings = self.settings
        connection = pika.BlockingConnection(connection_parameters(settings), _impl_class=_BULK)
        try:
            bulk = cast("BulkConnection", connection._impl)  # noqa: SLF001 - it has no other way in
            lost: list[str] = []
            with self.changed:
                self.generation += 1
                self._acknowledged = self.unacknowledged = 0
                self._paused = False
                self._bulk = bulk
            self._wishes.clear()
            with bulk.answered_within(_ANSWER_SECONDS):
                channel = connection.channel()
                self.expected = self.received + declare_topology(channel, settings)
                channel.basic_qos(prefetch_count=self._prefetch)
                channel.add_on_cancel_callback(lambda _: lost.append("the broker cancelled the consumer"))
                bulk.take_deliveries(self._taken)
                self._connection = connection  # before the first message, which may be acknowledged at once
                arguments = self._consume_arguments()
                channel.basic_consume(settings.queue, _unused, consumer_tag=settings.consumer_name, arguments=arguments)
            with self.changed:
                self.connected = True
                self.connections += 1
                self.changed.notify_all()
            while not self._closing.is_set() and not lost and channel.is_open:
                connection.process_data_events(time_limit=1.0)
                self._do_wishes(channel)
            if self._closing.is_set():
                self._do_wishes(channel)
            else:
                reason = channel._closing_reason  # noqa: SLF001 - it is told nowhere else
                raise _Lost(lost[0]) if lost else reason or _Lost("the channel closed")
        finally:
            self._connection = None
            if connection.is_open:
                with suppress(exceptions.AMQPError):
                    connection.close()

    def _consume_arguments(self) -> dict[str, Any] | None:
        if self.settings.queue_type != "stream":
            return None
        offset = self.offset()
        return {"x-stream-offset": "first" if offset is None else offset}

    def _do_wishes(self, channel: BlockingChannel) -> None:
        while self._wishes and channel.is_open:
            self._wishes.popleft()(channel)

    def _taken(self, decoder: DeliveryDecoder) -> None:
        """Called in the connection's thread with what has just come."""
        bodies, heads, tags = decoder.bodies, decoder.heads, decoder.tags
        decoder.bodies, decoder.heads, decoder.tags = [], [], []
        run = Run(self.generation, time.monotonic(), bodies, heads, tags, sum(map(len, bodies)))
        with self.changed:
            self.runs.append(run)
            self.waiting += len(tags)
            self.waiting_bytes += run.bytes
            self.received += len(tags)
            self.unacknowledged += len(tags)
            if self.waiting_bytes > WAITING_BYTES and not self._paused and self._bulk is not None:
                self._paused = True
                self._bulk.pause()
                # on the next connection no more is sent ahead than may wait
                self._prefetch = max(1, min(self._prefetch, self.waiting * WAITING_BYTES // self.waiting_bytes // 2))
            self.changed.notify_all()

    def _forget(self) -> None:
        """The connection is gone, and what it brought will come again."""
        with self.changed:
            self.connected = False
            self.generation += 1
            self.runs.clear()
            self.waiting = self.waiting_bytes = self.unacknowledged = 0
            self._paused = False
            self.changed.notify_all()


class _Lost(Exception):
    """There is a connection, and nothing is consumed over it any more."""


_BULK: Any = BulkConnection


def _ready(channel: BlockingChannel, queue: str) -> int:
    return int(channel.queue_declare(queue, passive=True).method.message_count or 0)


def _awake() -> None:
    """Makes the connection's thread look at what is wished."""


def _unused(*_: Any) -> None:
    """Deliveries do not come this way."""
