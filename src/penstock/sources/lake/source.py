"""The lake as a source: the records of a stream as they were fetched, from flat files.

Delivery: as files; each file is read once, in the order in which they were written. They give the same rows as the
loads that wrote them, and the same quarantine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from penstock.engine_errors import error_text
from penstock.errors import SourceError
from penstock.ports import Position, Reject, Window
from penstock.records.lake_files import FOLDER, RECORD, SOURCE, body_of, parse
from penstock.records.opening import Kind, opened
from penstock.records.splitters import Cut
from penstock.sources.files.hashing import Hashing
from penstock.sources.files.planning import FilePlan, State
from penstock.sources.files.source import FilesSource
from penstock.sources.gathering import Gathering

_CSV_BLOCK_BYTES = 8 << 20
_PARQUET_ROWS = 20_000


class LakeSource(FilesSource):
    """Reads what the lake in ``folder`` has of a stream.

    Args:
        refresh: the stream is replaced by each load, so that only the latest load's files count.
        window, fingerprint, batch_bytes: as for files.
    """

    def __init__(
        self,
        stream: str,
        *,
        folder: Path,
        batch_bytes: int = 16 << 20,
        window: Window | None = None,
        fingerprint: bool = True,
        refresh: bool = False,
    ) -> None:
        super().__init__(
            SOURCE,
            [f"{stream}/date=*/*"],
            root=folder,
            batch_bytes=batch_bytes,
            window=window,
            fingerprint=fingerprint,
            refresh=refresh,
        )
        self._stream = stream

    def paths(self) -> list[Path]:
        """The files there are, in the order in which their loads began."""
        files = [(file.load, path) for path in self._root.glob(self._patterns[0]) if (file := parse(path)) is not None]
        if self._refresh and files:
            latest = max(load for load, _ in files)
            files = [(load, path) for load, path in files if load == latest]
        return [path for _, path in sorted(files, key=lambda f: (f[0], f[1].name))]

    def _paths(self) -> list[Path]:
        files = self.paths()
        if not files:
            raise SourceError(
                f"the lake has nothing of stream {self._stream} yet",
                where=str(self._root),
                fix=f"fill it: penstock load {self._stream} --land ndjson DIR, or land: true on the stream",
            )
        return files

    def _is_untyped(self, plan: FilePlan, kind: Kind) -> bool:
        del kind
        file = parse(plan.path)
        return file is not None and file.texts

    def _read_file(
        self, plan: FilePlan, kind: Kind, known: Mapping[str, State], gathering: Gathering
    ) -> Iterator[None]:
        file = parse(plan.path)
        if file is not None and file.rest:
            yield from self._read_rest(plan, kind, gathering)
        else:
            yield from super()._read_file(plan, kind, known, gathering)

    def _read_table(self, plan: FilePlan, kind: Kind, stat: dict[str, Any], gathering: Gathering) -> Iterator[None]:
        """The records in the column that has them as they came; the flat columns are for other readers."""
        number = 0
        with opened(plan.path, plan.place, kind.compression) as stream:
            hashing = Hashing(stream)
            try:
                bodies = _parquet_records(plan.path) if kind.format == "parquet" else _csv_records(hashing)
                for part in bodies:
                    gathering.add(plan.place, Cut(part, np.arange(number + 1, number + 1 + len(part)), part.nbytes))
                    number += len(part)
                    yield
            except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as e:
                raise SourceError(
                    f"is no file of the lake: {error_text(e)}",
                    where=plan.place,
                    fix="put the file back as it was written, or move it away",
                ) from None
            hashing.drain()
        self._done(plan, stat, hashing, gathering)
        yield

    def _read_rest(self, plan: FilePlan, kind: Kind, gathering: Gathering) -> Iterator[None]:
        stat = self._state(plan)
        bodies: list[bytes] = []
        with opened(plan.path, plan.place, kind.compression) as stream:
            hashing = Hashing(stream)
            for number, line in enumerate(_lines(hashing), 1):
                try:
                    entry = json.loads(line)
                    body = body_of(entry)
                except (ValueError, KeyError, TypeError) as e:
                    raise SourceError(
                        f"is no entry of the lake: {error_text(e)}",
                        where=f"{plan.place}#{number}",
                        fix="put the file back as it was written, or move it away",
                    ) from None
                if "code" in entry:
                    more = {name: entry[name] for name in ("code", "reason", "origin")}
                    gathering.rejects.append(Reject(body=body, headers=entry.get("headers"), **more))
                else:
                    bodies.append(body)
        numbers = np.arange(1, len(bodies) + 1)
        gathering.add(plan.place, Cut(pa.array(bodies, pa.binary()), numbers, stat["size"]))
        self._done(plan, stat, hashing, gathering)
        yield

    def _state(self, plan: FilePlan) -> dict[str, Any]:
        return {**super()._state(plan), FOLDER: str(self._root.resolve())}

    def _done(self, plan: FilePlan, stat: dict[str, Any], hashing: Hashing, gathering: Gathering) -> None:
        key = plan.place + self._scope
        state = {**stat, "complete": True, "content": hashing.digest.hexdigest()}
        gathering.positions[key] = Position(source=self.name, key=key, state=state)


def _csv_records(stream: Any) -> Iterator[pa.Array]:
    reader = pa_csv.open_csv(
        pa.PythonFile(stream, mode="r"),
        read_options=pa_csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK_BYTES),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            include_columns=[RECORD], column_types={RECORD: pa.binary()}, strings_can_be_null=False
        ),
    )
    for batch in reader:
        yield batch.column(0)


def _parquet_records(path: Path) -> Iterator[pa.Array]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_PARQUET_ROWS, columns=[RECORD], use_threads=False):
            if not batch.num_columns:
                raise pa.ArrowKeyError(f"it has no column {RECORD}")
            yield batch.column(0).cast(pa.binary())


def _lines(stream: Any) -> Iterator[bytes]:
    rest = b""
    while chunk := stream.read(1 << 20):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest
