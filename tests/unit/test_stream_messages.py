"""AMQP 1.0 messages and chunks, as bytes: what is read, and what broken bytes do."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from functools import partial
from struct import pack

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from penstock.sources.rabbitmq.amqp1 import is_plain, message_id, properties, split_message
from penstock.sources.rabbitmq.chunks import BadChunk, read_chunk
from tests.support.streams import data, with_id


def chunk(entries: list[bytes], *, first: int = 0, records: int | None = None, crc: int | None = None) -> bytes:
    """A chunk as it is delivered."""
    body = b"".join(entries)
    said = len(entries) if records is None else records
    checksum = zlib.crc32(body) if crc is None else crc
    head = pack(">bbHIqQQIIII", 0x50, 0, len(entries), said, 0, 1, first, checksum, len(body), 0, 0)
    return head + body


def entry(message: bytes) -> bytes:
    """A message in a chunk."""
    return pack(">I", len(message)) + message


def section(number: int, kind: int, items: bytes, count: int) -> bytes:
    """A section of one byte's size."""
    return bytes([0, 0x53, number, kind, len(items) + 1, count]) + items


@given(st.binary(max_size=400))
def test_any_bytes_have_a_head_and_a_body(message: bytes) -> None:
    """Nothing but a ValueError of properties comes of bytes that are no message; they stay whole."""
    head, body = split_message(message)
    plain = is_plain(head)
    message_id(head)
    if head.startswith(b"\xff"):
        assert body == message
        assert not plain
        with pytest.raises(ValueError):
            properties(head)


@given(st.binary(max_size=300), st.integers(0, 10**8 - 1))
def test_bodies_come_back(body: bytes, number: int) -> None:
    """Also those that look like sections."""
    assert split_message(data(body)) == (b"", body)
    head, found = split_message(with_id(number, body))
    assert found == body
    assert is_plain(head)
    assert message_id(head) == b"%08d" % number
    assert properties(head).content_type == "application/json"


@given(st.binary(max_size=120), st.integers(0, 119), st.integers(0, 255))
def test_broken_messages_never_raise(body: bytes, at: int, byte: int) -> None:
    """One byte changed anywhere."""
    whole = bytearray(with_id(7, body))
    whole[at % len(whole)] = byte
    head, _ = split_message(bytes(whole))
    is_plain(head)
    message_id(head)
    try:
        properties(head)
    except ValueError:
        return


def test_what_is_not_plain() -> None:
    """A content encoding, or an attribute of a CloudEvent, wherever it stands."""
    encoded = section(0x73, 0xC0, b"\xa1\x01i@@@@@@\xa3\x04gzip", 8)
    assert not is_plain(split_message(encoded + data(b"x"))[0])
    without_id = section(0x73, 0xC0, b"@@@@@@@\xa3\x04gzip", 8)
    assert not is_plain(split_message(without_id + data(b"x"))[0])
    short = section(0x73, 0xC0, b"\xa1\x01i", 1)
    assert is_plain(split_message(short + data(b"x"))[0])
    event = section(0x74, 0xC1, b"\xa1\x0ecloudEvents:id\xa1\x01x", 2)
    assert not is_plain(split_message(event + data(b"x"))[0])
    assert properties(event).headers == {"cloudEvents:id": "x"}


def test_message_ids_of_each_type() -> None:
    """Numbers, UUIDs and bytes as texts; none is none."""
    for items, expected in (
        (b"\x53\x07", b"7"),
        (b"\x98" + bytes(15) + b"\1", b"00000000-0000-0000-0000-000000000001"),
        (b"\xa0\x02ab", b"ab"),
        (b"\xb1\0\0\0\x02ab", b"ab"),
        (b"@", None),
    ):
        assert message_id(section(0x73, 0xC0, items, 1)) == expected
    assert message_id(b"\0\x53\x73\x45") is None
    assert message_id(b"") is None


def test_a_chunk() -> None:
    """Its messages, and where they start; the broker's own chunks are none."""
    found = read_chunk(b"!" + chunk([entry(b"a"), entry(b"")], first=7), 1)
    assert found is not None
    assert (found.first, found.messages()) == (7, [b"a", b""])
    tracking = bytearray(chunk([entry(b"a")]))
    tracking[1] = 1
    assert read_chunk(bytes(tracking), 0) is None


@pytest.mark.parametrize(
    ("broken", "lasting", "said"),
    [
        (chunk([entry(b"a")], crc=1), False, "checksum"),
        (chunk([entry(b"a")], records=2), True, "holds 1 messages"),
        (chunk([b"\0\0\0\x09a"]), True, "holds"),
        (chunk([b"\0\0"]), True, "ends too early"),
        (chunk([entry(b"a")])[:-1], False, "ends too early"),
        (chunk([])[:20], True, "without its head"),
        (b"\x51" + chunk([entry(b"a")])[1:], True, "0x51"),
        (chunk([pack(">BHII", 0xA0, 1, 5, 1) + b"x"]), True, "snappy"),
        (chunk([pack(">BHII", 0x90, 1, 5, 1) + b"x"]), True, "no gzip"),
        (chunk([pack(">BHII", 0x80, 2, 6, 6) + entry(b"ab")], records=2), True, "that holds"),
    ],
)
def test_broken_chunks(broken: bytes, lasting: bool, said: str) -> None:
    """Each says what is wrong, and whether it will be the next time."""
    with pytest.raises(BadChunk, match=said) as raised:
        found = read_chunk(broken, 0)
        assert found is not None
        found.messages()
    assert raised.value.lasting is lasting


@pytest.mark.parametrize(("kind", "compress"), [(0x90, partial(gzip.compress, mtime=0)), (0xC0, zstandard.compress)])
def test_compressed_sub_batches(kind: int, compress: Callable[[bytes], bytes]) -> None:
    """All members of a compressed sub-batch are read; one that is cut off, or has more after its end, is an error."""
    plain = entry(b"ab") + entry(b"c")
    for packed in (compress(plain), compress(plain[:3]) + compress(plain[3:])):
        whole = pack(">BHII", kind, 2, len(plain), len(packed)) + packed
        found = read_chunk(chunk([whole], records=2), 0)
        assert found is not None and found.messages() == [b"ab", b"c"]
        for broken in (packed[:-1], packed + b"?"):
            cut = pack(">BHII", kind, 2, len(plain), len(broken)) + broken
            damaged = read_chunk(chunk([cut], records=2), 0)
            assert damaged is not None
            with pytest.raises(BadChunk, match="is no"):
                damaged.messages()
