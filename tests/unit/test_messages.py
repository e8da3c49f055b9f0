"""What a message holds: compression and CloudEvents undone, or a reason why not."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from pika import spec

from penstock.sources.rabbitmq.cloudevents import Unreadable
from penstock.sources.rabbitmq.message_headers import headers_of
from penstock.sources.rabbitmq.messages import Message, read_message

Properties: Any = spec.BasicProperties
RECORD = b'{"a": 1.10, "b": "\xc3\xa4"}'
EVENT = {"specversion": "1.0", "id": "7", "source": "/shop", "type": "sold", "time": "2020-12-07T00:00:00Z"}
ID = '["/shop", "7"]'


def head(**said: Any) -> bytes:
    return b"".join(Properties(**said).encode())


def read(body: bytes, cloudevents: Any = "data", max_bytes: int = 1000, **said: Any) -> Message:
    return read_message(head(**said), body, cloudevents=cloudevents, max_bytes=max_bytes)


def structured(**said: Any) -> bytes:
    return json.dumps({**EVENT, **said}).encode()


BINARY = {f"cloudEvents:{name}": value for name, value in EVENT.items()}
STRUCTURED = "application/cloudevents+json; charset=utf-8"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(RECORD, mtime=0)),
        ("GZIP", gzip.compress(RECORD[:9], mtime=0) + gzip.compress(RECORD[9:], mtime=0)),
        ("zstd", zstandard.compress(RECORD)),
        ("zstd", zstandard.compress(RECORD[:9]) + zstandard.compress(RECORD[9:])),
        ("utf-8", RECORD),
    ],
)
def test_encodings(encoding: str, body: bytes) -> None:
    """A body is decompressed, whatever number of pieces it was compressed in."""
    assert read(body, content_encoding=encoding, message_id="m") == Message(RECORD, "m")


@pytest.mark.parametrize(
    ("encoding", "body", "code"),
    [
        ("gzip", b"no gzip", "invalid_json"),
        ("gzip", gzip.compress(RECORD, mtime=0)[:-4], "invalid_json"),
        ("gzip", gzip.compress(RECORD, mtime=0) + gzip.compress(RECORD, mtime=0)[:-4], "invalid_json"),
        ("zstd", b"no zstd", "invalid_json"),
        ("zstd", zstandard.compress(RECORD)[:-1], "invalid_json"),
        ("br", RECORD, "invalid_json"),
        ("gzip", gzip.compress(bytes(1 << 24), mtime=0), "too_large"),
        ("zstd", zstandard.compress(bytes(1 << 24)), "too_large"),
    ],
)
def test_broken_encodings(encoding: str, body: bytes, code: str) -> None:
    """Broken, not known, or a bomb: a reason, and no more memory than the limit."""
    with pytest.raises(Unreadable) as e:
        read(body, content_encoding=encoding)
    assert e.value.code == code


def test_both_modes_give_the_same() -> None:
    """Structured or binary, the data is the record and source and id are its identity."""
    data = json.loads(RECORD)
    whole = json.dumps({**EVENT, "datacontenttype": "application/json", "data": data}).encode()
    for mode in ("data", "envelope"):
        one = read(whole, mode, content_type=STRUCTURED, message_id="other")
        for prefix in ("cloudEvents:", "cloudEvents_"):
            headers = {prefix + name: value for name, value in EVENT.items()}
            other = read(RECORD, mode, content_type="application/json", headers=headers)
            assert (one.id, other.id) == (ID, ID)
            assert json.loads(one.body) == json.loads(other.body)


def test_data_stays_as_it_was_written() -> None:
    """Numbers keep their digits, which a parser would change."""
    body = (
        b'{"id":"7","data" : {"n": 1.100, "big": 12345678901234567890.1, "e": 1e400} ,' + json.dumps(EVENT).encode()[1:]
    )
    assert read(body, content_type=STRUCTURED).body == b'{"n": 1.100, "big": 12345678901234567890.1, "e": 1e400}'
    coded = structured(data_base64=base64.b64encode(RECORD).decode())
    assert read(coded, content_type=STRUCTURED).body == RECORD


@pytest.mark.parametrize(
    ("body", "said", "code"),
    [
        (structured(data={}, id=""), {"content_type": STRUCTURED}, "missing_identity"),
        (structured(data={}, source=3), {"content_type": STRUCTURED}, "missing_identity"),
        (structured(data={}, specversion="0.3"), {"content_type": STRUCTURED}, "invalid_json"),
        (structured(), {"content_type": STRUCTURED}, "invalid_json"),
        (structured(data={})[:-1], {"content_type": STRUCTURED}, "invalid_json"),
        (b"[]", {"content_type": STRUCTURED}, "invalid_json"),
        (b"[]", {"content_type": "application/cloudevents-batch+json"}, "invalid_json"),
        (structured(data={}, data_base64="e30="), {"content_type": STRUCTURED}, "invalid_json"),
        (structured(data_base64="?"), {"content_type": STRUCTURED}, "invalid_json"),
        (RECORD, {"headers": {k: v for k, v in BINARY.items() if "id" not in k}}, "missing_identity"),
    ],
)
def test_wrong_events(body: bytes, said: dict[str, Any], code: str) -> None:
    """A CloudEvent that is none has a reason."""
    with pytest.raises(Unreadable) as e:
        read(body, **said)
    assert e.value.code == code


def test_data_that_is_no_json_in_an_envelope() -> None:
    """Text and bytes have their place in the JSON form; broken JSON has none."""
    text = read(b"hello", "envelope", content_type="text/plain", headers=BINARY)
    assert json.loads(text.body)["data"] == "hello"
    raw = read(b"\xff\x00", "envelope", content_type="image/png", headers=BINARY)
    assert base64.b64decode(json.loads(raw.body)["data_base64"]) == b"\xff\x00"
    with pytest.raises(Unreadable):
        read(b"{", "envelope", content_type="application/json", headers=BINARY)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).filter(lambda v: v is not None),
    st.permutations([*EVENT, "data"]),
    st.sampled_from([None, 1]),
)
def test_any_data_in_any_order(data: Any, order: list[str], indent: int | None) -> None:
    """Where in the event the data stands does not matter."""
    whole = {**EVENT, "data": data}
    body = json.dumps({name: whole[name] for name in order}, indent=indent).encode()
    found = read(body, content_type=STRUCTURED)
    assert json.loads(found.body) == data
    assert found.id == ID


def test_headers() -> None:
    """What came with a message is kept, fit for JSON."""
    found = headers_of(head(content_type="a/b", message_id="m", headers={"x": {"y": [1, b"\xff"]}, "z": None}))
    assert json.loads(json.dumps(found)) == found
    assert (found["content_type"], found["message_id"]) == ("a/b", "m")
    assert found["headers"]["x"]["y"][0] == 1
    assert "properties" in headers_of(b"\xff\xff\xff")
