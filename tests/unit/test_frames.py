"""Deliveries cut out of bytes are those that pika itself decodes, wherever the bytes are split."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika import frame, spec
from pika.exceptions import InvalidFrameError

from penstock.sources.rabbitmq.frames import DeliveryDecoder, is_plain, message_id, properties, stream_offset

Properties: Any = spec.BasicProperties
Basic: Any = spec.Basic


def delivery(tag: int, body: bytes, *, frame_bytes: int = 1 << 17, key: str = "k", **said: Any) -> bytes:
    """The frames of one delivery on channel 1, as a broker sends them."""
    method = Basic.Deliver("penstock", tag, False, "exchange", key)
    parts = [frame.Method(1, method), frame.Header(1, len(body), Properties(**said))]
    parts += [frame.Body(1, body[i : i + frame_bytes]) for i in range(0, len(body), frame_bytes)]
    return b"".join(part.marshal() for part in parts)


HEARTBEAT = frame.Heartbeat().marshal()
CANCEL = frame.Method(1, Basic.Cancel("penstock")).marshal()
GET = frame.Method(1, Basic.GetOk(9, False, "", "k", 0)).marshal()
SHORT = st.text(max_size=40).filter(lambda t: len(t.encode()) < 256)


class Pika:
    """pika's own decoder as the reference: deliveries, and all other frames."""

    def __init__(self, data: bytes) -> None:
        self.deliveries: list[tuple[int, bytes]] = []
        self.others: list[bytes] = []
        tag, size, body = 0, 0, b""
        while data:
            used, found = frame.decode_frame(data)
            assert found is not None
            raw, data = data[:used], data[used:]
            if isinstance(found, frame.Method) and isinstance(found.method, spec.Basic.Deliver):
                tag = found.method.delivery_tag or 0
                continue
            if tag and isinstance(found, frame.Header):
                size, body = found.body_size, b""
            elif tag and isinstance(found, frame.Body):
                body += found.fragment
            else:
                self.others.append(raw)
                continue
            if len(body) == size:
                self.deliveries.append((tag, body))
                tag = 0


def fed(*chunks: bytes) -> tuple[list[tuple[int, bytes]], list[bytes]]:
    others: list[bytes] = []
    decoder = DeliveryDecoder(others.append)
    for chunk in chunks:
        decoder.feed(chunk)
    assert len(decoder.tags) == len(decoder.bodies) == len(decoder.heads)
    return list(zip(decoder.tags, decoder.bodies, strict=True)), others


def test_split_at_every_position() -> None:
    """Bodies of none, one and several frames, and what stands between them, come whole from any two pieces."""
    data = b"".join(
        [
            delivery(1, b'{"a":1}', content_type="application/json", delivery_mode=2, message_id="m1"),
            HEARTBEAT,
            delivery(2, b""),
            delivery(3, bytes(range(256)) * 2, frame_bytes=100, headers={"x": 1, "y": "\u00e4"}),
            CANCEL,
            delivery(2**63 - 1, b"\xce" * 9, key="k" * 255),
        ]
    )
    expected = Pika(data)
    assert [tag for tag, _ in expected.deliveries] == [1, 2, 3, 2**63 - 1]
    assert expected.others == [HEARTBEAT, CANCEL]
    for at in range(len(data) + 1):
        assert fed(data[:at], data[at:]) == (expected.deliveries, expected.others), at
    assert fed(*(data[i : i + 1] for i in range(len(data)))) == (expected.deliveries, expected.others)


MESSAGES = st.lists(
    st.one_of(
        st.sampled_from([HEARTBEAT, CANCEL]),
        st.builds(
            delivery,
            st.integers(1, 2**64 - 1),
            st.binary(max_size=300),
            frame_bytes=st.integers(1, 64),
            key=SHORT,
            content_type=st.none() | SHORT,
            message_id=st.none() | SHORT,
            headers=st.none() | st.dictionaries(SHORT, st.integers(-(2**31), 2**31 - 1) | st.booleans() | SHORT),
        ),
    ),
    max_size=8,
)


@given(MESSAGES, st.data())
def test_the_same_as_pika(messages: list[bytes], data: st.DataObject) -> None:
    """Any messages in any pieces."""
    stream = b"".join(messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    expected = Pika(stream)
    assert fed(*chunks) == (expected.deliveries, expected.others)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "content_type": SHORT,
            "content_encoding": SHORT,
            "headers": st.dictionaries(SHORT, st.integers(-(2**31), 2**31 - 1) | SHORT, max_size=3),
            "delivery_mode": st.sampled_from([1, 2]),
            "priority": st.integers(0, 9),
            "correlation_id": SHORT,
            "reply_to": SHORT,
            "expiration": SHORT,
            "message_id": SHORT,
            "timestamp": st.integers(0, 2**40),
            "type": SHORT,
            "user_id": SHORT,
            "app_id": SHORT,
            "cluster_id": SHORT,
        },
    )
)
def test_properties(said: dict[str, Any]) -> None:
    """A message id read without the rest is the one that pika reads, whatever properties stand before it."""
    head = b"".join(Properties(**said).encode())
    found = message_id(head)
    assert (None if found is None else found.decode()) == said.get("message_id")
    decoded = properties(head)
    assert {name: getattr(decoded, name) for name in said} == said
    if "content_encoding" in said:
        assert not is_plain(head)


@pytest.mark.parametrize("headers", [{"x-stream-offset": 2**40}, {"a": "b", "x-stream-offset": 2**40, "c": 1}])
def test_stream_offset(headers: dict[str, Any]) -> None:
    """A stream's offset is found alone and among other headers."""
    head = b"".join(Properties(headers=headers, message_id="m").encode())
    assert stream_offset(head) == 2**40
    assert stream_offset(b"".join(Properties(message_id="m").encode())) is None


def test_plain() -> None:
    """CloudEvents are seen in both modes, in any case."""
    for said in (
        {"content_type": "Application/CloudEvents+json"},
        {"headers": {"cloudEvents:id": "1"}},
        {"content_encoding": "gzip"},
    ):
        assert not is_plain(b"".join(Properties(**said).encode()))
    assert is_plain(b"".join(Properties(content_type="application/json").encode()))


@pytest.mark.parametrize(
    "data",
    [
        delivery(1, b"body")[:-1] + b"\x00",
        delivery(1, b"body").replace(b"\x00\x00\x00\x00\x00\x00\x00\x04", b"\x00\x00\x00\x00\x00\x00\x00\x03"),
    ],
)
def test_no_frames(data: bytes) -> None:
    """Bytes that break the protocol end the connection instead of becoming records."""
    with pytest.raises(InvalidFrameError):
        fed(data)


def test_what_is_no_delivery_is_passed_on() -> None:
    """Header and body of another method's content belong to pika."""
    others = GET + frame.Header(1, 3, Properties()).marshal() + frame.Body(1, b"got").marshal()
    deliveries, passed = fed(delivery(1, b"a") + others + delivery(2, b"b"))
    assert deliveries == [(1, b"a"), (2, b"b")]
    assert b"".join(passed) == others
