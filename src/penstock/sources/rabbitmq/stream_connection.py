"""A connection by RabbitMQ's stream protocol, as much of it as a reader needs."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from struct import Struct, pack
from typing import TYPE_CHECKING

from penstock.sources.rabbitmq import stream_frames as wire
from penstock.sources.rabbitmq.amqp import tls_context
from penstock.sources.rabbitmq.stream_errors import CODES, OK, Lost, Refused
from penstock.sources.rabbitmq.stream_frames import Fields, Frame, text, texts

if TYPE_CHECKING:
    from penstock.project import RabbitMQ

_RESPONSE = 0x8000
_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 15.0
_RECEIVE_BYTES = 1 << 18
_LARGEST_FRAME = 1 << 31
_SIZE = Struct(">I")
_HEAD = Struct(">HH")
_ANSWER = Struct(">IH")


class StreamConnection:
    """A connection, opened and logged in. For one thread, except :meth:`wake`.

    Args:
        address: where, instead of where the settings say.

    Raises:
        OSError, Lost, Refused: there is none.
        SourceError: the TLS files cannot be read.
    """

    def __init__(self, settings: RabbitMQ, *, address: tuple[str, int] | None = None) -> None:
        self._requests = 0
        self._waiting: deque[Frame] = deque()
        self._rest = b""
        self._partial: bytearray | None = None
        self._filled = 0
        self._waker, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self.closed_by = ""
        """What the broker said when it closed the connection."""
        self._heartbeat_seconds = 0.0
        try:
            self._socket = _connect(settings, address or (settings.host, settings.stream_port))
        except BaseException:
            self._waker.close()
            self._woken.close()
            raise
        try:
            self._socket.setblocking(False)
            self._poll = select.poll()
            self._poll.register(self._socket, select.POLLIN)
            self._poll.register(self._woken, select.POLLIN)
            self._sent = self._heard = time.monotonic()
            self.properties = self._log_in(settings)
        except BaseException:
            self.drop()
            raise

    def _log_in(self, settings: RabbitMQ) -> Mapping[str, str]:
        """What has to be said first; returns what the broker says of itself."""
        ours = {"product": "penstock", "connection_name": settings.consumer_name}
        properties = self.request(wire.PEER_PROPERTIES, texts(ours), "greeting")
        self.request(wire.SASL_HANDSHAKE, b"", "greeting")
        secret = f"\0{settings.user}\0{settings.password.get_secret_value()}".encode()
        self.request(wire.SASL_AUTHENTICATE, text("PLAIN") + pack(">I", len(secret)) + secret, f"user {settings.user}")
        tune = self._expect(wire.TUNE)
        frame_max, heartbeat = Struct(">II").unpack_from(tune.content)
        heartbeat = settings.heartbeat_seconds
        self.send(wire.TUNE, pack(">II", frame_max, heartbeat), response=True)
        self._heartbeat_seconds = float(heartbeat)
        properties += self.request(wire.OPEN, text(settings.vhost), f"vhost {settings.vhost}")[4:]
        return Fields(properties).mapping()

    def send(self, key: int, content: bytes, *, response: bool = False) -> None:
        """Send one frame."""
        data = memoryview(pack(">IHH", len(content) + 4, key | (_RESPONSE if response else 0), 1) + content)
        give_up = time.monotonic() + _ANSWER_SECONDS
        while data:
            try:
                data = data[self._socket.send(data) :]
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                if time.monotonic() > give_up:
                    raise Lost(f"nothing could be sent for {_ANSWER_SECONDS:g} s") from None
                select.select([], [self._socket], [], 0.1)
        self._sent = time.monotonic()

    def request(self, key: int, content: bytes, what: str) -> bytes:
        """Send a request and wait for its response; returns what follows its code.

        Raises:
            Refused: with ``what`` in its text.
        """
        number = self._requests = self._requests + 1
        self.send(key, pack(">I", number) + content)
        frame = self._expect(key)
        if key == wire.METADATA:
            return frame.content[4:]
        _, code = _ANSWER.unpack_from(frame.content)
        if code != OK:
            raise Refused(code, what)
        return frame.content[_ANSWER.size :]

    def ask(self, key: int, content: bytes) -> int:
        """Send a request whose response comes among the frames; returns its correlation id."""
        self._requests += 1
        self.send(key, pack(">I", self._requests) + content)
        return self._requests

    def frames(self, seconds: float) -> Sequence[Frame]:
        """What has come, after a wait of up to ``seconds``, or until :meth:`wake`. Heartbeats are kept up.

        Raises:
            Lost: the connection ended, or was silent for too long.
        """
        if not self._waiting:
            self._receive(seconds)
        frames = list(self._waiting)
        self._waiting.clear()
        return frames

    def wake(self) -> None:
        """Make :meth:`frames` return. From any thread."""
        with suppress(OSError):  # full: it wakes anyway; closed: nobody sleeps
            self._waker.send(b"!")

    def close(self) -> None:
        """Say so to the broker, as far as it listens, and close."""
        with suppress(OSError, Lost):
            self.ask(wire.CLOSE, pack(">H", OK) + text("done"))
        self.drop()

    def drop(self) -> None:
        """Close without a word. Harmless again."""
        for one in (self._socket, self._waker, self._woken):
            with suppress(OSError):
                one.close()

    def _expect(self, key: int) -> Frame:
        """Wait for an answer; what else comes meanwhile is kept for :meth:`frames`."""
        give_up = time.monotonic() + _ANSWER_SECONDS
        kept: list[Frame] = []
        while True:
            while self._waiting:
                frame = self._waiting.popleft()
                if frame.key == key and (frame.response or key == wire.TUNE):
                    self._waiting.extendleft(reversed(kept))
                    return frame
                kept.append(frame)
            if time.monotonic() > give_up:
                raise Lost(f"no answer in {_ANSWER_SECONDS:g} s")
            self._receive(0.2)

    def _receive(self, seconds: float) -> None:
        self._keep_alive()
        pending = isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()
        if self._heartbeat_seconds:
            seconds = min(seconds, self._heartbeat_seconds / 4)
        ready = [] if pending else self._poll.poll(1000 * seconds)
        if any(number == self._woken.fileno() for number, _ in ready):
            self._woken.recv(1 << 12)
        if not pending and not any(number == self._socket.fileno() for number, _ in ready):
            return
        try:
            if self._partial is None:
                data = self._socket.recv(_RECEIVE_BYTES)
                received = len(data)
            else:
                received = self._socket.recv_into(memoryview(self._partial)[self._filled :])
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        if not received:
            raise Lost(self.closed_by or "the broker closed the connection")
        self._heard = time.monotonic()
        if self._partial is None:
            self._cut(self._rest + data if self._rest else data)
            return
        self._filled += received
        if self._filled == len(self._partial):
            whole, self._partial = bytes(self._partial), None
            self._cut(whole)

    def _cut(self, data: bytes) -> None:
        """Cut frames out of what was received; a large one that is not all there gets memory of its own."""
        start, end = 0, len(data)
        while end - start >= 4:
            (size,) = _SIZE.unpack_from(data, start)
            stop = start + 4 + size
            if size < 4 or size > _LARGEST_FRAME:
                raise Lost(f"a frame of {size} bytes: this is no stream protocol")
            if stop > end:
                if size > _RECEIVE_BYTES:
                    self._partial, self._filled = bytearray(4 + size), end - start
                    self._partial[: end - start] = data[start:]
                    start = end
                break
            key, _ = _HEAD.unpack_from(data, start + 4)
            self._take(Frame(key & ~_RESPONSE, bool(key & _RESPONSE), data[start + 8 : stop]))
            start = stop
        self._rest = data[start:]

    def _take(self, frame: Frame) -> None:
        if frame.key == wire.CLOSE and not frame.response:
            fields = Fields(frame.content)
            number, code = fields.integer(4), fields.integer(2)
            self.closed_by = f"the broker closed the connection: {fields.text() or f'code {code}'}"
            with suppress(OSError):
                self.send(wire.CLOSE, _ANSWER.pack(number, OK), response=True)
            if code in CODES and not self._heartbeat_seconds:
                raise Refused(code, "connecting")
            raise Lost(self.closed_by)
        if frame.key != wire.HEARTBEAT:
            self._waiting.append(frame)

    def _keep_alive(self) -> None:
        if not self._heartbeat_seconds:
            return
        now = time.monotonic()
        if now - self._sent > self._heartbeat_seconds / 3:
            self.send(wire.HEARTBEAT, b"")
        # the broker sends one where it has sent nothing for half of it, and looks each half
        if now - self._heard > 1.5 * self._heartbeat_seconds and not self._poll.poll(0):
            raise Lost(f"nothing heard for {now - self._heard:.0f} s")


def _connect(settings: RabbitMQ, address: tuple[str, int]) -> socket.socket:
    context = tls_context(settings)
    plain = socket.create_connection(address, timeout=_CONNECT_SECONDS)
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return plain if context is None else context.wrap_socket(plain, server_hostname=address[0])
    except BaseException:
        plain.close()
        raise
