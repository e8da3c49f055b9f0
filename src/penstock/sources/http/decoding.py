"""Compressed bodies: decoded piece by piece in bounded memory, and known to be whole."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

_PIECE_BYTES = 1 << 20
_ZSTD_BYTES = 2048
"""zstandard cannot limit its output, and 4 bytes may stand for 128 KiB (RFC 8878, 3.1.1.2): it is fed bit by bit."""
ENCODINGS = "gzip, deflate, br, zstd"


class BrokenEncoding(Exception):
    """A body is not what its Content-Encoding says, or is cut short."""


class Decoder(Protocol):
    """Takes the bytes of a body as they come."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        """What these bytes add, in pieces of about 1 MiB at most. Raises :class:`BrokenEncoding`."""
        ...

    def finish(self) -> None:
        """All bytes are there. Raises :class:`BrokenEncoding` when more should have come."""
        ...


def decoder_of(encoding: str) -> Decoder | None:
    """The decoder for a ``Content-Encoding``; None when there is nothing to decode.

    Raises:
        BrokenEncoding: an encoding that was not asked for.
    """
    names = [name for part in encoding.split(",") if (name := part.strip().lower()) not in ("", "identity")]
    if not names:
        return None
    if unknown := [name for name in names if name not in _DECODERS]:
        raise BrokenEncoding(f"its Content-Encoding {unknown[0]!r} is not one of {ENCODINGS}")
    decoders = [_DECODERS[name]() for name in reversed(names)]
    return decoders[0] if len(decoders) == 1 else _Chain(decoders)


class _Zlib:
    """gzip (also of several members), or deflate with and without zlib's header."""

    def __init__(self, bits: int, name: str) -> None:
        self._bits, self._name = bits, name
        self._inflate = zlib.decompressobj(bits)
        self._begun = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        try:
            while data:
                if self._inflate.eof:
                    data = data.lstrip(b"\0")  # padding between or after members
                    if not data:
                        return
                    self._inflate = zlib.decompressobj(self._bits)
                yield from self._pieces(data)
                data = self._inflate.unused_data
        except zlib.error as e:
            raise BrokenEncoding(f"it is no {self._name}: {e}") from None

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        begun, self._begun = self._begun, True
        try:
            piece = self._inflate.decompress(data, _PIECE_BYTES)
        except zlib.error:
            if begun or self._bits != zlib.MAX_WBITS:
                raise
            self._bits = -zlib.MAX_WBITS  # some servers send deflate without its header (RFC 9110, 8.4.1.2)
            self._inflate = zlib.decompressobj(self._bits)
            piece = self._inflate.decompress(data, _PIECE_BYTES)
        while piece:
            yield piece
            piece = self._inflate.decompress(self._inflate.unconsumed_tail, _PIECE_BYTES)

    def finish(self) -> None:
        if self._begun and not self._inflate.eof:
            raise BrokenEncoding(f"its {self._name} data is cut short")


class _Brotli:
    def __init__(self) -> None:
        import brotli

        self._error: type[Exception] = brotli.error
        self._inflate: Any = brotli.Decompressor()
        self._begun = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        self._begun = self._begun or bool(data)
        try:
            while piece := self._inflate.process(data, output_buffer_limit=_PIECE_BYTES):
                yield piece
                data = b""
        except self._error as e:
            raise BrokenEncoding(f"it is no brotli: {e}") from None

    def finish(self) -> None:
        if self._begun and not self._inflate.is_finished():
            raise BrokenEncoding("its brotli data is cut short")


class _Zstd:
    """zstd (RFC 8878), also of several frames."""

    def __init__(self) -> None:
        import zstandard

        self._error: type[Exception] = zstandard.ZstdError
        self._new: Callable[[], Any] = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj
        self._inflate: Any = None

    def decode(self, data: bytes) -> Iterator[bytes]:
        try:
            while data:
                if self._inflate is None or self._inflate.eof:
                    self._inflate = self._new()
                head, data = data[:_ZSTD_BYTES], data[_ZSTD_BYTES:]
                if piece := self._inflate.decompress(head):
                    yield piece
                data = self._inflate.unused_data + data
        except self._error as e:
            raise BrokenEncoding(f"it is no zstd: {e}") from None

    def finish(self) -> None:
        if self._inflate is not None and not self._inflate.eof:
            raise BrokenEncoding("its zstd data is cut short")


class _Chain:
    """Encodings on top of each other; the last that was applied first."""

    def __init__(self, decoders: list[Decoder]) -> None:
        self._decoders = decoders

    def decode(self, data: bytes) -> Iterator[bytes]:
        pieces: Iterator[bytes] = iter((data,))
        for decoder in self._decoders:
            pieces = _through(decoder, pieces)
        yield from pieces

    def finish(self) -> None:
        for decoder in self._decoders:
            decoder.finish()


def _through(decoder: Decoder, pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield from decoder.decode(piece)


_DECODERS: dict[str, Callable[[], Decoder]] = {
    "gzip": lambda: _Zlib(zlib.MAX_WBITS | 16, "gzip"),
    "x-gzip": lambda: _Zlib(zlib.MAX_WBITS | 16, "gzip"),
    "deflate": lambda: _Zlib(zlib.MAX_WBITS, "deflate"),
    "br": _Brotli,
    "zstd": _Zstd,
}
