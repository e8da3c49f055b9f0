"""Opens a file as a stream of its decompressed bytes, and tells its format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

from penstock.compression import BrokenEncoding, DecompressedFile
from penstock.errors import SourceError

Format = Literal["json", "ndjson", "csv", "parquet"]
Compression = Literal["none", "gzip", "zstd"]

_SUFFIXES: dict[str, Format] = {
    ".json": "json",
    ".geojson": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
_COMPRESSED: dict[str, Compression] = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd"}
BOM = b"\xef\xbb\xbf"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")
_SNIFF_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Kind:
    """A file's format and compression, and the delimiter its name implies."""

    format: Format
    compression: Compression
    delimiter: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvDialect:
    """How a CSV file is written. ``null_values`` are the unquoted texts that mean null; without a delimiter it is a
    comma, in ``.tsv`` files a tab."""

    delimiter: str | None = None
    quote: str = '"'
    header: bool = True
    null_values: tuple[str, ...] = ("",)


def compression_of(path: Path) -> Compression:
    """How a file is compressed, by its name."""
    return _COMPRESSED.get(path.suffix.lower(), "none")


def kind_of(path: Path, place: str, format_: str, compression: str) -> Kind:
    """What kind of file ``path`` is: as said, else by its name, else by its first bytes.

    Raises:
        SourceError: neither name nor content tells.
    """
    suffixes = [s.lower() for s in path.suffixes]
    if compression_of(path) != "none":
        suffixes.pop()
    squeezed = compression_of(path) if compression == "auto" else cast("Compression", compression)
    last = suffixes[-1] if suffixes else ""
    delimiter = "\t" if last == ".tsv" else None
    if format_ != "auto":
        return Kind(cast("Format", format_), squeezed, delimiter)
    known = _SUFFIXES.get(last)
    if known is None or known == "json":
        known = _sniff(path, place, squeezed, json_by_name=known == "json")
    return Kind(known, squeezed, delimiter)


def is_csv(place: str, format_: str) -> bool:
    """Whether :func:`kind_of` takes a file of this name for CSV; only a name or the source can say so."""
    suffixes = [s for s in (s.lower() for s in Path(place).suffixes) if s not in _COMPRESSED]
    return format_ == "csv" or (format_ == "auto" and _SUFFIXES.get(suffixes[-1] if suffixes else "") == "csv")


def is_lines(place: str, format_: str) -> bool:
    """Whether its name or its source says that a file is NDJSON and not compressed: any whole line may be read."""
    suffix = Path(place).suffix.lower()
    if suffix in _COMPRESSED:
        return False
    return format_ == "ndjson" or (format_ == "auto" and _SUFFIXES.get(suffix) == "ndjson")


def _sniff(path: Path, place: str, compression: Compression, *, json_by_name: bool) -> Format:
    """Tell ``.json`` files of one value a line from others, and JSON from what we do not read.

    One value a line means: the first line is an object, and no line starts as only the inside of one does.
    """
    with opened(path, place, compression) as stream:
        head = stream.read(_SNIFF_BYTES)
    text = head.lstrip()
    lines = [line.strip() for line in text.split(b"\n")[:-1]]
    if lines and lines[0].startswith(b"{") and lines[0].endswith(b"}"):
        inner = (b'"', b"}", b"]")
        if not any(line.startswith(inner) for line in lines):
            return "ndjson"
    if json_by_name or not text or text[:1] in b"{[":
        return "json"
    raise SourceError(
        "its name and its first bytes tell no format that Penstock reads",
        where=place,
        fix="set format: json, ndjson, csv or parquet on the source, or narrow path: to leave the file out",
    )


@contextmanager
def opened(path: Path, place: str, compression: Compression) -> Iterator[BinaryIO]:
    """The file's decompressed bytes, a UTF-8 byte order mark left out.

    Raises:
        SourceError: missing, unreadable, damaged while decompressing, or UTF-16.
    """
    try:
        with path.open("rb", buffering=0) as raw:
            stream = cast("BinaryIO", raw)
            if compression != "none":
                stream = cast("BinaryIO", DecompressedFile(stream, compression))
            yield cast("BinaryIO", _WithoutBom(stream, place))
    except FileNotFoundError:
        raise SourceError("the file is gone", where=place, fix="run again; it may have been replaced") from None
    except PermissionError:
        raise SourceError("not allowed to read the file", where=place, fix=f"chmod +r {place}") from None
    except BrokenEncoding as e:
        raise SourceError(
            f"damaged or cut off while decompressing: {e}",
            where=place,
            fix="deliver the file again; the records before the damage may have landed and will not be doubled",
        ) from None
    except OSError as e:
        raise SourceError(
            f"cannot be read: {e.strerror or e}", where=place, fix="look at its disk, or narrow path: to leave it out"
        ) from None


def check_narrow(head: bytes, place: str) -> None:
    """Look at the mark at the start of a text.

    Raises:
        SourceError: it says UTF-16.
    """
    if head[:2] in _WIDE_BOMS:
        raise SourceError("UTF-16 text", where=place, fix="convert it: iconv -f UTF-16 -t UTF-8")


class _WithoutBom:
    """Leaves out the mark at the start; otherwise the stream itself."""

    def __init__(self, stream: BinaryIO, place: str) -> None:
        self._stream = stream
        self._place = place
        self._head: bytes | None = None

    def read(self, size: int = -1) -> bytes:
        if self._head is None:
            self._start()
        if self._head:
            head, self._head = self._head, b""
            if 0 <= size < len(head):
                head, self._head = head[:size], head[size:]
                return head
            return head + self._full(size - len(head) if size >= 0 else -1)
        return self._full(size)

    def _full(self, size: int) -> bytes:
        """Read ``size`` bytes unless the stream ends before."""
        if size < 0:
            return self._stream.read(-1)
        first = self._stream.read(size)
        if len(first) == size or not first:
            return first
        parts = [first]
        missing = size - len(first)
        while missing and (part := self._stream.read(missing)):
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _start(self) -> None:
        head = self._full(3)
        check_narrow(head, self._place)
        self._head = b"" if head == BOM else head
