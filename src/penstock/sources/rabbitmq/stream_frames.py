"""What the frames of RabbitMQ's stream protocol hold (PROTOCOL.adoc of the plugin ``rabbitmq_stream``).

A frame is ``size:4 key:2 version:2 content``; the content of a request, and of a response to it, starts with a
correlation id. Integers are big endian. A text is its length as two bytes and itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from struct import pack

from penstock.sources.rabbitmq.stream_errors import OK, Refused

DECLARE_PUBLISHER, PUBLISH, CONFIRM, SUBSCRIBE, DELIVER, CREDIT, UNSUBSCRIBE = 1, 2, 3, 7, 8, 9, 12
METADATA, METADATA_UPDATE, PEER_PROPERTIES, SASL_HANDSHAKE, SASL_AUTHENTICATE = 15, 16, 17, 18, 19
TUNE, OPEN, CLOSE, HEARTBEAT = 20, 21, 22, 23


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: its key, without the mark of a response, and its content."""

    key: int
    response: bool
    content: bytes


class Fields:
    """Reads one field after the other."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def integer(self, size: int) -> int:
        """An unsigned integer of so many bytes."""
        self._at += size
        return int.from_bytes(self._content[self._at - size : self._at], "big")

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
        pairs = {}
        while self._at < len(self._content):
            name = self.text()
            pairs[name] = self.text()
        return pairs


def text(value: str) -> bytes:
    """A text as it is sent."""
    encoded = value.encode()
    return pack(">H", len(encoded)) + encoded


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
    if code != OK:
        raise Refused(code, f"stream {name}")
    copies = [fields.integer(2) for _ in range(fields.integer(4))]
    return [brokers[reference] for reference in (*copies, leader) if reference in brokers]
