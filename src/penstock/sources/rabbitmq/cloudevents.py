"""CloudEvents 1.0 in AMQP messages (AMQP protocol binding 1.0.2, 3), in both modes: the record that an event carries.

*Binary*: the event's data as the body, and its attributes as headers that start with ``cloudEvents:`` or
``cloudEvents_``. *Structured*: all of it as one JSON object of type ``application/cloudevents+json``. Both modes of an
event give the same record.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from penstock.ports import Reason
from penstock.sources.rabbitmq.message_headers import plain

if TYPE_CHECKING:
    from pika.spec import BasicProperties

_PREFIXES = ("cloudEvents:", "cloudEvents_")
_STRUCTURED = "application/cloudevents+json"
_REQUIRED = ("specversion", "id", "source", "type")
_SPACE = " \t\r\n"


class Unreadable(Exception):
    """A message that holds no record."""

    def __init__(self, code: Reason, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def event_in(
    properties: BasicProperties, body: bytes, cloudevents: Literal["data", "envelope"]
) -> tuple[bytes, str] | None:
    """The record of the event that a message is, and the event's id: its ``source`` and ``id`` as JSON. None when it is
    no event.

    Raises:
        Unreadable: it says that it is one, and is not.
    """
    headers = (properties.headers or {}).items()
    attributes = {k[12:].lower(): plain(v) for k, v in headers if k.startswith(_PREFIXES)}
    content_type = properties.content_type if isinstance(properties.content_type, str) else ""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == _STRUCTURED:
        attributes, data = _structured(body)
        record = data if cloudevents == "data" else body
    elif attributes:
        if content_type:
            attributes.setdefault("datacontenttype", content_type)
        record = body if cloudevents == "data" else _envelope(attributes, body)
    elif kind.startswith("application/cloudevents"):
        raise Unreadable("invalid_json", f"a CloudEvent as {kind}, which is not read; JSON is")
    else:
        return None
    for name in _REQUIRED:
        if not isinstance(attributes.get(name), str) or not attributes[name]:
            code: Reason = "missing_identity" if name in ("id", "source") else "invalid_json"
            raise Unreadable(code, f"a CloudEvent without {name}")
    if attributes["specversion"] != "1.0":
        raise Unreadable("invalid_json", f"a CloudEvent of version {attributes['specversion']!r}; 1.0 is read")
    if not record.strip():
        raise Unreadable("invalid_json", "a CloudEvent without data")
    return record, json.dumps([attributes["source"], attributes["id"]], ensure_ascii=False)


def _structured(body: bytes) -> tuple[dict[str, Any], bytes]:
    """The attributes of an event in JSON, and its data byte for byte as it stands there."""
    try:
        text = body.decode()
        values, spans = _members(text)
    except (ValueError, RecursionError) as e:
        raise Unreadable("invalid_json", f"a CloudEvent that is no JSON object: {e}") from e
    if "data_base64" in values:
        if "data" in values:
            raise Unreadable("invalid_json", "a CloudEvent with both data and data_base64")
        try:
            return values, base64.b64decode(values["data_base64"], validate=True)
        except (TypeError, ValueError) as e:
            raise Unreadable("invalid_json", f"a CloudEvent's data_base64: {e}") from e
    if "data" not in values:
        return values, b""
    return values, text[slice(*spans["data"])].encode()


def _members(text: str) -> tuple[dict[str, Any], dict[str, tuple[int, int]]]:
    """The members of a JSON object, and where in the text each value stands."""
    decoder = json.JSONDecoder()
    values: dict[str, Any] = {}
    spans: dict[str, tuple[int, int]] = {}
    at = _expect(text, 0, "{")
    if text[at : at + 1] == "}":
        at += 1
    else:
        while True:
            name, at = decoder.raw_decode(text, at)
            if not isinstance(name, str):
                raise ValueError("a name that is no text")
            start = _expect(text, _skip(text, at), ":")
            values[name], at = decoder.raw_decode(text, start)
            spans[name] = (start, at)
            at = _skip(text, at)
            if text[at : at + 1] == "}":
                at += 1
                break
            at = _expect(text, at, ",")
    if _skip(text, at) != len(text):
        raise ValueError("more after its end")
    return values, spans


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in _SPACE:
        at += 1
    return at


def _expect(text: str, at: int, mark: str) -> int:
    at = _skip(text, at)
    if text[at : at + 1] != mark:
        raise ValueError(f"expected {mark} at character {at}")
    return _skip(text, at + 1)


def _envelope(attributes: Mapping[str, Any], data: bytes) -> bytes:
    """An event of binary mode in its JSON form (CloudEvents JSON format 1.0.2, 3.1)."""
    head = json.dumps(attributes, ensure_ascii=False).encode()
    kind = str(attributes.get("datacontenttype", "application/json")).partition(";")[0].strip().lower()
    if not data:
        return head
    if kind.endswith(("/json", "+json")):
        try:
            json.loads(data)
        except (ValueError, RecursionError) as e:
            raise Unreadable("invalid_json", f"a CloudEvent's data is no JSON: {e}") from e
        return head[:-1] + b', "data": ' + data + b"}"
    try:
        return head[:-1] + b', "data": ' + json.dumps(data.decode(), ensure_ascii=False).encode() + b"}"
    except UnicodeDecodeError:
        return head[:-1] + b', "data_base64": "' + base64.b64encode(data) + b'"}'
