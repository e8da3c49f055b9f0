"""The chunks in which a stream is kept and delivered (osiris_log.erl of rabbitmq/osiris).

A chunk is a head of 48 bytes and entries: each a message behind its size, whose highest bit is 0, or a sub-batch,
many messages in one entry and perhaps compressed: its highest bit 1, three bits for the compression, then the count
of messages, their size unpacked and packed.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from struct import Struct, error

from penstock.compression import BrokenEncoding, TooLarge, decompressed

_HEAD = Struct(">bbHIqQQIIII")
"""magic, type, entries, records, timestamp, epoch, first offset, CRC, size of the data, and two that are not needed"""
_SIZE = Struct(">I")
_BATCH = Struct(">BHII")
_MAGIC = 0x50
_USER = 0
_COMPRESSIONS = {0: "none", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
_READ = ("none", "gzip", "zstd")
_LARGEST_BATCH = 1 << 30


class BadChunk(Exception):
    """It cannot be read. ``lasting`` when it will not be the next time either."""

    def __init__(self, what: str, *, lasting: bool = True) -> None:
        super().__init__(what)
        self.lasting = lasting


@dataclass(frozen=True, slots=True)
class Chunk:
    """Messages with the offsets from ``first`` on; ``data`` holds them from ``start`` on."""

    first: int
    records: int
    entries: int
    data: bytes
    start: int
    end: int
    crc: int

    def messages(self) -> list[bytes]:
        """All messages.

        Raises:
            BadChunk: what came is not what was stored, or of a compression that is not read.
        """
        data, at, end = self.data, self.start, self.end
        if zlib.crc32(memoryview(data)[at:end]) != self.crc:
            raise BadChunk(f"the chunk at offset {self.first} is damaged: its checksum is wrong", lasting=False)
        messages: list[bytes] = []
        size_at = _SIZE.unpack_from
        try:
            while at < end:
                (size,) = size_at(data, at)
                if size & 0x80000000:
                    kind, count, unpacked, packed = _BATCH.unpack_from(data, at)
                    at += _BATCH.size
                    messages += _batch(data[at : at + packed], (kind >> 4) & 7, count, unpacked, self.first)
                    at += packed
                else:
                    start = at + 4
                    at = start + size
                    messages.append(data[start:at])
        except error as e:
            raise BadChunk(f"the chunk at offset {self.first} ends too early: {e}") from e
        if len(messages) != self.records or at != end:
            raise BadChunk(f"the chunk at offset {self.first} holds {len(messages)} messages, and says {self.records}")
        return messages


def read_chunk(content: bytes, start: int) -> Chunk | None:
    """The chunk that stands in ``content`` from ``start`` on; None when it is one of the broker's own.

    Raises:
        BadChunk: it is none.
    """
    try:
        magic, kind, entries, records, _, _, first, crc, size, _, _ = _HEAD.unpack_from(content, start)
    except error as e:
        raise BadChunk(f"a chunk without its head: {e}") from e
    if magic != _MAGIC:
        raise BadChunk(f"a chunk of a format that is not known: 0x{magic & 0xFF:02x}")
    start += _HEAD.size
    if start + size > len(content):
        raise BadChunk(f"the chunk at offset {first} ends too early", lasting=False)
    if kind != _USER:
        return None
    return Chunk(first=first, records=records, entries=entries, data=content, start=start, end=start + size, crc=crc)


def _batch(packed: bytes, compression: int, count: int, size: int, first: int) -> list[bytes]:
    name = _COMPRESSIONS.get(compression, str(compression))
    if name not in _READ:
        raise BadChunk(f"the chunk at offset {first} has a sub-batch compressed with {name}; gzip and zstd are read")
    if size > _LARGEST_BATCH:
        raise BadChunk(f"the chunk at offset {first} has a sub-batch of {size:,} bytes")
    try:
        data = packed if name == "none" else decompressed(packed, name, size)
    except (BrokenEncoding, TooLarge) as e:
        raise BadChunk(f"the chunk at offset {first} has a sub-batch that is no {name} of {size} bytes: {e}") from e
    if len(data) != size:
        raise BadChunk(f"the chunk at offset {first} has a sub-batch that is no {name} of {size} bytes")
    messages, at = [], 0
    for _ in range(count):
        start = at + 4
        at = start + int.from_bytes(data[start - 4 : start], "big")
        messages.append(data[start:at])
    if at != len(data):
        raise BadChunk(f"the chunk at offset {first} has a sub-batch of {len(data)} bytes that holds {at}")
    return messages
