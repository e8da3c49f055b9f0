"""AMQP 0-9-1 frames in bulk: deliveries are cut out of the received bytes in one tight loop.

pika builds about ten objects for each delivery and calls back for each. This takes about a quarter of the
processor time (``python -m benchmarks.queue``); all that is not part of a delivery, pika still handles itself.

A delivery is three kinds of frames on one channel, with none of another kind between them (AMQP 0-9-1, 4.2.6):
the method Basic.Deliver, a content header with the body's size and the properties, and as many body frames as
the size takes, none when it is zero. A frame is ``type:1 channel:2 size:4 payload 0xCE``.
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from struct import Struct
from typing import Any

from pika import SelectConnection
from pika.exceptions import AMQPConnectionError, InvalidFrameError

from penstock.sources.rabbitmq.amqp_fields import properties

__all__ = ["BulkConnection", "DeliveryDecoder", "is_plain", "message_id", "properties", "stream_offset"]

_FRAME = Struct(">BHI")
_LONG = Struct(">Q")
_DELIVER = b"\x00\x3c\x00\x3c"
_METHOD, _HEADER, _BODY = 1, 2, 3
_END = 0xCE
_RECEIVE_BYTES = 1 << 17

_CONTENT_TYPE, _CONTENT_ENCODING, _HEADERS, _MESSAGE_ID = 0x8000, 0x4000, 0x2000, 0x0080
_OCTETS = (0x1000, 0x0800)
"""delivery-mode and priority"""
_SHORT_TEXTS = (0x0400, 0x0200, 0x0100)
"""correlation-id, reply-to and expiration"""


class DeliveryDecoder:
    """Cuts deliveries out of received bytes, wherever those were split.

    What is complete stands in ``bodies``, ``heads`` (the properties as they came, see :func:`message_id` and
    :mod:`penstock.sources.rabbitmq.amqp_fields`) and ``tags``; whoever takes them clears them.

    Args:
        pass_on: gets every other frame, whole and in its turn.
    """

    def __init__(self, pass_on: Callable[[bytes], None]) -> None:
        self.bodies: list[bytes] = []
        self.heads: list[bytes] = []
        self.tags: list[int] = []
        self._pass_on = pass_on
        self._rest = b""
        self._tag = 0
        self._head = b""
        self._parts: list[bytes] = []
        self._missing = -1

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            InvalidFrameError: these are no frames; the connection is of no more use.
        """
        if self._rest:
            data = self._rest + data
        frame, start, end = _FRAME.unpack_from, 0, len(data)
        while end - start >= 8:
            kind, _, size = frame(data, start)
            stop = start + 7 + size
            if stop >= end:
                break
            if data[stop] != _END:
                raise InvalidFrameError("a frame without its end")
            if kind == _BODY and self._missing > 0:
                if size == self._missing and not self._parts:
                    self._complete(data[start + 7 : stop])
                else:
                    self._add(data[start + 7 : stop])
            elif kind == _HEADER and self._tag:
                (self._missing,) = _LONG.unpack_from(data, start + 11)
                self._head = data[start + 19 : stop]
                if not self._missing:
                    self._complete(b"")
            elif kind == _METHOD and data.startswith(_DELIVER, start + 7):
                (self._tag,) = _LONG.unpack_from(data, start + 12 + data[start + 11])
            else:
                self._pass_on(data[start : stop + 1])
            start = stop + 1
        self._rest = data[start:]

    def _complete(self, body: bytes) -> None:
        self.bodies.append(body)
        self.heads.append(self._head)
        self.tags.append(self._tag)
        self._tag, self._missing = 0, -1

    def _add(self, part: bytes) -> None:
        self._parts.append(part)
        self._missing -= len(part)
        if self._missing < 0:
            raise InvalidFrameError("a body longer than its header says")
        if not self._missing:
            body = b"".join(self._parts)
            self._parts.clear()
            self._complete(body)


class BulkConnection(SelectConnection):
    """A connection of pika's that hands all deliveries to ``taken`` instead of the channel's callbacks."""

    _decoder: DeliveryDecoder | None = None
    _taken: Callable[[DeliveryDecoder], None]

    def take_deliveries(self, taken: Callable[[DeliveryDecoder], None]) -> None:
        """From now on call ``taken`` after all received bytes, in the connection's thread."""
        self._taken = taken
        self._decoder = DeliveryDecoder(super()._on_data_available)
        transport: Any = self._transport
        transport._MAX_RECV_BYTES = _RECEIVE_BYTES
        rest, self._frame_buffer = self._frame_buffer, b""
        self._decoder.feed(rest)

    @contextmanager
    def answered_within(self, seconds: float) -> Iterator[None]:
        """End the connection if what is asked of the broker in here takes longer: pika would wait forever."""
        silent = AMQPConnectionError(f"no answer in {seconds:g} s")
        timer = self._adapter_call_later(seconds, lambda: self._terminate_stream(silent))
        try:
            yield
        finally:
            if self.is_open:
                self._adapter_remove_timeout(timer)

    def pause(self) -> None:
        """Read no more from the socket; what has to be sent, heartbeats too, is sent nevertheless."""
        transport: Any = self._transport
        if transport is not None and "_sigint_safe_recv" not in vars(transport):
            transport._nbio.remove_reader(transport._sock.fileno())
            secured = isinstance(transport._sock, ssl.SSLSocket)
            transport._sigint_safe_recv = _secured_would_block if secured else _would_block

    def resume(self) -> None:
        """Read on."""
        transport: Any = self._transport
        if transport is not None and "_sigint_safe_recv" in vars(transport):
            del transport._sigint_safe_recv
            transport._nbio.set_reader(transport._sock.fileno(), transport._on_socket_readable)
            transport._on_socket_readable()  # TLS may hold bytes that the socket will not tell of again

    def _on_data_available(self, data_in: bytes) -> None:
        if self._decoder is None:
            super()._on_data_available(data_in)
            return
        self.bytes_received += len(data_in)  # a sign of life for the heartbeat's check
        self._decoder.feed(data_in)
        if self._decoder.tags:
            self._taken(self._decoder)


def _would_block(*_: Any) -> bytes:
    raise BlockingIOError(errno.EAGAIN, "paused")


def _secured_would_block(*_: Any) -> bytes:
    raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "paused")


def is_plain(head: bytes) -> bool:
    """Whether a body is what it seems: neither compressed nor, by its properties, a CloudEvent."""
    return not head[0] & 0x40 and b"cloudevents" not in head.lower()


def message_id(head: bytes) -> bytes | None:
    """The message id, without decoding the rest."""
    flags = head[0] << 8 | head[1]
    if not flags & _MESSAGE_ID:
        return None
    at = _after_headers(head, flags)
    at += sum(1 for bit in _OCTETS if flags & bit)
    for bit in _SHORT_TEXTS:
        if flags & bit:
            at += 1 + head[at]
    return head[at + 1 : at + 1 + head[at]]


def stream_offset(head: bytes) -> int | None:
    """The header ``x-stream-offset``, by which a stream queue numbers its messages."""
    flags = head[0] << 8 | head[1]
    if not flags & _HEADERS:
        return None
    end = _after_headers(head, flags)
    if head[end - 25 : end - 8] == b"\x0fx-stream-offsetl" and head[end - 29 : end - 25] == b"\x00\x00\x00\x19":
        return int.from_bytes(head[end - 8 : end], "big")
    offset = (properties(head).headers or {}).get("x-stream-offset")
    return offset if isinstance(offset, int) else None


def _after_headers(head: bytes, flags: int) -> int:
    """Where the properties after the headers start."""
    at = 2
    for bit in (_CONTENT_TYPE, _CONTENT_ENCODING):
        if flags & bit:
            at += 1 + head[at]
    if flags & _HEADERS:
        at += 4 + int.from_bytes(head[at : at + 4], "big")
    return at
