"""Writes what a load fetched into the lake, in step with the load's commits."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.errors import PenstockError
from penstock.faults import fault_point
from penstock.lake.encoders import Encoder, encoder_of, rest_lines, split
from penstock.lake.sink import Sink
from penstock.ports import Position
from penstock.records.lake_files import (
    FOLDER,
    SOURCE,
    Compression,
    Format,
    file_name,
    hidden_name,
    load_name,
    place_of,
    warehouse_mark,
)

if TYPE_CHECKING:
    from penstock.ports import Shaped

FILE_BYTES = 256 << 20
"""A file that has grown so large is followed by another."""


def _now() -> datetime:
    return datetime.now(UTC)


class LakeWriter:
    """The lake of one stream, while it is loaded.

    In step with a landing: :meth:`write` each batch; :meth:`prepare` makes the files durable and returns the positions
    that the landing has to commit; :meth:`publish` after the commit. Whatever happens between these two,
    :func:`penstock.lake.unfinished.settle` asks the ledger which it was.

    Args:
        folder: the lake's folder.
        warehouse: names the destination whose ledger decides about unfinished files.
    """

    def __init__(
        self,
        folder: Path,
        stream: str,
        format: Format,
        *,
        warehouse: str,
        compression: Compression = "none",
        file_bytes: int = FILE_BYTES,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self.folder = folder
        self.stream = stream
        self.warehouse = warehouse
        self._format = format
        # Parquet compresses by itself
        self._compression: Compression = "none" if format == "parquet" else compression
        self._file_bytes = file_bytes
        self._mark = warehouse_mark(warehouse)
        self._clock = clock
        self._began: datetime | None = None
        self._load = ""
        self._number = 0
        self._encoders: dict[bool, Encoder] = {}
        self._rest: dict[bool, Sink] = {}
        self._sinks: list[Sink] = []
        self._prepared = False

    def write(self, shaped: Shaped) -> None:
        """Add the records of a batch: those that land, duplicates, and those that do not land."""
        taken = shaped.taken()
        broken = {r.body.strip(b" \t\r\n") for r in shaped.rejects}
        records, odd = split(taken.bodies, self._format, broken)
        with self._refusals():
            if odd or taken.rejects:
                if taken.untyped not in self._rest:
                    self._rest[taken.untyped] = self._sink(texts=taken.untyped, rest=True)
                self._rest[taken.untyped].write(rest_lines(odd, taken.rejects))
            if len(records):
                self._encoder(taken.untyped).add(records, broken)

    def end_refresh(self) -> None:
        """All of a refresh is written. One without records leaves a file without any, which says so."""
        if not (self._sinks or self._encoders):
            with self._refusals():
                self._rest[False] = self._sink(texts=False, rest=True)

    def prepare(self) -> list[Position]:
        """Make the files complete and durable, still hidden. The positions say which they are."""
        positions = []
        with self._refusals():
            for encoder in self._encoders.values():
                encoder.end()
            for sink in self._sinks:
                key = sink.final.relative_to(self.folder).as_posix()
                state = {**sink.finish(), FOLDER: str(self.folder.resolve())}
                positions.append(Position(source=SOURCE, key=key, state=state))
        self._prepared = True
        fault_point("lake_prepared")
        return positions

    def publish(self) -> None:
        """Show the files, once the landing has committed."""
        fault_point("before_publish")
        with self._refusals():
            for sink in self._sinks:
                sink.publish()
                fault_point("lake_middle")
        self._forget()

    def discard(self) -> None:
        """Remove what was written since the last commit. After :meth:`prepare` that is left to the next load: the
        commit may have been heard."""
        for encoder in self._encoders.values():
            with suppress(OSError):
                encoder.end()
        for sink in self._sinks:
            if self._prepared:
                sink.release()
            else:
                sink.discard()
        self._forget()

    def close(self) -> None:
        """Free the memory."""
        for encoder in self._encoders.values():
            encoder.close()
        self._encoders.clear()

    def _forget(self) -> None:
        self._sinks, self._rest = [], {}
        self._began, self._number, self._prepared = None, 0, False

    def _encoder(self, texts: bool) -> Encoder:
        if texts not in self._encoders:
            self._encoders[texts] = encoder_of(self._format, lambda: self._sink(texts=texts), self._file_bytes)
        return self._encoders[texts]

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """A full disk, or a folder that may not be written, stops the load."""
        try:
            yield
        except OSError as e:
            raise PenstockError(
                f"the lake cannot be written: {e.strerror or e}",
                where=str(self.folder / self.stream),
                fix="make room or give the right to write; what was not committed comes again with the next load",
            ) from None

    def _sink(self, *, texts: bool, rest: bool = False) -> Sink:
        if self._began is None:
            self._began = self._clock()
            self._load = load_name(self._began, secrets.token_hex(3))
        self._number += 1
        name = file_name(self._load, self._number, self._format, self._compression, texts=texts, rest=rest)
        final = self.folder / place_of(self.stream, self._began, name)
        sink = Sink(final.with_name(hidden_name(self._mark, name)), final, self._compression)
        self._sinks.append(sink)
        return sink
