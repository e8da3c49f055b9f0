"""AMQP 1.0 messages, the form in which streams keep them, also those published over AMQP 0-9-1.

A message is sections (AMQP 1.0, 3.2), each a number behind ``0x00 0x53`` and a list, a map or bytes: delivery
annotations, message annotations, properties, application properties, then the body, which is here bytes in one or
several *data* sections, or a text or bytes as *value*. All before the body is the *head*; it is left as it came, and
read by :func:`is_plain`, :func:`message_id` and, in full, :func:`properties`.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any, cast

from pika.spec import BasicProperties

from penstock.sources.rabbitmq.amqp1_values import ValueReader

_DATA, _SEQUENCE, _VALUE = 0x75, 0x76, 0x77
_ANNOTATIONS, _PROPERTIES, _APPLICATION = 0x72, 0x73, 0x74
_BROKEN = b"\xff"
"""Starts a head that is none: what is wrong follows. No section starts so."""
_long = struct.Struct(">I").unpack_from
_NAMES = (
    "message_id",
    "user_id",
    "to",
    "subject",
    "reply_to",
    "correlation_id",
    "content_type",
    "content_encoding",
    "absolute_expiry_time",
    "timestamp",
)
_OF_0_9_1 = {
    "x-basic-type": "type",
    "x-basic-app-id": "app_id",
    "x-basic-priority": "priority",
    "x-basic-expiration": "expiration",
    "x-basic-delivery-mode": "delivery_mode",
}
"""Where the broker puts the properties of AMQP 0-9-1 that 1.0 has not."""
_ROUTING = ("x-routing-key", "x-exchange")


def split_message(message: bytes) -> tuple[bytes, bytes]:
    """The head and the body. What is no AMQP 1.0 message is all body: as it is, when it cannot be meant for one."""
    at = 0
    try:
        while message[at] == 0 and message[at + 1] == 0x53:
            section, kind = message[at + 2], message[at + 3]
            if section == _DATA:
                if kind == 0xA0:
                    start = at + 5
                    end = start + message[at + 4]
                elif kind == 0xB0:
                    start = at + 8
                    end = start + _long(message, at + 4)[0]
                else:
                    break
                if end != len(message):
                    break
                return message[:at], message[start:]
            if kind == 0xC0 or kind == 0xC1:
                at += 5 + message[at + 4]
            elif kind == 0xD0 or kind == 0xD1:
                at += 8 + _long(message, at + 4)[0]
            else:
                break
    except (IndexError, struct.error):
        pass
    return _split_carefully(message)


def is_plain(head: bytes) -> bool:
    """Whether a body is what it seems: neither compressed nor, by its properties, a CloudEvent."""
    if not head:
        return True
    if head[0] or b"cloudevents" in head.lower():
        return False
    try:
        at = _section(head, _PROPERTIES)
    except ValueError:
        return False
    if at is None:
        return True
    start, end = at
    after = _after_text(head, start)
    # behind the message id, most messages of a stream are alike
    return _is_plain_list(head[start:end]) if after is None else _is_plain_rest(head[after:end])


def message_id(head: bytes) -> bytes | None:
    """The message id, without decoding the rest; None when there is none."""
    if not head or head[0]:
        return None
    try:
        at = _section(head, _PROPERTIES)
        if at is None:
            return None
        start, end = at
        after = _after_text(head, start)
        if after is not None:
            return head[start + (2 if head[start] == 0xA1 else 5) : after]
        id_ = properties(head).message_id if end > start else None
    except ValueError:
        return None
    return None if id_ is None else str(id_).encode()


def short_id(head: bytes) -> tuple[int, int] | None:
    """Where the text of a message id of up to 255 bytes stands, from its first byte to after its last; None where there
    is no such id."""
    if not head or head[0]:
        return None
    try:
        at = _section(head, _PROPERTIES)
    except ValueError:
        return None
    if at is None or at[1] < at[0] + 2 or head[at[0]] != 0xA1:
        return None
    start = at[0] + 2
    end = start + head[start - 1]
    return (start, end) if end <= at[1] <= len(head) else None


def properties(head: bytes) -> BasicProperties:
    """All properties, under the names they have in AMQP 0-9-1; application properties are headers.

    Raises:
        ValueError: they cannot be decoded.
    """
    if head.startswith(_BROKEN):
        raise ValueError(head[1:].decode())
    decoded: Any = BasicProperties()  # type: ignore[no-untyped-call]
    headers: dict[str, Any] = {}
    for section, value in _sections(head):
        if section == _PROPERTIES and isinstance(value, list):
            for name, item in zip(_NAMES, value, strict=False):
                if item is None:
                    continue
                if hasattr(decoded, name):
                    setattr(decoded, name, item if name == "timestamp" else _text(item))
                else:
                    headers[name] = item
        elif section in (_ANNOTATIONS, _APPLICATION) and isinstance(value, dict):
            for key, item in value.items():
                known = _OF_0_9_1.get(str(key))
                if known:
                    setattr(decoded, known, item)
                elif key not in _ROUTING or section == _APPLICATION:
                    headers[str(key)] = item
    decoded.headers = headers or None
    return cast("BasicProperties", decoded)


def _split_carefully(message: bytes) -> tuple[bytes, bytes]:
    """Any layout: several data sections, a value, long descriptors, no body, a footer, no AMQP at all."""
    if message[:1] not in (b"\0", b""):
        return b"", message
    try:
        body: list[bytes] = []
        head = 0
        for section, value, start, end in _walk(message):
            if section == _DATA and isinstance(value, bytes):
                body.append(value)
            elif section == _VALUE and isinstance(value, str | bytes):
                body.append(value.encode() if isinstance(value, str) else value)
            elif section in (_VALUE, _SEQUENCE, _DATA):
                raise ValueError("the body of an AMQP 1.0 message that is neither bytes nor text")
            elif not body and head == start:
                head = end
        return message[:head], b"".join(body)
    except ValueError as e:
        return _BROKEN + str(e).encode(), message


def _section(head: bytes, wanted: int) -> tuple[int, int] | None:
    """Where the items of a list section stand; None where there is none."""
    at = 0
    try:
        while at < len(head):
            if head[at + 1] != 0x53:
                return _section_carefully(head, wanted)
            section, kind = head[at + 2], head[at + 3]
            if kind == 0xC0 or kind == 0xC1:
                start, end = at + 6, at + 5 + head[at + 4]
            elif kind == 0xD0 or kind == 0xD1:
                start, end = at + 12, at + 8 + _long(head, at + 4)[0]
            elif kind == 0x45:
                start = end = at + 4
            else:
                return _section_carefully(head, wanted)
            if section == wanted:
                return start, end
            at = end
    except (IndexError, struct.error):
        pass
    return None


def _section_carefully(head: bytes, wanted: int) -> tuple[int, int] | None:
    for section, _, start, end in _walk(head):
        if section == wanted:
            value = ValueReader(head, start)
            value.descriptor()
            kind = head[value.at]
            return value.at + (3 if kind == 0xC0 else 9 if kind == 0xD0 else 1), end
    return None


def _after_text(head: bytes, at: int) -> int | None:
    """Where a text ends; None where there is none."""
    kind = head[at] if at < len(head) else 0x40
    if kind == 0xA1:
        return at + 2 + head[at + 1]
    return at + 5 + int.from_bytes(head[at + 1 : at + 5], "big") if kind == 0xB1 else None


@lru_cache(1024)
def _is_plain_rest(rest: bytes) -> bool:
    return _is_plain_list(b"\x40" + rest)


@lru_cache(1024)
def _is_plain_list(items: bytes) -> bool:
    """Whether among properties there is no content encoding, the eighth."""
    reader = ValueReader(items, 0)
    encoding = None
    try:
        for _ in range(8):
            if reader.at >= len(items):
                return True
            encoding = reader.value()
    except ValueError:
        return False
    return encoding is None


def _sections(head: bytes) -> list[tuple[int, Any]]:
    return [(section, value) for section, value, _, _ in _walk(head)]


def _walk(message: bytes) -> list[tuple[int, Any, int, int]]:
    """All sections: number, value, start and end."""
    sections = []
    reader = ValueReader(message, 0)
    while reader.at < len(message):
        start = reader.at
        section = reader.descriptor()
        sections.append((section, reader.value(), start, reader.at))
    return sections


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
