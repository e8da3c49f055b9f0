"""Publishes over AMQP 0-9-1, and has every message confirmed: thousands in flight, none of them forgotten.

pika waits for the confirmation of each message before it sends the next one, or builds three objects for each. Here
messages are written as the bytes of their frames, many at once, and the confirmations are counted as they come, while
pika keeps the connection.

A message is a method frame, Basic.Publish, a content header with the body's size and the properties, and body frames
up to the size agreed on (AMQP 0-9-1, 4.2.6). A frame is ``type:1 channel:2 size:4 payload 0xCE``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any, cast

import pika
from pika import spec

_FRAME = Struct(">BHI")
_HEADER = Struct(">HHQ")
_METHOD_FRAME, _HEADER_FRAME, _BODY_FRAME = 1, 2, 3
_BASIC = 60
_END = b"\xce"
_FRAME_EXTRA_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where messages go; the exchange ``""`` takes them to the queue that the key names."""

    exchange: str = ""
    key: str

    def __str__(self) -> str:
        return f"exchange {self.exchange} by key {self.key}" if self.exchange else f"queue {self.key}"


@dataclass(frozen=True, slots=True)
class Message:
    """A body, and its properties in AMQP's encoding."""

    properties: bytes
    body: bytes


class Publisher:
    """Sends messages to one route and counts what becomes of them. One thread at a time.

    Messages are mandatory: those that no queue takes come back and are counted as ``returned``. ``nacked`` are those
    that a queue refused.

    Args:
        connection: an open one, whose owner closes it.
        window: how many messages may wait for their confirmation.

    Raises:
        pika.exceptions.AMQPError: from every method, when the connection or the channel ends; the counts hold.
    """

    def __init__(self, connection: pika.BlockingConnection, route: Route, *, window: int = 2_000) -> None:
        self.sent = self.returned = self.nacked = 0
        self.reason = ""
        """Why the first message came back, in the broker's words."""
        self.window = window
        self._settled = 0
        self._first_open = 1
        self._settled_ahead: set[int] = set()
        self._connection = connection
        channel: Any = connection.channel()
        self._pump: Callable[..., None] = channel._flush_output
        """Writes what is to be written and reads what comes, until what it is given holds."""
        ready: list[Any] = []
        channel._impl.add_on_return_callback(self._on_return)
        channel._impl.confirm_delivery(self._on_confirm, callback=ready.append)
        self._pump(lambda: bool(ready))
        self._number: int = channel.channel_number
        self._impl: Any = channel._impl.connection
        self._method = self._method_frame(route)
        self._most_body_bytes: int = self._impl.params.frame_max - _FRAME_EXTRA_BYTES

    @property
    def unconfirmed(self) -> int:
        """How many of those sent the broker has not answered for."""
        return self.sent - self._settled

    @property
    def confirmed(self) -> int:
        """How many are in a queue, for good as far as that queue is durable."""
        return self._settled - self.nacked - self.returned

    def send(self, messages: Sequence[Message]) -> None:
        """Send them as soon as the window has room, fewer than it has, and return when they are written."""
        self._pump(lambda: self.unconfirmed + len(messages) <= self.window)
        frames = [part for message in messages for part in self._frames(message)]
        self.sent += len(messages)
        self._impl._output_marshaled_frames([b"".join(frames)])
        self._pump()

    def settle(self) -> None:
        """Wait until the broker has answered for every message."""
        self._pump(lambda: not self.unconfirmed)

    def wait(self, seconds: float) -> None:
        """Let time pass, and keep the connection meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._connection.process_data_events(time_limit=left)
            self._pump()

    def _on_return(self, _: Any, method: Any, *__: Any) -> None:
        self.returned += 1
        self.reason = self.reason or str(method.reply_text)

    def _on_confirm(self, frame: Any) -> None:
        """``multiple`` answers for all messages up to the tag that are still open."""
        method = frame.method
        tag = method.delivery_tag
        if method.multiple:
            before = {t for t in self._settled_ahead if t <= tag}
            count = tag + 1 - self._first_open - len(before)
            self._settled_ahead -= before
            self._first_open = tag + 1
        else:
            count = 1
            self._settled_ahead.add(tag)
        while self._first_open in self._settled_ahead:
            self._settled_ahead.remove(self._first_open)
            self._first_open += 1
        self._settled += count
        if isinstance(method, spec.Basic.Nack):
            self.nacked += count

    def _method_frame(self, route: Route) -> bytes:
        publish: Any = cast("Any", spec.Basic).Publish(exchange=route.exchange, routing_key=route.key, mandatory=True)
        payload: bytes = publish.INDEX.to_bytes(4, "big") + b"".join(publish.encode())
        return _FRAME.pack(_METHOD_FRAME, self._number, len(payload)) + payload + _END

    def _frames(self, message: Message) -> tuple[bytes, ...]:
        body, size = message.body, len(message.body)
        head = _HEADER.pack(_BASIC, 0, size) + message.properties
        start = (self._method, _FRAME.pack(_HEADER_FRAME, self._number, len(head)), head, _END)
        if not size:
            return start
        most = self._most_body_bytes
        if size <= most:
            return (*start, _FRAME.pack(_BODY_FRAME, self._number, size), body, _END)
        parts = (body[at : at + most] for at in range(0, size, most))
        frames = (piece for p in parts for piece in (_FRAME.pack(_BODY_FRAME, self._number, len(p)), p, _END))
        return (*start, *frames)
