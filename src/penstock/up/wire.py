"""Rows of a warehouse as JSON and back, value for value."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from penstock.ports import Rows
from penstock.stored import Document, Stored, StoredTime

_TAG = "$penstock"
_READERS: dict[str, Callable[[Any], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "interval": lambda parts: timedelta(days=parts[0], seconds=parts[1], microseconds=parts[2]),
    "decimal": Decimal,
    "uuid": UUID,
    "bytes": b64decode,
    "pairs": lambda pairs: {_read(k): _read(v) for k, v in pairs},
    "text": str,
    "stored": Stored,
    "stored time": StoredTime,
    "document": Document,
}


def dump_rows(rows: Rows) -> bytes:
    """As JSON; what JSON has no word for is tagged, and text is how anything unknown travels."""
    return json.dumps({"columns": list(rows.columns), "rows": [as_json(row) for row in rows.rows]}).encode()


def as_json(values: Sequence[Any]) -> list[Any]:
    """Values of a row, or parameters, as JSON has them."""
    return [_write(value) for value in values]


def from_json(values: Sequence[Any]) -> list[Any]:
    """Such values as they were."""
    return [_read(value) for value in values]


def load_rows(content: bytes) -> Rows:
    """The rows that were dumped."""
    data = json.loads(content)
    return Rows(columns=data["columns"], rows=[tuple(from_json(row)) for row in data["rows"]])


def _write(value: Any) -> Any:
    if value is None or (isinstance(value, bool | int | float | str) and not isinstance(value, Stored)):
        return value
    if isinstance(value, list | tuple):
        return [_write(v) for v in value]
    if isinstance(value, dict):
        return {_TAG: "pairs", "value": [[_write(k), _write(v)] for k, v in value.items()]}
    kind, plain = _tagged(value)
    return {_TAG: kind, "value": plain}


def _tagged(value: Any) -> tuple[str, Any]:
    match value:
        case datetime():
            return "datetime", value.isoformat()
        case date():
            return "date", value.isoformat()
        case time():
            return "time", value.isoformat()
        case timedelta():
            return "interval", [value.days, value.seconds, value.microseconds]
        case Decimal():
            return "decimal", str(value)
        case UUID():
            return "uuid", str(value)
        case bytes() | bytearray() | memoryview():
            return "bytes", b64encode(bytes(value)).decode()
        case Document():
            return "document", str(value)
        case StoredTime():
            return "stored time", str(value)
        case Stored():
            return "stored", str(value)
        case _:
            return "text", str(value)


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(v) for v in value]
    if isinstance(value, dict):
        return _READERS[value[_TAG]](value["value"])
    return value
