"""Receives a stream queue's messages by the stream protocol."""

from __future__ import annotations

import threading
import time
from struct import pack
from typing import TYPE_CHECKING

import pika

from penstock.errors import SourceError
from penstock.sources.rabbitmq import stream_frames as wire
from penstock.sources.rabbitmq.alike import AlikeMessages
from penstock.sources.rabbitmq.amqp import declare
from penstock.sources.rabbitmq.amqp import is_permanent as is_permanent_by_amqp
from penstock.sources.rabbitmq.amqp import source_error as error_by_amqp
from penstock.sources.rabbitmq.chunks import BadChunk, Chunk, read_chunk
from penstock.sources.rabbitmq.inbox import Inbox, Run
from penstock.sources.rabbitmq.stream_connection import StreamConnection
from penstock.sources.rabbitmq.stream_errors import Lost, is_lasting, stream_error
from penstock.sources.rabbitmq.stream_frames import Frame

if TYPE_CHECKING:
    from penstock.project import RabbitMQ

_FIRST, _LAST, _AT = 1, 2, 4
_SUBSCRIPTION = 0
_MOST_CREDIT = 64
_EMPTY_SECONDS = 2.0
"""A stream whose last chunk did not come in so long has none."""


class StreamReceiver(Inbox):
    """Reads a stream from an offset on.

    The broker sends a chunk for each credit it has. It gets so many that what waits for the reader stays about at a
    batch's bytes and two batches' messages, reckoned by the largest chunk that came of late; one chunk more where that
    is not enough.

    Args:
        offset: where to read on; None for the start.
    """

    def __init__(
        self, settings: RabbitMQ, *, offset: int | None, first_generation: int = 1, patience_seconds: float = 30.0
    ) -> None:
        super().__init__(settings, first_generation=first_generation, patience_seconds=patience_seconds)
        self.offset = offset
        """The one after the last that was taken."""
        self._most_bytes = settings.batch_bytes
        self._received_to: int | None = None
        self._credit = 0
        self._largest = 1 << 20
        self._connection: StreamConnection | None = None
        self._probe = 0
        self._probing = False
        self._asked = threading.Event()
        self._answered = threading.Event()
        self._last: int | None = None
        self._alike = AlikeMessages()

    @property
    def halted(self) -> bool:
        return False  # nothing has to be acknowledged, and a batch is full before all that may wait is there

    def take(self, messages: int, most_bytes: int) -> list[Run]:
        with self.changed:
            taken = self._take(messages, most_bytes)
            if taken:
                self.offset = taken[-1].tags[-1] + 1
            wanting = self._wanted() > 0
        connection = self._connection
        if wanting and connection is not None:
            connection.wake()
        return taken

    def last_offset(self, timeout_seconds: float = _EMPTY_SECONDS) -> int | None:
        """The offset of the stream's last message, -1 when it has none; None when the broker does not answer."""
        connection = self._connection
        if connection is None or not self.connected:
            return None
        generation = self.generation
        self._answered.clear()
        self._asked.set()
        connection.wake()
        self._await(self._answered, timeout_seconds)
        if self.generation != generation:
            return None
        return self._last if self._answered.is_set() else -1

    def _wake(self) -> None:
        connection = self._connection
        if connection is not None:
            connection.wake()

    def _explained(self, e: Exception) -> tuple[SourceError, bool]:
        if isinstance(e, pika.exceptions.AMQPError):
            return error_by_amqp(e, self.settings), is_permanent_by_amqp(e)
        error = stream_error(e, self.settings)
        if isinstance(e, BadChunk) and e.lasting:
            self._fail(error)
        return error, is_lasting(e)

    def _consume(self) -> None:
        settings = self.settings
        if settings.declare:
            declare(settings)
        connection = self._nearest(StreamConnection(settings))
        try:
            with self.changed:
                self.generation += 1
                self._credit = 0
                self._probing = False
                self._received_to = self.offset
            self._connection = connection
            if self.offset and self._last_now(connection) + 1 < self.offset:
                # its offsets only grow: this is another stream of that name, made since
                with self.changed:
                    self.offset = self._received_to = None
            self._subscribe(connection)
            self._is_connected()
            while not self._closing.is_set():
                if self._asked.is_set():
                    self._asked.clear()
                    self._begin_probe(connection)
                for frame in connection.frames(1.0):
                    self._taken(connection, frame)
                self._give_credit(connection)
        finally:
            self._connection = None
            connection.close()

    def _nearest(self, connection: StreamConnection) -> StreamConnection:
        """This connection, or one to a node that has a copy of the stream, where this one's has none."""
        try:
            stream = pack(">I", 1) + wire.text(self.settings.queue)
            places = wire.replicas(connection.request(wire.METADATA, stream, "stream"))
            broker = connection.properties
            here = (broker.get("advertised_host", ""), broker.get("advertised_port", ""))
            if not places or here in [(host, str(port)) for host, port in places]:
                return connection
        except BaseException:
            connection.close()
            raise
        connection.close()
        trouble: Exception = Lost("no node has a copy of the stream")
        for place in places:
            try:
                return StreamConnection(self.settings, address=place)
            except (OSError, Lost) as e:
                trouble = e
        raise trouble

    def _subscribe(self, connection: StreamConnection) -> None:
        where = pack(">H", _FIRST) if self.offset is None else pack(">HQ", _AT, self.offset)
        self._credit = self._wanted()
        properties = wire.texts({"name": self.settings.consumer_name})
        stream = wire.text(self.settings.queue)
        content = bytes([_SUBSCRIPTION]) + stream + where + pack(">H", self._credit) + properties
        connection.request(wire.SUBSCRIBE, content, f"stream {self.settings.queue}")

    def _last_now(self, connection: StreamConnection) -> int:
        """The last message's offset, -1 when there is none, before anything is subscribed to."""
        self._answered.clear()
        self._begin_probe(connection)
        give_up = time.monotonic() + _EMPTY_SECONDS
        while not self._answered.is_set() and time.monotonic() < give_up and not self._closing.is_set():
            for frame in connection.frames(0.1):
                self._taken(connection, frame)
        if not self._answered.is_set():
            self._end_probe(connection)
            return -1
        assert self._last is not None
        return self._last

    def _begin_probe(self, connection: StreamConnection) -> None:
        """Ask for the last chunk alone: no other command tells the last offset on all versions."""
        self._end_probe(connection)
        self._probe = self._probe % 250 + 1
        content = bytes([self._probe]) + wire.text(self.settings.queue) + pack(">HH", _LAST, 1) + wire.texts({})
        connection.ask(wire.SUBSCRIBE, content)
        self._probing = True

    def _end_probe(self, connection: StreamConnection) -> None:
        if self._probing:
            self._probing = False
            connection.ask(wire.UNSUBSCRIBE, bytes([self._probe]))

    def _taken(self, connection: StreamConnection, frame: Frame) -> None:
        if frame.key == wire.DELIVER and not frame.response:
            chunk = read_chunk(frame.content, 1)
            if frame.content[0] == _SUBSCRIPTION:
                self._credit -= 1
                if chunk is not None:
                    self._take_chunk(chunk)
            elif frame.content[0] == self._probe and chunk is not None:
                self._last = chunk.first + chunk.records - 1
                self._answered.set()
                self._end_probe(connection)
        elif frame.key == wire.METADATA_UPDATE and not frame.response:
            raise Lost(f"stream {self.settings.queue} was deleted, or is not available")
        elif frame.key == wire.CREDIT and frame.response:
            raise Lost("the subscription is gone")

    def _take_chunk(self, chunk: Chunk) -> None:
        """Called in the connection's thread; a chunk may begin before the offset that was asked for."""
        messages = chunk.messages()
        end = chunk.first + chunk.records
        skipped = max((self._received_to or 0) - chunk.first, 0)
        if skipped:
            messages = messages[skipped:]
        self._largest = max(self._largest * 7 // 8, len(chunk.data))
        if not messages:
            return
        heads, bodies, plain = self._alike.split(messages)
        offsets = range(chunk.first + skipped, end)
        run = Run(self.generation, time.monotonic(), bodies, heads, offsets, sum(map(len, bodies)), plain)
        with self.changed:
            self._received_to = end
            self._put(run)

    def _wanted(self) -> int:
        """How many credits to give now; :attr:`changed` is held, or nothing has begun."""
        if self.waiting >= 2 * self.settings.batch_messages:
            return 0
        room = (self._most_bytes - self.waiting_bytes) // self._largest
        target = min(max(room, 1 if self.waiting_bytes < self._most_bytes else 0), _MOST_CREDIT)
        return max(target - self._credit, 0)

    def _give_credit(self, connection: StreamConnection) -> None:
        with self.changed:
            wanted = self._wanted()
            self._credit += wanted
        if wanted:
            connection.send(wire.CREDIT, pack(">BH", _SUBSCRIPTION, wanted))

    def _forget(self) -> None:
        with self.changed:
            self._credit = 0
            super()._forget()
