"""What came compressed, from wherever it came: decoded piece by piece in bounded memory, and known to be whole.

Data may be of several members (gzip, RFC 1952, 2.2) or frames (zstd, RFC 8878, 3). What is damaged, cut short or
followed by anything else is an error everywhere.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Protocol

_PIECE_BYTES = 1 << 20
_READ_BYTES = 1 << 18
_ZSTD_BYTES = 512
"""zstandard cannot limit its output, and 4 bytes may stand for 128 KiB (RFC 8878, 3.1.1.2): it is fed bit by bit."""
ENCODINGS = "gzip, deflate, br, zstd"


class BrokenEncoding(Exception):
    """Data are not what they are said to be compressed with, or are cut short."""


class TooLarge(Exception):
    """Data grow beyond the limit when they are decompressed."""


class Decoder(Protocol):
    """Takes compressed bytes as they come."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        """What these bytes add, in pieces of about 1 MiB at most. Raises :class:`BrokenEncoding`."""
        ...

    def finish(self) -> None:
        """All bytes are there. Raises :class:`BrokenEncoding` when more should have come."""
        ...


def decoder_of(encoding: str) -> Decoder | None:
    """The decoder for an encoding, or several as ``Content-Encoding`` lists them; None when there is none to undo.

    Raises:
        BrokenEncoding: an encoding that is not known.
    """
    names = [name for part in encoding.split(",") if (name := part.strip().lower()) not in ("", "none", "identity")]
    if not names:
        return None
    if unknown := [name for name in names if name not in _DECODERS]:
        raise BrokenEncoding(f"its encoding {unknown[0]!r} is not one of {ENCODINGS}")
    decoders = [_DECODERS[name]() for name in reversed(names)]
    return decoders[0] if len(decoders) == 1 else _Chain(decoders)


def decompressed(data: bytes, encoding: str, max_bytes: int) -> bytes:
    """All of ``data``, decoded.

    Raises:
        BrokenEncoding: the encoding is not known, or it is not how the data are compressed.
        TooLarge: there is more than ``max_bytes``, of which little more was decoded.
    """
    decoder = decoder_of(encoding)
    decoded = bytearray()
    for piece in (data,) if decoder is None else decoder.decode(data):
        if len(decoded) + len(piece) > max_bytes:
            raise TooLarge(f"larger than {max_bytes:,} bytes when decompressed")
        decoded += piece
    if decoder is not None:
        decoder.finish()
    return bytes(decoded)


class DecompressedFile:
    """The decoded bytes of a file; reading raises :class:`BrokenEncoding` where it is damaged or cut short."""

    def __init__(self, raw: BinaryIO, encoding: str) -> None:
        self._pieces = _pieces(raw, decoder_of(encoding))
        self._piece = b""
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        """``size`` bytes, fewer only where the file ends; all with -1."""
        end = self._at + size
        if size >= 0 and end <= len(self._piece):
            part, self._at = self._piece[self._at : end], end
            return part
        parts = [self._piece[self._at :]]
        missing = size - len(parts[0])
        self._piece, self._at = b"", 0
        while (missing > 0 or size < 0) and (piece := next(self._pieces, b"")):
            if size >= 0 and len(piece) > missing:
                self._piece, self._at = piece, missing
                piece = piece[:missing]
            parts.append(piece)
            missing -= len(piece)
        return b"".join(parts)


def _pieces(raw: BinaryIO, decoder: Decoder | None) -> Iterator[bytes]:
    while data := raw.read(_READ_BYTES):
        yield from (data,) if decoder is None else decoder.decode(data)
    if decoder is not None:
        decoder.finish()


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
