"""The values of AMQP 1.0 (its part 1.6), of which messages are made."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

_DEEPEST = 32
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ValueReader:
    """Decodes one value after the other. Whatever cannot be is a ``ValueError``."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self.at = at

    def descriptor(self) -> int:
        """The number behind a 0x00."""
        if self._take(1) != b"\0":
            raise ValueError("no section of an AMQP 1.0 message")
        number = self.value()
        if not isinstance(number, int):
            raise ValueError(f"a section {number!r} of an AMQP 1.0 message, which is not known")
        return number

    def value(self, deep: int = 0) -> Any:
        """The next value."""
        return self._of(self._take(1)[0], deep)

    def _of(self, kind: int, deep: int) -> Any:
        if deep > _DEEPEST:
            raise ValueError("AMQP values nested too deep")
        if kind == 0:
            self.value(deep + 1)
            return self.value(deep + 1)
        if kind in _FIXED:
            size, made = _FIXED[kind]
            return made(self._take(size))
        if kind in (0xA0, 0xA1, 0xA3, 0xB0, 0xB1, 0xB3):
            raw = self._take(self._size(kind))
            try:
                return raw if kind & 0x0F == 0 else raw.decode()
            except UnicodeDecodeError as e:
                raise ValueError(f"a text that is no UTF-8: {e}") from e
        if kind in (0xC0, 0xC1, 0xD0, 0xD1, 0xE0, 0xF0):
            end = self._size(kind) + self.at
            count = int.from_bytes(self._take(1 if kind < 0xD0 or kind == 0xE0 else 4), "big")
            if count > len(self._data):
                raise ValueError("an AMQP list longer than its message")
            if kind >= 0xE0:
                constructor = self._take(1)[0]
                items = [self._of(constructor, deep + 1) for _ in range(count)]
            else:
                items = [self.value(deep + 1) for _ in range(count)]
            if self.at != end:
                raise ValueError("an AMQP list that is not as long as it says")
            if kind in (0xC1, 0xD1):
                return {_key(k): v for k, v in zip(items[::2], items[1::2], strict=False)}
            return items
        raise ValueError(f"0x{kind:02x} starts no AMQP value")

    def _size(self, kind: int) -> int:
        wide = kind & 0xF0 in (0xB0, 0xD0, 0xF0)
        return int.from_bytes(self._take(4 if wide else 1), "big")

    def _take(self, size: int) -> bytes:
        taken = self._data[self.at : self.at + size]
        if len(taken) != size:
            raise ValueError("an AMQP value that ends too early")
        self.at += size
        return taken


def _key(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _unsigned(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


def _signed(raw: bytes) -> int:
    return int.from_bytes(raw, "big", signed=True)


def _moment(raw: bytes) -> datetime | str:
    milliseconds = _signed(raw)
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return str(milliseconds)


_FIXED: Mapping[int, tuple[int, Callable[[bytes], Any]]] = {
    0x40: (0, lambda _: None),
    0x41: (0, lambda _: True),
    0x42: (0, lambda _: False),
    0x43: (0, lambda _: 0),
    0x44: (0, lambda _: 0),
    0x45: (0, lambda _: []),
    0x50: (1, _unsigned),
    0x51: (1, _signed),
    0x52: (1, _unsigned),
    0x53: (1, _unsigned),
    0x54: (1, _signed),
    0x55: (1, _signed),
    0x56: (1, lambda raw: raw != b"\0"),
    0x60: (2, _unsigned),
    0x61: (2, _signed),
    0x70: (4, _unsigned),
    0x71: (4, _signed),
    0x72: (4, lambda raw: struct.unpack(">f", raw)[0]),
    0x73: (4, lambda raw: raw.decode("utf-32-be", "replace")),
    0x74: (4, bytes.hex),
    0x80: (8, _unsigned),
    0x81: (8, _signed),
    0x82: (8, lambda raw: struct.unpack(">d", raw)[0]),
    0x83: (8, _moment),
    0x84: (8, bytes.hex),
    0x94: (16, bytes.hex),
    0x98: (16, lambda raw: str(uuid.UUID(bytes=raw))),
}
