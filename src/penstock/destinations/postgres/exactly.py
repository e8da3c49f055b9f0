"""PostgreSQL's values as they are stored, where Python's types would change them or cannot hold them."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.adapt import Buffer, Loader
from psycopg.types.datetime import (
    DateLoader,
    IntervalLoader,
    TimeLoader,
    TimestampLoader,
    TimestamptzLoader,
    TimetzLoader,
)

from penstock.stored import Document, Stored, stored_time


class _Json(Loader):
    def load(self, data: Buffer) -> Document:
        """The document's text."""
        return Document(bytes(data).decode())


class _Interval(IntervalLoader):
    def load(self, data: Buffer) -> Any:
        """Months and years have no fixed length: with them, the text."""
        text = bytes(data).decode()
        return Stored(text) if "mon" in text or "year" in text else super().load(data)


def _or_text(loader: type[Loader]) -> type[Loader]:
    class OrText(loader):  # type: ignore[valid-type, misc]  # a class that is given
        def load(self, data: Buffer) -> Any:
            """A time, or its text when no time of Python's is the same."""
            try:
                return super().load(data)
            except psycopg.DataError:
                return stored_time(bytes(data).decode())

    return OrText


_LOADERS: dict[str, type[Loader]] = {
    "json": _Json,
    "jsonb": _Json,
    "interval": _Interval,
    "date": _or_text(DateLoader),
    "time": _or_text(TimeLoader),
    "timetz": _or_text(TimetzLoader),
    "timestamp": _or_text(TimestampLoader),
    "timestamptz": _or_text(TimestamptzLoader),
}


def exactly(connection: psycopg.Connection[Any]) -> None:
    """Have a connection give values as they are stored."""
    for name, loader in _LOADERS.items():
        connection.adapters.register_loader(name, loader)
