"""What a message carries beside its body, fit for JSON: quarantine keeps it."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from penstock.sources.rabbitmq.amqp_fields import properties

if TYPE_CHECKING:
    from pika.spec import BasicProperties

Properties = Callable[[bytes], "BasicProperties"]
_BASE64 = "base64"
_UNFIT = re.compile("[\0\ud800-\udfff]")
"""What PostgreSQL's JSON cannot hold."""


def headers_of(head: bytes, properties: Properties = properties) -> Mapping[str, Any]:
    """What a message carried beside its body, fit for JSON: its headers, and its properties by their names.

    Times are texts, or seconds where no calendar has them; decimals and numbers that JSON has not are texts; bytes, and
    text that is none or that no database stores, are ``{"base64": …}``. So are all of them when they cannot be decoded.
    """
    try:
        decoded: BasicProperties = properties(head)
    except ValueError as e:
        return {"properties": str(e), **_encoded(head)}
    others = {k: _fit(v) for k, v in vars(decoded).items() if v is not None and k != "headers"}
    return {**({"headers": _fit(decoded.headers)} if decoded.headers else {}), **others}


def plain(value: Any) -> Any:
    """A header as an attribute: times as RFC 3339, bytes as base64."""
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping) and value.keys() == {_BASE64}:
        return value[_BASE64]
    return value


def _fit(value: Any) -> Any:
    """A value of a header, fit for JSON in every database."""
    if isinstance(value, Mapping):
        return {_name(str(k)): _fit(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_fit(v) for v in value]
    if isinstance(value, bytes | bytearray):
        return _encoded(bytes(value))
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    value = plain(value)
    if value is not None and not isinstance(value, str | int | float):
        value = str(value)
    if isinstance(value, str) and _UNFIT.search(value):
        return _encoded(value.encode("utf-8", "surrogatepass"))
    return value


def _name(name: str) -> str:
    return _UNFIT.sub(lambda match: f"\\u{ord(match[0]):04x}", name)


def _encoded(raw: bytes) -> dict[str, str]:
    return {_BASE64: base64.b64encode(raw).decode()}
