"""Takes records out of files that are in the lake already."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from penstock.lake.encoders import NdjsonEncoder
from penstock.lake.sink import Sink
from penstock.records.lake_files import RECORD, Compression, body_of, hidden_name, parse
from penstock.records.opening import Kind, kind_of, opened
from penstock.records.splitters import LineSplitter

_READ_BYTES = 1 << 23
_PARQUET_ROWS = 20_000

Keep = Callable[[pa.Array], pa.Array]
"""Records, as an array of binary, to the mask of those that stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """A file after :func:`rewrite`: how many records were taken out, and its state, as the ledger's position has it."""

    path: Path
    removed: int
    state: dict[str, Any]


def files_of(folder: Path, stream: str) -> list[Path]:
    """The lake's complete files of a stream, in the order of their names."""
    return sorted(p for p in (folder / stream).glob("date=*/*") if parse(p) is not None)


def rewrite(path: Path, keep: Keep) -> Rewritten | None:
    """Take records out of a file of the lake. None when all stay; the file is then as it was.

    Args:
        keep: given the records of a part of the file, as they were fetched (an array of binary), the mask of those that
            stay. It may be called often, and for one part again.

    The file is written anew beside itself, made durable and renamed over the old one: readers see either, and a run
    that is killed leaves the old one. A file of which nothing stays is kept, empty but for its header.

    Raises:
        SourceError: the file cannot be read.
        OSError: the file cannot be written.
    """
    kind = kind_of(path, str(path), "auto", "auto")
    file = parse(path)
    rest = file is not None and file.rest
    copy = _copies[("rest" if rest else kind.format)]
    temporary = path.with_name(hidden_name("rewrite", path.name))
    temporary.unlink(missing_ok=True)
    squeezed: Compression = "none" if kind.format == "parquet" else kind.compression
    sink = Sink(temporary, path, squeezed)
    try:
        removed = copy(path, kind, sink, keep)
        if not removed:
            sink.discard()
            return None
        state = sink.finish()
        sink.publish()
    except BaseException:
        sink.discard()
        raise
    return Rewritten(path=path, removed=removed, state=state)


def _mask(records: pa.Array, keep: Keep) -> tuple[pa.Array, int]:
    mask = keep(records)
    return mask, len(records) - int(pc.sum(mask).as_py() or 0)


def _copy_lines(path: Path, kind: Kind, sink: Sink, keep: Keep) -> int:
    removed = 0
    encoder = NdjsonEncoder(lambda: sink, 2**63)
    with opened(path, str(path), kind.compression) as stream:
        for bodies in _bodies(stream):
            mask, gone = _mask(bodies, keep)
            removed += gone
            kept = bodies.filter(mask) if gone else bodies
            if len(kept):
                encoder.add(kept, ())
    return removed


def _bodies(stream: Any) -> Iterator[pa.Array]:
    splitter = LineSplitter()
    while chunk := stream.read(_READ_BYTES):
        if (cut := splitter.cut(chunk)) is not None and len(cut.bodies):
            yield cut.bodies
    if (cut := splitter.finish()) is not None:
        yield cut.bodies


def _copy_rest(path: Path, kind: Kind, sink: Sink, keep: Keep) -> int:
    removed = 0
    with opened(path, str(path), kind.compression) as stream:
        for bodies in _bodies(stream):
            lines = bodies.to_pylist()
            mask, gone = _mask(pa.array([body_of(json.loads(line)) for line in lines], pa.binary()), keep)
            removed += gone
            sink.write(b"".join(line for line, stays in zip(lines, mask.to_pylist(), strict=True) if stays))
    return removed


def _copy_csv(path: Path, kind: Kind, sink: Sink, keep: Keep) -> int:
    removed = 0
    with opened(path, str(path), kind.compression) as stream:
        header = pa_csv.open_csv(pa.PythonFile(_Readable(stream), mode="r"), parse_options=_LINES).schema.names
    with opened(path, str(path), kind.compression) as stream:
        reader = pa_csv.open_csv(
            pa.PythonFile(_Readable(stream), mode="r"),
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=_READ_BYTES),
            parse_options=_LINES,
            convert_options=pa_csv.ConvertOptions(
                column_types={name: pa.string() for name in header},
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=[""],
                check_utf8=False,
            ),
        )
        with pa_csv.CSVWriter(pa.PythonFile(sink, mode="w"), reader.schema) as writer:
            for batch in reader:
                mask, gone = _mask(batch.column(RECORD).cast(pa.binary()), keep)
                removed += gone
                writer.write_batch(batch.filter(mask) if gone else batch)
    return removed


def _copy_parquet(path: Path, kind: Kind, sink: Sink, keep: Keep) -> int:
    del kind
    removed = 0
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema, compression="zstd") as writer:
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS, use_threads=False):
                mask, gone = _mask(batch.column(RECORD).cast(pa.binary()), keep)
                removed += gone
                writer.write_batch(batch.filter(mask) if gone else batch)
    return removed


class _Readable:
    """A stream as Arrow asks for it."""

    closed = False

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._stream.read(size)
        return data

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


_LINES = pa_csv.ParseOptions(newlines_in_values=True)
_copies: dict[str, Callable[[Path, Kind, Sink, Keep], int]] = {
    "ndjson": _copy_lines,
    "rest": _copy_rest,
    "csv": _copy_csv,
    "parquet": _copy_parquet,
}
