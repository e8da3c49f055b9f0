"""From a record to the message that carries it: plain JSON, or a CloudEvent 1.0 in either mode.

CloudEvents go by the AMQP protocol binding 1.0.2 (3.1 binary, 3.2 structured) and the JSON format 1.0.2.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pika.spec import BasicProperties

from penstock.publish.publisher import Message

Format = Literal["json", "cloudevents", "cloudevents-binary"]
EVENT_TYPE_PREFIX = "io.penstock."
"""What the CloudEvents attribute ``type`` begins with, before the stream's name: reverse-DNS, as the standard asks."""
_PERSISTENT = 2
_ID = "0" * 64


class Encoder:
    """Makes messages of records.

    The message id is a SHA-256: of the key fields' values where the stream's identity has such fields and the record
    has them, else of the record, the same for any order of keys and any white space. What is no JSON is sent as it
    is; its id is of its bytes.

    Args:
        source, type: the CloudEvents attributes of these names.
        event_time: the field that becomes the attribute ``time``, where it holds a date and time.
    """

    def __init__(
        self, *, identity: Sequence[str] = (), event_time: str | None = None, format: Format, source: str, type: str
    ) -> None:
        self._identity = identity
        self._event_time = event_time
        self._format = format
        self._source = source
        self._type = type
        kind = "application/cloudevents+json; charset=utf-8" if format == "cloudevents" else "application/json"
        self._content_type = kind
        before, _, after = self._encoded(_ID).partition(_ID.encode())
        self._before, self._after = before, after

    def message(self, body: bytes) -> Message:
        """The message of one record."""
        record = _parsed(body)
        id_ = self._id(record, body)
        if self._format == "json":
            return Message(self._before + id_.encode() + self._after, body)
        attributes = {"specversion": "1.0", "id": id_, "source": self._source, "type": self._type}
        if (moment := _moment(record, self._event_time)) is not None:
            attributes["time"] = moment
        if self._format == "cloudevents-binary":
            return Message(self._encoded(id_, {f"cloudEvents:{k}": v for k, v in attributes.items()}), body)
        head = json.dumps({**attributes, "datacontenttype": "application/json"}, ensure_ascii=False).encode()
        data = b'"data_base64": "' + base64.b64encode(body) + b'"' if record is None else b'"data": ' + body
        return Message(self._before + id_.encode() + self._after, head[:-1] + b", " + data + b"}")

    def _id(self, record: Any, body: bytes) -> str:
        if record is None:
            return hashlib.sha256(body).hexdigest()
        identity: Any = record
        if self._identity and isinstance(record, dict):
            values = [record.get(field) for field in self._identity]
            identity = record if any(v is None for v in values) else values
        canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def _encoded(self, id_: str, headers: dict[str, str] | None = None) -> bytes:
        properties: Any = BasicProperties(  # type: ignore[no-untyped-call]
            content_type=self._content_type,
            headers=headers,
            delivery_mode=_PERSISTENT,
            message_id=id_,
            app_id="penstock",
        )
        return b"".join(properties.encode())


def _parsed(body: bytes) -> Any:
    """The record, every fraction with all its digits; None when it is no JSON."""
    try:
        return json.loads(body, parse_float="\0".__add__)
    except (ValueError, RecursionError):
        return None


def _moment(record: Any, field: str | None) -> str | None:
    """The event time as RFC 3339, UTC where it says no zone; None when it is no date and time."""
    text = record.get(field) if field and isinstance(record, dict) else None
    if not isinstance(text, str) or text[10:11] not in ("T", "t", " "):
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return None
