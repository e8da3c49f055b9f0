"""From a message to the record in it: compression and CloudEvents undone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from penstock.compression import BrokenEncoding, TooLarge, decompressed
from penstock.extras import require
from penstock.sources.rabbitmq.amqp_fields import properties
from penstock.sources.rabbitmq.cloudevents import Unreadable, event_in
from penstock.sources.rabbitmq.message_headers import Properties

if TYPE_CHECKING:
    from pika.spec import BasicProperties

_LARGEST = 1 << 29
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
"""How gzip (RFC 1952, 2.3.1) and zstd (RFC 8878, 3.1.1) begin; no JSON does."""


@dataclass(frozen=True, slots=True)
class Message:
    """The record in a message, and the message's id where it says one."""

    body: bytes
    id: str | None


def read_message(
    head: bytes,
    body: bytes,
    *,
    cloudevents: Literal["data", "envelope"],
    max_bytes: int,
    properties: Properties = properties,
) -> Message:
    """Undo what was done to a record to send it.

    Args:
        head: the properties as they came.
        max_bytes: a body that grows beyond this when it is decompressed is none.
        properties: decodes ``head``.

    Raises:
        Unreadable: the encoding is broken or not known, or a CloudEvent is none.
    """
    try:
        decoded = properties(head)
    except ValueError as e:
        raise Unreadable("invalid_json", str(e)) from e
    return _read(decoded, body, cloudevents, max_bytes)


def read_kept(
    headers: Mapping[str, Any], body: bytes, *, cloudevents: Literal["data", "envelope"], max_bytes: int
) -> Message | None:
    """The record in a message that quarantine kept as it came; ``headers`` as quarantine has them.

    None when the body is the record: what was undone before it went to quarantine must not be undone twice.

    Raises:
        Unreadable: as :func:`read_message`.
        MissingLibrary: what reads messages is not installed.
    """
    encoding = headers.get("content_encoding")
    compressed = isinstance(encoding, str) and body.startswith(_COMPRESSED)
    if "part" in headers or not (headers.get("form") == "message" or compressed):
        return None
    require("rabbitmq")
    from pika.spec import BasicProperties

    kept: Any = BasicProperties()  # type: ignore[no-untyped-call]
    for name in ("content_type", "content_encoding", "message_id", "headers"):
        setattr(kept, name, headers.get(name))
    return _read(kept, body, cloudevents, max_bytes)


def readings_of(headers: Mapping[str, Any] | None, body: bytes) -> Iterator[bytes]:
    """A kept body, and the record in it where it came compressed or in an envelope: who looks for a person in it has to
    look into both."""
    yield body
    if headers is not None:
        try:
            message = read_kept(headers, body, cloudevents="data", max_bytes=_LARGEST)
        except Unreadable:
            return
        if message is not None:
            yield message.body


def _read(beside: BasicProperties, body: bytes, cloudevents: Literal["data", "envelope"], max_bytes: int) -> Message:
    body = _decoded(body, beside.content_encoding, max_bytes)
    event = event_in(beside, body, cloudevents)
    if event is not None:
        return Message(*event)
    return Message(body, beside.message_id if isinstance(beside.message_id, str) else None)


def _decoded(body: bytes, encoding: Any, max_bytes: int) -> bytes:
    """The body decompressed, never much more than ``max_bytes`` of it."""
    name = str(encoding or "").strip().lower()
    if name in ("", "identity", "utf-8", "utf8"):
        return body
    if name not in ("gzip", "x-gzip", "zstd"):
        raise Unreadable("invalid_json", f"content_encoding {encoding!r} is not known; gzip and zstd are")
    try:
        return decompressed(body, name, max_bytes)
    except TooLarge as e:
        raise Unreadable("too_large", str(e)) from None
    except BrokenEncoding as e:
        raise Unreadable("invalid_json", f"content_encoding {name}: {e}") from None
