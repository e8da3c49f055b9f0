"""CSV: rows become JSON objects, so that all that follows is the same for every format."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any, Protocol

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from penstock.errors import SourceError
from penstock.ports import Reject
from penstock.sources.opening import CsvDialect
from penstock.sources.splitters import Cut
from penstock.sql import literal

_MAX_HEADER_BYTES = 1 << 16
_NOTHING = Cut(pa.array([], pa.binary()), np.empty(0, dtype=np.int64), 0)


def csv_rows(stream: Stream, place: str, dialect: CsvDialect, block_bytes: int) -> Iterator[tuple[Cut, list[Reject]]]:
    """Rows of a CSV file as objects whose values are texts or null; rows of another width are rejects.

    Raises:
        SourceError: the header names a column twice.
    """
    head, names = _header(stream, place, dialect)
    if not names:
        return
    wrong: list[tuple[int, str, int]] = []

    def keep_wrong(row: Any) -> str:
        wrong.append((row.number, row.text, row.actual_columns))
        return "skip"

    try:
        reader = pa_csv.open_csv(
            pa.PythonFile(_Joined(head, stream), mode="r"),
            read_options=pa_csv.ReadOptions(use_threads=False, column_names=names, block_size=block_bytes),
            parse_options=pa_csv.ParseOptions(
                delimiter=dialect.delimiter or ",",
                quote_char=dialect.quote,
                newlines_in_values=True,
                invalid_row_handler=keep_wrong,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types={n: pa.binary() for n in names},
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=list(dialect.null_values),
            ),
        )
    except pa.ArrowInvalid as e:
        if "Empty CSV" in str(e):
            yield _NOTHING, [_of_another_width(w, place, len(names)) for w in wrong]
            return
        raise SourceError(str(e), where=place, fix="check delimiter: and quote: of the source") from None
    number = 0
    taken = 0
    try:
        for batch in reader:
            rejects = []
            skipped = set()
            for row in wrong[taken:]:
                rejects.append(_of_another_width(row, place, len(names)))
                skipped.add(row[0])
            taken = len(wrong)
            numbers = np.arange(number + 1, number + 1 + batch.num_rows + len(skipped))
            if skipped:
                numbers = numbers[~np.isin(numbers, list(skipped))][: batch.num_rows]
            number += batch.num_rows + len(skipped)
            bodies, keep, unreadable = _objects(batch)
            for i in unreadable:
                cells = [c[i].as_py() or b"" for c in batch.columns]
                rejects.append(
                    Reject(
                        body=(dialect.delimiter or ",").encode().join(cells),
                        code="invalid_json",
                        reason="a CSV row that is not UTF-8",
                        origin=f"{place}#{numbers[i]}",
                    )
                )
            yield Cut(bodies, numbers[keep] if unreadable else numbers, batch.nbytes), rejects
        yield _NOTHING, [_of_another_width(w, place, len(names)) for w in wrong[taken:]]
    except pa.ArrowInvalid as e:
        raise SourceError(str(e), where=place, fix="check delimiter: and quote: of the source") from None


def _of_another_width(row: tuple[int, str, int], place: str, width: int) -> Reject:
    number, text, columns = row
    return Reject(
        body=text.encode() if isinstance(text, str) else bytes(text),
        code="invalid_json",
        reason=f"a CSV row of {columns} fields; the header has {width}",
        origin=f"{place}#{number}",
    )


def _header(stream: Stream, place: str, dialect: CsvDialect) -> tuple[bytes, list[str]]:
    """Column names, and the bytes already read that belong to the rows."""
    head = b""
    while True:
        line = stream.readline()
        head += line
        if not line or head.count(dialect.quote.encode()) % 2 == 0:
            break
        if len(head) > _MAX_HEADER_BYTES:
            raise SourceError(
                f"a quote in the header is not closed within {_MAX_HEADER_BYTES:,} bytes",
                where=place,
                fix="close it, or set csv: {quote: …} on the source",
            )
    if not head.strip():
        return b"", []
    text = head.decode("utf-8", "replace")
    try:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=dialect.delimiter or ",", quotechar=dialect.quote)
        row = next(lines)
    except csv.Error as e:
        raise SourceError(f"the header cannot be read: {e}", where=place, fix="mend the header") from None
    if not dialect.header:
        return head, [f"column_{i}" for i in range(1, len(row) + 1)]
    names = [name.strip() or f"column_{i}" for i, name in enumerate(row, 1)]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise SourceError(f"the header names column {twice!r} twice", where=place, fix="rename one of them")
    return b"", names


class Stream(Protocol):
    """What reading a CSV file needs of it."""

    def read(self, size: int = -1) -> bytes: ...

    def readline(self) -> bytes: ...


class _Joined:
    """Bytes already read, then the stream they came from."""

    closed = False

    def __init__(self, head: bytes, stream: Stream) -> None:
        self._head = head
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        if self._head:
            head, self._head = self._head, b""
            return head
        return self._stream.read(size)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def writable(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True

    def flush(self) -> None:
        """Nothing is written."""


def _objects(batch: pa.RecordBatch) -> tuple[pa.Array, Any, list[int]]:
    """JSON objects of the rows that are UTF-8, which rows those are, and the places of the others."""
    keep = np.ones(batch.num_rows, dtype=bool)
    try:
        columns = [c.cast(pa.string()) for c in batch.columns]
    except pa.ArrowInvalid:
        for column in batch.columns:
            for i, cell in enumerate(column.to_pylist()):
                keep[i] &= cell is None or _is_utf8(cell)
        batch = batch.filter(pa.array(keep))
        columns = [c.cast(pa.string()) for c in batch.columns]
    table = pa.table(dict(zip(batch.schema.names, columns, strict=True)))
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        bodies = _json(connection, table)
    return bodies, keep, np.flatnonzero(~keep).tolist()


def _is_utf8(cell: bytes) -> bool:
    try:
        cell.decode("utf-8")
    except UnicodeDecodeError:
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
