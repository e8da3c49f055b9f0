"""CSV: rows become JSON objects, so that all that follows is the same for every format."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any, Protocol

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from penstock.errors import SourceError
from penstock.ports import Reject
from penstock.records.opening import BOM, CsvDialect, check_narrow
from penstock.records.splitters import Cut
from penstock.sources.files.csv_records import CsvCut, CsvSplitter
from penstock.sql import literal

_MAX_RECORD_BYTES = 1 << 28
_NOTHING = pa.array([], pa.binary())
_LINE_ENDS = b"\r\n"
_SEPARATOR = re.compile(rb'[\r\n]*(?P<quote>"?)(?i:sep)=(?P<delimiter>[^\r\n]{0,4}?)(?P=quote)(?:\r\n|[\r\n]|\Z)')
_SEPARATOR_BYTES = 16
"""Such a line is shorter, with its ends."""
_MEND_QUOTES = "double the quotes inside of its names and put these into quotes, or set csv: {quote: …} on the source"


def csv_rows(stream: Stream, place: str, dialect: CsvDialect, block_bytes: int) -> Iterator[tuple[Cut, list[Reject]]]:
    """Rows of a CSV file as objects whose values are texts or null; what is no row as wide as the header is a reject.

    Raises:
        SourceError: the header cannot be read, or names a column twice.
    """
    head, dialect = _separated(stream, place, dialect, block_bytes)
    splitter = CsvSplitter(dialect.delimiter or ",", dialect.quote)
    rows = _Rows(place, dialect)
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        for chunk in chain([head], iter(lambda: stream.read(block_bytes), b"")):
            cut = splitter.cut(chunk)
            if cut is not None:
                yield rows.take(cut, connection)
            elif splitter.pending_bytes > _MAX_RECORD_BYTES:
                raise SourceError(
                    f"a line longer than {_MAX_RECORD_BYTES >> 20} MiB; the file is not what its format says",
                    where=place,
                    fix="check the file, or set format: on the source",
                )
        if (cut := splitter.finish()) is not None:
            yield rows.take(cut, connection)


def _separated(stream: Stream, place: str, dialect: CsvDialect, block_bytes: int) -> tuple[bytes, CsvDialect]:
    """The start of a file, and how it is written. A first line ``sep=;``, as Excel writes and reads it, says so itself,
    and is no record."""
    head = b""
    while len(head.lstrip(_LINE_ENDS)) < _SEPARATOR_BYTES and (chunk := stream.read(block_bytes)):
        head += chunk
    check_narrow(head, place)
    head = head.removeprefix(BOM)
    match = _SEPARATOR.match(head)
    if match is None:
        return head, dialect
    delimiter = match["delimiter"]
    if len(delimiter) != 1 or not delimiter.isascii():
        raise SourceError(
            f"its first line, {match[0].strip().decode('utf-8', 'replace')}, names no single character",
            where=place,
            fix="take that line out, and set csv: {delimiter: …} on the source",
        )
    return head[match.end() :], replace(dialect, delimiter=delimiter.decode())


class _Rows:
    """Makes rows of a file's records, the first of which names the columns."""

    def __init__(self, place: str, dialect: CsvDialect) -> None:
        self._place = place
        self._dialect = dialect
        self._names: list[str] = []
        self._number = 0

    def take(self, cut: CsvCut, connection: duckdb.DuckDBPyConnection) -> tuple[Cut, list[Reject]]:
        """Its rows, and what is none."""
        rows = ~cut.blank
        if not self._names:
            self._name(cut, rows)
        numbers = self._number + np.cumsum(rows)
        self._number += int(np.count_nonzero(rows))
        rejects = []
        for i, why in cut.broken.items():
            if rows[i]:
                rejects.append(self._reject(cut, numbers, i, why))
                rows[i] = False
        consumed = int(cut.bounds[-1])
        if not rows.any():
            return Cut(_NOTHING, numbers[rows], consumed), rejects
        text = cut.records(rows)
        if not _is_utf8(text):
            for i in np.flatnonzero(rows).tolist():
                if not _is_utf8(cut.record(i)):
                    rejects.append(self._reject(cut, numbers, i, "a CSV row that is not UTF-8"))
                    rows[i] = False
            text = cut.records(rows)
        table, wrong = self._parsed(text)
        places = np.flatnonzero(rows)
        for row, columns in wrong:
            why = f"a CSV row of {columns} fields; the header has {len(self._names)}"
            rejects.append(self._reject(cut, numbers, places[row], why))
        rows[places[[row for row, _ in wrong]]] = False
        return Cut(_json(connection, table), numbers[rows], consumed), rejects

    def _reject(self, cut: CsvCut, numbers: Any, i: int, why: str) -> Reject:
        return Reject(body=cut.record(i), code="invalid_json", reason=why, origin=f"{self._place}#{numbers[i]}")

    def _name(self, cut: CsvCut, rows: Any) -> None:
        """Name the columns by the first record, which is then no row."""
        for i in np.flatnonzero(rows).tolist():
            if not self._dialect.header:
                if i not in cut.broken:
                    self._names = [f"column_{n}" for n in range(1, len(self._fields(cut.record(i))) + 1)]
                    return
                continue
            rows[i] = False
            if cut.record(i).strip() or (self._dialect.delimiter or ",").encode() in cut.record(i):
                self._names = self._header(cut.record(i), cut.broken.get(i))
                return

    def _header(self, record: bytes, broken: str | None) -> list[str]:
        if broken is not None:
            raise SourceError(f"the header cannot be read: {broken}", where=self._place, fix=_MEND_QUOTES)
        if b"\0" in record:
            raise SourceError(
                "the header holds U+0000; the file is UTF-16, or no text",
                where=self._place,
                fix="convert it: iconv -f UTF-16LE -t UTF-8",
            )
        names = [name.strip() or f"column_{i}" for i, name in enumerate(self._fields(record), 1)]
        twice = next((n for n in names if names.count(n) > 1), None)
        if twice is not None:
            raise SourceError(f"the header names column {twice!r} twice", where=self._place, fix="rename one of them")
        return names

    def _fields(self, record: bytes) -> list[str]:
        """The fields of the first record."""
        try:
            text = io.StringIO(record.decode(), newline="")
            quote = self._dialect.quote
            return next(csv.reader(text, delimiter=self._dialect.delimiter or ",", quotechar=quote, strict=True))
        except UnicodeDecodeError as e:
            raise SourceError(
                f"its first row is not UTF-8 (byte 0x{record[e.start]:02X}); it may be Latin-1 or Windows-1252",
                where=self._place,
                fix="convert it: iconv -f WINDOWS-1252 -t UTF-8",
            ) from None
        except csv.Error as e:
            raise SourceError(f"the header cannot be read: {e}", where=self._place, fix=_MEND_QUOTES) from None

    def _parsed(self, text: bytes) -> tuple[pa.Table, list[tuple[int, int]]]:
        """Rows of the right width as texts; the places of the others, and how wide they are."""
        wrong: list[tuple[int, int]] = []

        def skip(row: Any) -> str:
            wrong.append((row.number - 1, row.actual_columns))
            return "skip"

        if not text:
            return pa.table({name: pa.array([], pa.string()) for name in self._names}), wrong
        if not text.endswith((b"\n", b"\r")):
            text += b"\n"  # an empty last field without it is taken for quoted when the one before is
        table = pa_csv.read_csv(
            pa.BufferReader(text),
            read_options=pa_csv.ReadOptions(use_threads=False, column_names=self._names, block_size=len(text) + 1),
            parse_options=pa_csv.ParseOptions(
                delimiter=self._dialect.delimiter or ",",
                quote_char=self._dialect.quote,
                newlines_in_values=True,
                invalid_row_handler=skip,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(self._names, pa.string()),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=list(self._dialect.null_values),
            ),
        )
        return table, wrong


class Stream(Protocol):
    """What reading a CSV file needs of it."""

    def read(self, size: int = -1) -> bytes: ...


def _is_utf8(text: bytes) -> bool:
    try:
        pa.array([text], pa.large_binary()).cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True


def _json(connection: duckdb.DuckDBPyConnection, rows: pa.Table) -> pa.Array:
    """Rows as JSON objects.

    Columns travel under neutral names: a file's own may be anything, and differ in case alone.
    """
    names = rows.column_names
    connection.register("penstock_rows", rows.rename_columns([f"c{i}" for i in range(len(names))]))
    members = ", ".join(f"{literal(name)}, c{i}" for i, name in enumerate(names))
    query = f"select json_object({members})::varchar as body from penstock_rows"
    bodies = connection.sql(query).to_arrow_table()["body"]
    connection.unregister("penstock_rows")
    return pc.cast(bodies.combine_chunks(), pa.large_binary() if bodies.type == pa.large_string() else pa.binary())
