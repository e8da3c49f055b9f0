"""How records are written into the lake's files, in each format."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.lake.sink import Sink
from penstock.records.lake_files import Format, entry_of, is_utf8

if TYPE_CHECKING:
    from penstock.ports import Reject

BLANK = " \t\r\n"
MAX_CSV_RECORD_BYTES = 1 << 20
"""A longer record would make a CSV row that readers have no room for; it is kept with the rest."""

_NEWLINE = ord("\n")
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


class Encoder(Protocol):
    """Writes records into one file after the other."""

    def add(self, records: pa.Array, broken: Collection[bytes]) -> None:
        """Write records, which are without blanks around them; ``broken`` are those that are no JSON objects."""
        ...

    def end(self) -> None:
        """Complete the file in hand; what is added later goes into another."""
        ...

    def close(self) -> None:
        """Free the memory."""
        ...


def encoder_of(format: Format, sink: Callable[[], Sink], file_bytes: int) -> Encoder:
    """An encoder that takes a new sink for each file, once the one before has grown to ``file_bytes``."""
    if format == "ndjson":
        return NdjsonEncoder(sink, file_bytes)
    from penstock.lake.flat import CsvEncoder, ParquetEncoder

    kind = CsvEncoder if format == "csv" else ParquetEncoder
    return kind(sink, file_bytes)


def split(bodies: pa.Array, format: Format, broken: Collection[bytes]) -> tuple[pa.Array, list[bytes]]:
    """The bodies that have a place in the format, as an array of texts (not checked to be UTF-8 for NDJSON), and the
    others: no bytes are to be changed of what went to quarantine.

    A line break in sound JSON stands between its tokens, where a blank means the same.
    """
    if format == "ndjson" and (lines := _lines(bodies)) is not None:
        return lines, []
    wide = pa.types.is_large_binary(bodies.type)
    texts = pc.ascii_trim(bodies.view(pa.large_string() if wide else pa.string()), BLANK)
    odd = pc.equal(pc.binary_length(texts), 0)
    if format == "ndjson":
        broken_lines = pc.match_substring(texts, "\n")
        if pc.any(broken_lines).as_py():
            if broken:
                odd = pc.or_(odd, pc.and_(broken_lines, _is_in(texts, broken)))
            texts = pc.replace_substring(texts, "\n", " ")
    else:
        odd = pc.or_(odd, _not_utf8(texts))
        if format == "csv":
            odd = pc.or_(odd, pc.greater(pc.binary_length(texts), MAX_CSV_RECORD_BYTES))
    if not pc.any(odd).as_py():
        return texts, []
    kept = bodies.filter(odd).to_pylist()
    return texts.filter(pc.invert(odd)), kept


def _lines(bodies: pa.Array) -> pa.Array | None:
    """The bodies when each is one line that ends with its line break, as files of lines give them; else None."""
    if pa.types.is_large_binary(bodies.type) or not len(bodies) or bodies.null_count:
        return None
    offsets = np.frombuffer(bodies.buffers()[1], np.int32)[bodies.offset : bodies.offset + len(bodies) + 1]
    data = np.frombuffer(bodies.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    ends = np.flatnonzero(data == _NEWLINE)
    whole = len(ends) == len(bodies) and bool((ends == offsets[1:] - offsets[0] - 1).all())
    return bodies if whole else None


def _is_in(texts: pa.Array, broken: Collection[bytes]) -> pa.Array:
    binary = pa.large_binary() if pa.types.is_large_string(texts.type) else pa.binary()
    return pc.is_in(texts.view(binary), value_set=pa.array(list(broken), binary))


def _not_utf8(texts: pa.Array) -> pa.Array:
    binary = texts.view(pa.large_binary() if pa.types.is_large_string(texts.type) else pa.binary())
    try:
        binary.cast(texts.type)
    except pa.ArrowInvalid:
        return pa.array([not is_utf8(b.as_py()) for b in binary], pa.bool_())
    return pa.array(np.zeros(len(texts), dtype=bool))


class NdjsonEncoder:
    """A record a line, its bytes as they came."""

    def __init__(self, sink: Callable[[], Sink], file_bytes: int) -> None:
        self._new = sink
        self._file_bytes = file_bytes
        self._sink: Sink | None = None

    def add(self, records: pa.Array, broken: Collection[bytes]) -> None:
        """Write lines."""
        del broken
        lines = _as_lines(records)
        if self._sink is None or self._sink.size >= self._file_bytes:
            self._sink = self._new()
            if memoryview(lines)[:3].tobytes().startswith(_MARKS):
                # a record that starts as a byte order mark is not one
                self._sink.write(b"\n")
        self._sink.write(lines)

    def end(self) -> None:
        """All is written."""
        self._sink = None

    def close(self) -> None:
        """Nothing is held."""


def _as_lines(records: pa.Array) -> pa.Buffer:
    """Records as lines: an array of texts without their line breaks, or of binary with them."""
    if pa.types.is_binary(records.type):
        # lines as they are
        offsets = np.frombuffer(records.buffers()[1], np.int32)[records.offset :]
        return records.buffers()[2][int(offsets[0]) : int(offsets[len(records)])]
    wide = pa.types.is_large_string(records.type)
    kind = pa.LargeListArray if wide else pa.ListArray
    # an empty last element, so that the last line ends as the others do
    records = pa.concat_arrays([records, pa.array([""], records.type)])
    whole = kind.from_arrays(pa.array([0, len(records)], pa.int64() if wide else pa.int32()), records)
    return pc.binary_join(whole, "\n")[0].as_buffer()


def rest_lines(bodies: Sequence[bytes], rejects: Sequence[Reject]) -> bytes:
    """What has no place in the format, as JSON lines of its own: bodies to be shaped again, and what the source could
    not read, with its reason."""
    entries = [entry_of(b) for b in bodies]
    for reject in rejects:
        more: dict[str, Any] = {"code": reject.code, "reason": reject.reason, "origin": reject.origin}
        if reject.headers is not None:
            more["headers"] = dict(reject.headers)
        entries.append({**entry_of(reject.body), **more})
    return "".join(json.dumps(e, default=str) + "\n" for e in entries).encode()
