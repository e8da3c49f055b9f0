"""Texts that are nearly CSV, and a reader of them that goes byte by byte."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import strategies as st

from penstock.records.opening import CsvDialect

COMMA = CsvDialect()
OTHER = CsvDialect(delimiter=";", quote="'")
PIECES = st.lists(
    st.sampled_from(
        [b"a", b"1", b" ", b",", b";", b'"', b"'", b"\n", b"\r", b"\r\n", b'""', b'",', b',"', b"\0", b"\xff"]
    )
    | st.sampled_from(["é".encode(), "\u2028".encode()]),
    max_size=40,
)
Record = tuple[bytes, list[str | None] | None, bool]
"""A record as it came, its fields, unless it is no text, and whether it is broken."""


def simple(data: bytes, dialect: CsvDialect) -> Iterator[Record]:
    """The records of CSV, without blank lines, byte by byte."""
    at = 0
    while at < len(data):
        end, fields, broken = _record(data, at, (dialect.delimiter or ",").encode(), dialect.quote.encode())
        raw = data[at:end]
        at = end + (2 if data[end : end + 2] == b"\r\n" else 1)
        if raw:
            yield raw, fields, broken


def _record(data: bytes, at: int, delimiter: bytes, quote: bytes) -> tuple[int, list[str | None] | None, bool]:
    """Where the record that begins here ends, its fields, and whether it is broken."""
    fields: list[str | None] = []
    readable = True
    while True:
        begin, value = at, b""
        if data[at : at + 1] == quote:
            at += 1
            while data[at : at + 1] != quote or data[at : at + 2] == 2 * quote:
                if at >= len(data):
                    return _line_end(data, begin), None, True
                step = 2 if data[at : at + 1] == quote else 1
                value += data[at : at + 1]
                at += step
            at += 1
            if data[at : at + 1] not in (b"", b"\r", b"\n", delimiter):
                return _line_end(data, begin), None, True
            null = False
        else:
            while data[at : at + 1] not in (b"", b"\r", b"\n", delimiter):
                if data[at : at + 1] == quote:
                    return _line_end(data, at), None, True
                value += data[at : at + 1]
                at += 1
            null = not value
        try:
            fields.append(None if null else value.decode())
        except UnicodeDecodeError:
            readable = False
        if data[at : at + 1] != delimiter:
            return at, fields if readable else None, False
        at += 1


def _line_end(data: bytes, at: int) -> int:
    while data[at : at + 1] not in (b"", b"\r", b"\n"):
        at += 1
    return at
