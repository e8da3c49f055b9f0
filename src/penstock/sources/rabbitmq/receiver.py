"""Receives a queue's messages by AMQP; the connection is kept alive whatever the reader does."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import pika
from pika import exceptions

from penstock.errors import SourceError
from penstock.sources.rabbitmq.amqp import connection_parameters, declare_topology, is_permanent, source_error
from penstock.sources.rabbitmq.frames import BulkConnection, DeliveryDecoder
from penstock.sources.rabbitmq.inbox import Inbox, Run

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

    from penstock.project import RabbitMQ

WAITING_BYTES = 64 << 20
"""How much may wait for the reader before the socket is read no further."""
_ANSWER_SECONDS = 15.0
"""A broker that is starting may take a declaration of a quorum queue and never answer it."""


class Receiver(Inbox):
    """Consumes one queue; a consumer that is cancelled is one whose connection ended."""

    def __init__(self, settings: RabbitMQ, *, first_generation: int = 1, patience_seconds: float = 30.0) -> None:
        super().__init__(settings, first_generation=first_generation, patience_seconds=patience_seconds)
        self.unacknowledged = 0
        self.expected = 0
        """What :attr:`received` should come to by the messages that waited when this connection was made."""
        self.offset: Callable[[], int | None] = lambda: None
        """For a stream queue, where to read on; None for its start."""
        self._prefetch = settings.prefetch
        self._wishes: deque[Callable[[BlockingChannel], None]] = deque()
        self._connection: pika.BlockingConnection | None = None
        self._bulk: BulkConnection | None = None
        self._paused = False
        self._acknowledged = 0
        self._waited = 0

    @property
    def halted(self) -> bool:
        return self.unacknowledged >= self._prefetch

    @property
    def prefetch(self) -> int:
        """How many messages the broker sends ahead: as set, or fewer where those were too many to hold."""
        return self._prefetch

    def take(self, messages: int, most_bytes: int) -> list[Run]:
        with self.changed:
            taken = self._take(messages, most_bytes)
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
        self._await(answered, timeout_seconds)
        if not answer:
            return None
        self._waited = answer[0]
        return answer[0]

    def left(self) -> int | None:
        """How many messages wait in the queue, as far as the broker has told, and how many are here and not
        acknowledged; None without a connection."""
        self.ready()
        return self._waited + self.unacknowledged if self.connected else None

    def _wake(self) -> None:
        self._wish(lambda _: None)

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

    def _explained(self, e: Exception) -> tuple[SourceError, bool]:
        return source_error(e, self.settings), is_permanent(e)

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
                self._waited = declare_topology(channel, settings)
                channel.basic_qos(prefetch_count=self._prefetch)
                channel.add_on_cancel_callback(lambda _: lost.append("the broker cancelled the consumer"))
                bulk.take_deliveries(self._taken)
                self._connection = connection  # before the first message, which may be acknowledged at once
            if self.holding:
                self._is_connected()
                while self.holding and not self._closing.is_set() and not lost and channel.is_open:
                    connection.process_data_events(time_limit=1.0)
                    self._do_wishes(channel)
            if self._closing.is_set():
                return
            with bulk.answered_within(_ANSWER_SECONDS):
                self.expected = self.received + self._waited
                arguments = self._consume_arguments()
                channel.basic_consume(settings.queue, _unused, consumer_tag=settings.consumer_name, arguments=arguments)
            if not self.connected:
                self._is_connected()
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
            self.unacknowledged += len(tags)
            self._put(run)
            if self.waiting_bytes > WAITING_BYTES and not self._paused and self._bulk is not None:
                self._paused = True
                self._bulk.pause()
                # on the next connection no more is sent ahead than may wait
                self._prefetch = max(1, min(self._prefetch, self.waiting * WAITING_BYTES // self.waiting_bytes // 2))

    def _forget(self) -> None:
        with self.changed:
            self.unacknowledged = 0
            self._paused = False
            super()._forget()


class _Lost(Exception):
    """There is a connection, and nothing is consumed over it any more."""


_BULK: Any = BulkConnection


def _ready(channel: BlockingChannel, queue: str) -> int:
    return int(channel.queue_declare(queue, passive=True).method.message_count or 0)


def _awake() -> None:
    """Makes the connection's thread look at what is wished."""


def _unused(*_: Any) -> None:
    """Deliveries do not come this way."""
