"""The properties of an AMQP 0-9-1 message, whatever their types hold.

pika's decoder cuts fractions off floats, and gives up all properties for one time beyond year 9999 or one ``NaN``.
Types are those that RabbitMQ speaks, which are not all as in the specification (4.2.5.5): ``s`` is a short integer.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from pika.spec import BasicProperties

_DEEPEST = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def properties(head: bytes) -> BasicProperties:
    """All properties of a message. Text that is not UTF-8 is bytes, and a time that no calendar has its seconds.

    Raises:
        ValueError: they cannot be decoded.
    """
    from pika.spec import BasicProperties

    decoded: Any = BasicProperties()  # type: ignore[no-untyped-call]
    try:
        fields = _Fields(head, 2)
        flags = int.from_bytes(head[:2], "big")
        if len(head) < 2 or flags & 1:
            raise ValueError("flags that are not known")
        for place, (name, read) in enumerate(_PROPERTIES.items()):
            if flags & 0x8000 >> place:
                setattr(decoded, name, read(fields))
    except (struct.error, IndexError, ValueError, RecursionError) as e:
        raise ValueError(f"properties that are none: {e}") from e
    return cast("BasicProperties", decoded)


class _Fields:
    """Reads fields one after the other."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self.at = at

    def number(self, form: str) -> Any:
        (value,) = struct.unpack_from(form, self._data, self.at)
        self.at += struct.calcsize(form)
        return value

    def short_text(self) -> str | bytes:
        return _text(self._taken(self.number(">B")))

    def long_text(self) -> str | bytes:
        return _text(self.long_bytes())

    def long_bytes(self) -> bytes:
        return self._taken(self.number(">I"))

    def moment(self) -> datetime | int:
        seconds: int = self.number(">Q")
        try:
            return _EPOCH + timedelta(seconds=seconds)
        except OverflowError:
            return seconds

    def decimal(self) -> Decimal:
        places = self.number(">B")
        return Decimal(self.number(">i")).scaleb(-places)

    def table(self, deep: int = 0) -> dict[str, Any]:
        end = self._end(deep)
        members: dict[str, Any] = {}
        while self.at < end:
            key = self.short_text()
            name = key if isinstance(key, str) else key.decode("utf-8", "backslashreplace")
            value = self.value(deep + 1)
            # a table may have a name twice
            while name in members:
                name += "'"
            members[name] = value
        return members

    def array(self, deep: int = 0) -> list[Any]:
        end = self._end(deep)
        items = []
        while self.at < end:
            items.append(self.value(deep + 1))
        return items

    def value(self, deep: int) -> Any:
        kind = self._taken(1)
        if kind == b"F":
            return self.table(deep)
        if kind == b"A":
            return self.array(deep)
        if kind in _NUMBERS:
            return self.number(_NUMBERS[kind])
        if kind not in _VALUES:
            raise ValueError(f"a field of the type {kind!r}, which is not known")
        return _VALUES[kind](self)

    def _end(self, deep: int) -> int:
        size = self.number(">I")
        if deep > _DEEPEST:
            raise ValueError(f"tables nested deeper than {_DEEPEST} levels")
        if self.at + size > len(self._data):
            raise ValueError("a table that is longer than its message")
        return int(self.at + size)

    def _taken(self, size: int) -> bytes:
        taken = self._data[self.at : self.at + size]
        if len(taken) < size:
            raise ValueError("a field that ends too early")
        self.at += size
        return taken


def _text(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


_NUMBERS: Mapping[bytes, str] = {
    b"t": ">?",
    b"b": ">b",
    b"B": ">B",
    b"s": ">h",
    b"U": ">h",
    b"u": ">H",
    b"I": ">i",
    b"i": ">I",
    b"l": ">q",
    b"L": ">q",
    b"f": ">f",
    b"d": ">d",
}
_VALUES: Mapping[bytes, Callable[[_Fields], Any]] = {
    b"V": lambda _: None,
    b"S": _Fields.long_text,
    b"x": _Fields.long_bytes,
    b"T": _Fields.moment,
    b"D": _Fields.decimal,
}
_PROPERTIES: Mapping[str, Callable[[_Fields], Any]] = {
    "content_type": _Fields.short_text,
    "content_encoding": _Fields.short_text,
    "headers": _Fields.table,
    "delivery_mode": lambda fields: fields.number(">B"),
    "priority": lambda fields: fields.number(">B"),
    "correlation_id": _Fields.short_text,
    "reply_to": _Fields.short_text,
    "expiration": _Fields.short_text,
    "message_id": _Fields.short_text,
    "timestamp": lambda fields: fields.number(">Q"),
    "type": _Fields.short_text,
    "user_id": _Fields.short_text,
    "app_id": _Fields.short_text,
    "cluster_id": _Fields.short_text,
}
"""In the order of their flags and of their values."""
