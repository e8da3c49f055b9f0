"""What came compressed: whole or an error, and never much more memory than is allowed."""

from __future__ import annotations

import gzip
import io
import random
import tracemalloc
import zlib
from collections.abc import Callable
from functools import partial
from typing import BinaryIO, cast

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from penstock.compression import BrokenEncoding, DecompressedFile, TooLarge, decompressed

PLAIN = random.Random(1).randbytes(3_000) + bytes(3_000)
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": partial(gzip.compress, mtime=0),
    "zstd": zstandard.compress,
    "deflate": zlib.compress,
    "br": partial(brotli.compress, quality=3),
}


class Dribble(io.BytesIO):
    """A file that gives a byte at a time."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(1, -1 if size is None else size) or 1)


@pytest.mark.parametrize("encoding", COMPRESS)
def test_whole_or_an_error(encoding: str) -> None:
    """Data come back as they were; cut off anywhere, or with something after their end, they are an error."""
    packed = COMPRESS[encoding](PLAIN)
    assert decompressed(packed, encoding, len(PLAIN)) == PLAIN
    for end in (*range(1, len(packed), 97), len(packed) - 1):
        with pytest.raises(BrokenEncoding):
            decompressed(packed[:end], encoding, len(PLAIN))
    with pytest.raises(BrokenEncoding):
        decompressed(packed + b"more", encoding, len(PLAIN))


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_all_members(encoding: str) -> None:
    """Members follow each other, gzip's perhaps with zeros behind them; the last is to be whole too."""
    first, second = COMPRESS[encoding](PLAIN[:1000]), COMPRESS[encoding](PLAIN[1000:])
    assert decompressed(first + second, encoding, len(PLAIN)) == PLAIN
    with pytest.raises(BrokenEncoding, match="cut short"):
        decompressed(first + second[:-1], encoding, len(PLAIN))
    if encoding == "gzip":
        assert decompressed(first + second + bytes(512), encoding, len(PLAIN)) == PLAIN


@pytest.mark.parametrize("encoding", COMPRESS)
def test_the_limit(encoding: str) -> None:
    """What grows beyond the limit is refused before it is all there."""
    assert decompressed(COMPRESS[encoding](PLAIN), encoding, len(PLAIN))
    bomb = COMPRESS[encoding](bytes(1 << 26))
    tracemalloc.start()
    with pytest.raises(TooLarge, match="1,000 bytes"):
        decompressed(bomb, encoding, 1000)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 40 << 20


def test_what_is_not_known_is_named() -> None:
    """An encoding that nobody can undo is an error with its name."""
    with pytest.raises(BrokenEncoding, match="'lzma' is not one of gzip, deflate, br, zstd"):
        decompressed(b"", "lzma", 1)


@given(st.sampled_from(["gzip", "zstd", "none"]), st.lists(st.integers(0, 3000), max_size=20), st.booleans())
def test_a_file_in_any_pieces(encoding: str, sizes: list[int], dribble: bool) -> None:
    """A file gives as many bytes as it is asked for, while it has them."""
    packed = PLAIN if encoding == "none" else COMPRESS[encoding](PLAIN[:700]) + COMPRESS[encoding](PLAIN[700:])
    file = DecompressedFile(cast("BinaryIO", (Dribble if dribble else io.BytesIO)(packed)), encoding)
    at = 0
    for size in sizes:
        assert file.read(size) == PLAIN[at : at + size]
        at = min(at + size, len(PLAIN))
    assert file.read() == PLAIN[at:]
    assert file.read(1) == b""


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_file_that_is_cut_off(encoding: str) -> None:
    """What is there can be read; then comes the error, not an end."""
    packed = COMPRESS[encoding](PLAIN[:5000]) + COMPRESS[encoding](PLAIN[5000:])[:-2]
    file = DecompressedFile(io.BytesIO(packed), encoding)
    assert file.read(4000) == PLAIN[:4000]
    with pytest.raises(BrokenEncoding, match="cut short"):
        file.read()
