"""RabbitMQ's stream protocol, as much of it as a reader needs (PROTOCOL.adoc of the plugin ``rabbitmq_stream``).

A frame is ``size:4 key:2 version:2 content``; the content of a request, and of a response to it, starts with a
correlation id. Integers are big endian. A text is its length as two bytes and itself.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from struct import Struct, pack
from typing import TYPE_CHECKING

from penstock.errors import SourceError
from penstock.sources.rabbitmq.amqp import tls_context

if TYPE_CHECKING:
    from penstock.project import RabbitMQ

DECLARE_PUBLISHER, PUBLISH, CONFIRM, SUBSCRIBE, DELIVER, CREDIT, UNSUBSCRIBE = 1, 2, 3, 7, 8, 9, 12
METADATA, METADATA_UPDATE, PEER_PROPERTIES, SASL_HANDSHAKE, SASL_AUTHENTICATE = 15, 16, 17, 18, 19
TUNE, OPEN, CLOSE, HEARTBEAT = 20, 21, 22, 23
_RESPONSE = 0x8000
_OK = 1
NOT_THERE, UNAVAILABLE = 2, 6
_CODES = {
    NOT_THERE: "there is no such stream",
    UNAVAILABLE: "the stream is not available",
    7: "it does not take passwords",
    8: "wrong user or password",
    9: "wrong user or password",
    11: "this user may connect from the broker's own machine alone",
    12: "no access to the vhost",
    16: "no permission to read the stream",
    17: "a precondition failed",
}
_FIXES = {
    NOT_THERE: "make it, or let declare: true make it",
    7: "let the broker take the SASL mechanism PLAIN",
    8: "mend user: and password:",
    9: "mend user: and password:",
    11: "mend user: and password:",
    12: "mend vhost:, or make it: rabbitmqctl add_vhost; or grant the permissions: rabbitmqctl set_permissions",
    16: "grant the permissions: rabbitmqctl set_permissions",
    17: "see RabbitMQ's log",
}
_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 15.0
_RECEIVE_BYTES = 1 << 18
_LARGEST_FRAME = 1 << 31
_SIZE = Struct(">I")
_HEAD = Struct(">HH")
_ANSWER = Struct(">IH")


class Lost(Exception):
    """The connection is of no more use."""


class Refused(Exception):
    """The broker answered a request with another code than OK."""

    def __init__(self, code: int, request: str) -> None:
        super().__init__(f"{request}: {_CODES.get(code, f'code {code}')}")
        self.code = code

    @property
    def permanent(self) -> bool:
        """Whether trying again is of no use until somebody mends something."""
        return self.code in _FIXES


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: its key, without the mark of a response, and its content."""

    key: int
    response: bool
    content: bytes


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
        said = {"product": "penstock", "connection_name": settings.consumer_name}
        properties = self.request(PEER_PROPERTIES, texts(said), "greeting")
        self.request(SASL_HANDSHAKE, b"", "greeting")
        secret = f"\0{settings.user}\0{settings.password.get_secret_value()}".encode()
        self.request(SASL_AUTHENTICATE, text("PLAIN") + pack(">I", len(secret)) + secret, f"user {settings.user}")
        tune = self._expect(TUNE)
        frame_max, heartbeat = Struct(">II").unpack_from(tune.content)
        heartbeat = settings.heartbeat_seconds
        self.send(TUNE, pack(">II", frame_max, heartbeat), response=True)
        self._heartbeat_seconds = float(heartbeat)
        properties += self.request(OPEN, text(settings.vhost), f"vhost {settings.vhost}")[4:]
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
        if key == METADATA:
            return frame.content[4:]
        _, code = _ANSWER.unpack_from(frame.content)
        if code != _OK:
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
        found = list(self._waiting)
        self._waiting.clear()
        return found

    def wake(self) -> None:
        """Make :meth:`frames` return. From any thread."""
        with suppress(OSError):  # full: it wakes anyway; closed: nobody sleeps
            self._waker.send(b"!")

    def close(self) -> None:
        """Say so to the broker, as far as it listens, and close."""
        with suppress(OSError, Lost):
            self.ask(CLOSE, pack(">H", _OK) + text("done"))
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
                if frame.key == key and (frame.response or key == TUNE):
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
        if frame.key == CLOSE and not frame.response:
            fields = Fields(frame.content)
            number, code = fields.integer(4), fields.integer(2)
            self.closed_by = f"the broker closed the connection: {fields.text() or f'code {code}'}"
            with suppress(OSError):
                self.send(CLOSE, _ANSWER.pack(number, _OK), response=True)
            if code in _CODES and not self._heartbeat_seconds:
                raise Refused(code, "connecting")
            raise Lost(self.closed_by)
        if frame.key != HEARTBEAT:
            self._waiting.append(frame)

    def _keep_alive(self) -> None:
        if not self._heartbeat_seconds:
            return
        now = time.monotonic()
        if now - self._sent > self._heartbeat_seconds / 3:
            self.send(HEARTBEAT, b"")
        # the broker sends one where it has sent nothing for half of it, and looks each half
        if now - self._heard > 1.5 * self._heartbeat_seconds and not self._poll.poll(0):
            raise Lost(f"nothing heard for {now - self._heard:.0f} s")


class Fields:
    """Reads one field after the other."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def integer(self, size: int) -> int:
        """An unsigned integer of so many bytes."""
        found = int.from_bytes(self._content[self._at : self._at + size], "big")
        self._at += size
        return found

    def text(self) -> str:
        """A text; empty where it is null."""
        size = self.integer(2)
        if size == 0xFFFF:
            return ""
        self._at += size
        return self._content[self._at - size : self._at].decode("utf-8", "replace")

    def mapping(self) -> dict[str, str]:
        """All pairs of texts to the end, behind their count."""
        self._at += 4
        found = {}
        while self._at < len(self._content):
            name = self.text()
            found[name] = self.text()
        return found


def text(value: str) -> bytes:
    """A text as it is sent."""
    said = value.encode()
    return pack(">H", len(said)) + said


def texts(pairs: Mapping[str, str]) -> bytes:
    """Pairs of texts, behind their count."""
    return pack(">I", len(pairs)) + b"".join(text(k) + text(v) for k, v in pairs.items())


def replicas(answer: bytes) -> list[tuple[str, int]]:
    """Where a stream can be read, by the answer to a metadata request for it: the copies first, its leader last.

    Raises:
        Refused: there is no such stream, or nothing of it.
    """
    fields = Fields(answer)
    brokers = {}
    for _ in range(fields.integer(4)):
        reference, host, port = fields.integer(2), fields.text(), fields.integer(4)
        brokers[reference] = (host, port)
    fields.integer(4)
    name, code, leader = fields.text(), fields.integer(2), fields.integer(2)
    if code != _OK:
        raise Refused(code, f"stream {name}")
    copies = [fields.integer(2) for _ in range(fields.integer(4))]
    return [brokers[reference] for reference in (*copies, leader) if reference in brokers]


def stream_error(e: BaseException, settings: RabbitMQ) -> SourceError:
    """What a failure means, where, and what to do about it."""
    if isinstance(e, SourceError):
        return e
    where = f"rabbitmq-stream{'' if settings.tls is None else '+tls'}://{settings.host}:{settings.stream_port}/"
    where += "" if settings.vhost == "/" else settings.vhost
    if isinstance(e, Refused):
        return SourceError(f"RabbitMQ refused: {e}", where=where, fix=_FIXES.get(e.code, "see RabbitMQ's log"))
    if isinstance(e, ssl.SSLError):
        return SourceError(
            f"TLS failed: {e.reason or e}", where=where, fix="mend tls:, its ca and certificate, and stream_port:"
        )
    if isinstance(e, Lost | OSError):
        return SourceError(
            f"RabbitMQ is away: {e}",
            where=where,
            fix="start it, enable its plugin rabbitmq_stream, or mend host: and stream_port:",
        )
    return SourceError(f"receiving broke: {e or type(e).__name__}", where=where, fix="see RabbitMQ's log")


def is_lasting(e: BaseException) -> bool:
    """Whether trying again is of no use until somebody mends something."""
    return isinstance(e, SourceError | ssl.SSLError) or (isinstance(e, Refused) and e.permanent)


def _connect(settings: RabbitMQ, address: tuple[str, int]) -> socket.socket:
    context = tls_context(settings)
    wire = socket.create_connection(address, timeout=_CONNECT_SECONDS)
    try:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return wire if context is None else context.wrap_socket(wire, server_hostname=address[0])
    except BaseException:
        wire.close()
        raise
