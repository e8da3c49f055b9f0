"""Splits AMQP 1.0 messages of which most are alike: those of a stream mostly have the same head but for their ids."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from penstock.sources.rabbitmq.amqp1 import is_plain, short_id, split_message

_LONG_DATA = b"\x00\x53\x75\xb0"
"""Begins a body of more than 255 bytes (AMQP 1.0, 3.2.6); its size follows, in four bytes."""
_size_at = Struct(">I").unpack_from


class _Outline(NamedTuple):
    """A plain head around its id: what stands before it, and after it up to the body's size, with the place of each.

    The sizes of all that comes before the body are in these bytes. A message that has them at the same places has its
    parts there too, and is plain, whatever its id says.
    """

    before: bytes
    after: bytes
    after_at: int
    body_at: int


_NONE = _Outline(b"", b"", 0, 1 << 62)


class AlikeMessages:
    """Splits messages by the outline of the last one that was split with care."""

    def __init__(self) -> None:
        self._outline = _NONE

    def split(self, messages: Sequence[bytes]) -> tuple[list[bytes], list[bytes], bool]:
        """The heads and the bodies, as :func:`~penstock.sources.rabbitmq.amqp1.split_message` has them, and whether all
        are plain, as :func:`~penstock.sources.rabbitmq.amqp1.is_plain` says."""
        heads: list[bytes] = []
        bodies: list[bytes] = []
        plain = True
        before, after, after_at, body_at = self._outline
        size_at, head_bytes = body_at - 4, body_at - 4 - len(_LONG_DATA)
        for message in messages:
            if (
                len(message) >= body_at
                and message.startswith(before)
                and message.startswith(after, after_at)
                and _size_at(message, size_at)[0] == len(message) - body_at
            ):
                heads.append(message[:head_bytes])
                bodies.append(message[body_at:])
                continue
            head, body = split_message(message)
            heads.append(head)
            bodies.append(body)
            if is_plain(head):
                before, after, after_at, body_at = self._outline = _outline(head, message)
                size_at, head_bytes = body_at - 4, body_at - 4 - len(_LONG_DATA)
            else:
                plain = False
        return heads, bodies, plain


def _outline(head: bytes, message: bytes) -> _Outline:
    """The outline of a message with a plain head; of another body than one long section of data, none."""
    if not message.startswith(_LONG_DATA, len(head)):
        return _NONE
    start, end = short_id(head) or (len(head), len(head))
    return _Outline(head[:start], head[end:] + _LONG_DATA, end, len(head) + len(_LONG_DATA) + 4)
