"""From a message to the record in it: compression and CloudEvents undone.

CloudEvents 1.0 come in two modes (AMQP protocol binding 1.0.2, 3): *binary*, the event's data as the body and its
attributes as headers that start with ``cloudEvents:`` or ``cloudEvents_``; and *structured*, all of it as one JSON
object of type ``application/cloudevents+json``. Both modes of an event give the same record.
"""

from __future__ import annotations

import base64
import json
import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from penstock.extras import require
from penstock.ports import Reason
from penstock.sources.rabbitmq.fields import properties

if TYPE_CHECKING:
    from pika.spec import BasicProperties

Properties = Callable[[bytes], "BasicProperties"]
_PREFIXES = ("cloudEvents:", "cloudEvents_")
_STRUCTURED = "application/cloudevents+json"
_REQUIRED = ("specversion", "id", "source", "type")
_SPACE = " \t\r\n"
_LARGEST = 1 << 29
_BASE64 = "base64"
_UNFIT = re.compile("[\0\ud800-\udfff]")
"""What PostgreSQL's JSON cannot hold."""
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
"""How gzip (RFC 1952, 2.3.1) and zstd (RFC 8878, 3.1.1) begin; no JSON does."""


class Unreadable(Exception):
    """A message that holds no record."""

    def __init__(self, code: Reason, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


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
        said = properties(head)
    except ValueError as e:
        raise Unreadable("invalid_json", str(e)) from e
    return _read(said, body, cloudevents, max_bytes)


def read_kept(
    headers: Mapping[str, Any], body: bytes, *, cloudevents: Literal["data", "envelope"], max_bytes: int
) -> Message | None:
    """The record in a message that quarantine kept as it came; ``headers`` as :func:`headers_of` gave them.

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

    said: Any = BasicProperties()  # type: ignore[no-untyped-call]
    for name in ("content_type", "content_encoding", "message_id", "headers"):
        setattr(said, name, headers.get(name))
    return _read(said, body, cloudevents, max_bytes)


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


def _read(said: BasicProperties, body: bytes, cloudevents: Literal["data", "envelope"], max_bytes: int) -> Message:
    body = _decoded(body, said.content_encoding, max_bytes)
    attributes = {k[12:].lower(): _plain(v) for k, v in (said.headers or {}).items() if k.startswith(_PREFIXES)}
    content_type = said.content_type if isinstance(said.content_type, str) else ""
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
        return Message(body, said.message_id if isinstance(said.message_id, str) else None)
    for name in _REQUIRED:
        if not isinstance(attributes.get(name), str) or not attributes[name]:
            code: Reason = "missing_identity" if name in ("id", "source") else "invalid_json"
            raise Unreadable(code, f"a CloudEvent without {name}")
    if attributes["specversion"] != "1.0":
        raise Unreadable("invalid_json", f"a CloudEvent of version {attributes['specversion']!r}; 1.0 is read")
    if not record.strip():
        raise Unreadable("invalid_json", "a CloudEvent without data")
    return Message(record, json.dumps([attributes["source"], attributes["id"]], ensure_ascii=False))


def headers_of(head: bytes, properties: Properties = properties) -> Mapping[str, Any]:
    """What a message carried beside its body, fit for JSON: its headers, and its properties by their names.

    Times are texts, or seconds where no calendar has them; decimals and numbers that JSON has not are texts; bytes, and
    text that is none or that no database stores, are ``{"base64": …}``. So are all of them when they cannot be decoded.
    """
    try:
        said: BasicProperties = properties(head)
    except ValueError as e:
        return {"properties": str(e), **_encoded(head)}
    found = {k: _fit(v) for k, v in vars(said).items() if v is not None and k != "headers"}
    return {**({"headers": _fit(said.headers)} if said.headers else {}), **found}


def _decoded(body: bytes, encoding: Any, max_bytes: int) -> bytes:
    """The body decompressed, never much more than ``max_bytes`` of it."""
    name = str(encoding or "").strip().lower()
    if name in ("", "identity", "utf-8", "utf8"):
        return body
    try:
        if name in ("gzip", "x-gzip"):
            found = _gunzipped(body, max_bytes)
        elif name == "zstd":
            import zstandard

            with zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True) as reader:
                found = reader.read(max_bytes + 1)
                if body and not found:
                    raise Unreadable("invalid_json", "content_encoding zstd: nothing in it")
        else:
            raise Unreadable("invalid_json", f"content_encoding {encoding!r} is not known; gzip and zstd are")
    except Unreadable:
        raise
    except Exception as e:
        raise Unreadable("invalid_json", f"content_encoding {name}: {e}") from e
    if len(found) > max_bytes:
        raise Unreadable("too_large", f"larger than {max_bytes:,} bytes when decompressed")
    return found


def _gunzipped(body: bytes, max_bytes: int) -> bytes:
    """All members of a gzip body (RFC 1952, 2.2)."""
    found = b""
    while body:
        member = zlib.decompressobj(wbits=31)
        found += member.decompress(body, max_bytes + 1 - len(found))
        if len(found) > max_bytes:
            return found
        if not member.eof:
            raise EOFError("it ends too early")
        body = member.unused_data
    return found


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


def _plain(value: Any) -> Any:
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
    value = _plain(value)
    if value is not None and not isinstance(value, str | int | float):
        value = str(value)
    if isinstance(value, str) and _UNFIT.search(value):
        return _encoded(value.encode("utf-8", "surrogatepass"))
    return value


def _name(name: str) -> str:
    return _UNFIT.sub(lambda match: f"\\u{ord(match[0]):04x}", name)


def _encoded(raw: bytes) -> dict[str, str]:
    return {_BASE64: base64.b64encode(raw).decode()}
