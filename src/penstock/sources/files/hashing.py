"""What files hold, told by SHA-256 of their decompressed bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from penstock.records.opening import Kind, opened

READ_BYTES = 1 << 22


def content_of(path: Path, place: str, kind: Kind) -> str:
    """SHA-256 of the decompressed bytes."""
    digest = hashlib.sha256()
    with opened(path, place, kind.compression) as stream:
        while chunk := stream.read(READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


class Hashing:
    """A stream that hashes what is read from it."""

    closed = False

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        chunk: bytes = self._stream.read(size)
        self.digest.update(chunk)
        return chunk

    def readable(self) -> bool:
        return True

    def drain(self) -> None:
        while self.read(READ_BYTES):
            pass
