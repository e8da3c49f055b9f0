"""Files as a source: JSON, NDJSON, CSV and Parquet, also compressed, by globs.

Delivery: each file is read once as long as its content stays; NDJSON that grew is read from where it
stopped; anything in doubt (a file replaced, a run killed inside a CSV) is read again, and identity keeps the
rows single.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from penstock.errors import SourceError
from penstock.ports import Batch, Position, Window
from penstock.records.opening import CsvDialect, Kind, kind_of, opened
from penstock.records.splitters import LineSplitter, Splitter, ValueSplitter
from penstock.sources.files.hashing import READ_BYTES, Hashing, content_of
from penstock.sources.files.matching import paths_of
from penstock.sources.files.planning import FilePlan, Planning, State, same_stamp, stamp_of, stat_of
from penstock.sources.gathering import Gathering

MAX_PENDING_BYTES = 1 << 28
"""A single record longer than this stops the load: the file is not what its format says."""


class FilesSource:
    """Reads the files that match ``patterns``, in order of their names.

    Args:
        name: the source's name, under which positions are kept.
        root: the folder relative patterns start from.
        format, compression: as in the project file; ``auto`` goes by name, then by content.
        window: only part of each file is wanted, so positions are kept for that part alone.
        fingerprint: skip content that landed before; without it every file is read.
        refresh: read everything or nothing: if any file is new or changed, all are read.
        growing: leave an NDJSON file's unfinished last line for later, and list the file in ``unfinished``.
    """

    def __init__(
        self,
        name: str,
        patterns: Sequence[str],
        *,
        root: Path,
        format: str = "auto",
        compression: str = "auto",
        dialect: CsvDialect | None = None,
        batch_bytes: int = 16 << 20,
        window: Window | None = None,
        fingerprint: bool = True,
        refresh: bool = False,
        growing: bool = False,
    ) -> None:
        self.name = name
        self.failures: list[SourceError] = []
        self.failed: dict[Path, SourceError] = {}
        """The failures, by file."""
        self.skipped: list[str] = []
        self.unfinished: list[Path] = []
        self._patterns = patterns
        self._root = root
        self._format = format
        self._compression = compression
        self._dialect = dialect or CsvDialect()
        self._batch_bytes = batch_bytes
        self._scope = f"@{window}" if window else ""
        self._refresh = refresh
        self._growing = growing
        self._planning = Planning(root, scope=self._scope, kind=self._kind, fingerprint=fingerprint, refresh=refresh)

    def plan(self, known: Mapping[str, State]) -> list[FilePlan]:
        """What :meth:`read` would do with each file, from names, sizes and times alone where these suffice.

        Raises:
            SourceError: no file matches.
        """
        return self._planning.plan(self._paths(), known)

    def probe(self, plan: FilePlan) -> None:
        """Open a file and read its first bytes.

        Raises:
            SourceError: it cannot be read.
        """
        if plan.error is not None:
            raise plan.error
        kind = self._kind(plan.path, plan.place)
        with opened(plan.path, plan.place, kind.compression) as stream:
            stream.read(1)

    def read(self, known: Mapping[str, State]) -> Iterator[Batch]:
        """Yield batches of about ``batch_bytes``; small files share one. A file that cannot be read stops no other."""
        self.failures.clear()
        self.failed.clear()
        self.skipped.clear()
        self.unfinished.clear()
        gathering = Gathering()
        plans = self.plan(known)
        for plan in plans:
            if plan.action == "skip":
                self.skipped.append(plan.place)
                key = plan.place + self._scope
                state = self._planning.known(plan.place, known)
                stat = stat_of(plan.path, plan.place)
                if state is None or not same_stamp(state, stat):
                    fresh = {**(state or self._planning.twins[plan.place]), **stamp_of(stat)}
                    gathering.positions[key] = Position(source=self.name, key=key, state=fresh)
                continue
            try:
                if plan.error is not None:
                    raise plan.error
                kind = self._kind(plan.path, plan.place)
                untyped = self._is_untyped(plan, kind)
                if gathering.rows and gathering.untyped != untyped:
                    yield gathering.take()
                gathering.untyped = untyped
                for _ in self._read_file(plan, kind, known, gathering):
                    if gathering.bytes >= 0.9 * self._batch_bytes:
                        yield gathering.take()
            except SourceError as e:
                self.failures.append(e)
                self.failed[plan.path] = e
        for key in self._planning.gone(plans, known):
            gathering.positions[key] = Position(source=self.name, key=key, state={"gone": True})
        if gathering.rows or gathering.rejects or gathering.positions:
            yield gathering.take()

    def acknowledge(self, acknowledgements: Sequence[Any], /) -> None:
        """Files need no acknowledgement: the position in the ledger is all."""

    def paths(self) -> list[Path]:
        """The files there are, in the order in which they are read, and the folders that may hold some and cannot be
        listed. A dot or ``_`` before its name hides a file."""
        return paths_of(self._patterns, self._root)

    def _paths(self) -> list[Path]:
        files = self.paths()
        if not files:
            raise SourceError(
                f"source {self.name}: no file matches {', '.join(self._patterns)}",
                where=str(self._root),
                fix="put files there, or mend path: in penstock.yml",
            )
        return files

    def _kind(self, path: Path, place: str) -> Kind:
        return kind_of(path, place, self._format, self._compression)

    def _is_untyped(self, plan: FilePlan, kind: Kind) -> bool:
        """Whether every value of a file is text without a type."""
        del plan
        return kind.format == "csv"

    def _read_file(
        self, plan: FilePlan, kind: Kind, known: Mapping[str, State], gathering: Gathering
    ) -> Iterator[None]:
        """Add a file's records to the batch in hand, pausing where a batch may end."""
        stat = self._state(plan)
        if kind.format == "parquet" or kind.format == "csv":
            yield from self._read_table(plan, kind, stat, gathering)
            return
        with opened(plan.path, plan.place, kind.compression) as stream:
            if kind.format == "ndjson":
                digest, splitter, offset = self._resumed(plan, stream, known)
                if splitter is None:
                    with opened(plan.path, plan.place, kind.compression) as again:
                        fresh = LineSplitter(line_end=None)
                        yield from self._split(plan, again, fresh, hashlib.sha256(), 0, stat, gathering)
                    return
                yield from self._split(plan, stream, splitter, digest, offset, stat, gathering)
            else:
                yield from self._split(plan, stream, ValueSplitter(), hashlib.sha256(), 0, stat, gathering)

    def _state(self, plan: FilePlan) -> dict[str, Any]:
        """What a position says of a file before it is read."""
        stat = stamp_of(stat_of(plan.path, plan.place))
        return {**stat, "scope": self._scope} if self._scope else stat

    def _resumed(self, plan: FilePlan, stream: Any, known: Mapping[str, State]) -> tuple[Any, LineSplitter | None, int]:
        """Skip what was read, if it is still what it was. Without a splitter, start over."""
        digest = hashlib.sha256()
        if plan.action != "resume":
            return digest, LineSplitter(line_end=None), 0
        state = self._planning.known(plan.place, known)
        assert state is not None
        missing = plan.offset
        while missing and (chunk := stream.read(min(missing, READ_BYTES))):
            digest.update(chunk)
            missing -= len(chunk)
        if missing or digest.hexdigest() != state["prefix"]:
            return digest, None, 0
        line_end = state.get("line_end", "\n").encode()
        return digest, LineSplitter(lines_before=state["lines"], line_end=line_end), plan.offset

    def _split(
        self,
        plan: FilePlan,
        stream: Any,
        splitter: Splitter,
        digest: Any,
        offset: int,
        stat: dict[str, Any],
        gathering: Gathering,
    ) -> Iterator[None]:
        by_line = isinstance(splitter, LineSplitter)
        key = plan.place + self._scope
        chunk_bytes = min(self._batch_bytes, 1 << 24)
        lines = splitter.lines if isinstance(splitter, LineSplitter) else 0
        while chunk := stream.read(chunk_bytes):
            before = splitter.rest
            cut = splitter.cut(chunk)
            if isinstance(splitter, LineSplitter):
                taken = len(before) + len(chunk) - len(splitter.rest)
                if taken:
                    digest.update(before)
                    digest.update(memoryview(chunk)[: len(chunk) - len(splitter.rest)])
                offset += taken
                lines = splitter.lines
                if splitter.line_end == b"\r":
                    stat = {**stat, "line_end": "\r"}
            else:
                digest.update(chunk)
            if cut is None:
                self._check_pending(splitter, plan.place)
                continue
            gathering.add(plan.place, cut)
            if by_line:
                state = {**stat, "complete": False, "offset": offset, "lines": lines, "prefix": digest.hexdigest()}
                gathering.positions[key] = Position(source=self.name, key=key, state=state)
            chunk, cut = b"", None  # whoever takes the batch may let us wait
            yield
        prefix = digest.hexdigest()
        rest = splitter.rest
        if by_line and rest and self._growing and not _is_json(rest):
            self.unfinished.append(plan.path)
            yield
            return
        if by_line:
            digest.update(rest)
            if rest and _is_json(rest):
                # its line is still open, so it does not count among the lines before
                prefix, offset = digest.hexdigest(), offset + len(rest)
        if (cut := splitter.finish()) is not None:
            gathering.add(plan.place, cut)
        done = {**stat, "complete": True, "content": digest.hexdigest()}
        if by_line:
            done |= {"offset": offset, "lines": lines, "prefix": prefix}
        gathering.positions[key] = Position(source=self.name, key=key, state=done)
        yield

    def _check_pending(self, splitter: Splitter, place: str) -> None:
        if len(splitter.rest) > MAX_PENDING_BYTES:
            raise SourceError(
                f"a record longer than {MAX_PENDING_BYTES >> 20} MiB; the file is not what its format says",
                where=place,
                fix="check the file, or set format: on the source",
            )

    def _read_table(self, plan: FilePlan, kind: Kind, stat: dict[str, Any], gathering: Gathering) -> Iterator[None]:
        """CSV and Parquet: their position is the whole file."""
        # not at the top: what they need takes a quarter of the start of a process that reads none
        from penstock.sources.files.parquet import parquet_rows
        from penstock.sources.files.tabular import csv_rows

        if kind.format == "parquet":
            for cut in parquet_rows(str(plan.path), plan.place):
                gathering.add(plan.place, cut)
                yield
            digest = content_of(plan.path, plan.place, kind)
        else:
            dialect = self._dialect
            if dialect.delimiter is None and kind.delimiter:
                dialect = replace(dialect, delimiter=kind.delimiter)
            with opened(plan.path, plan.place, kind.compression) as stream:
                hashing = Hashing(stream)
                for cut, rejects in csv_rows(hashing, plan.place, dialect, min(self._batch_bytes, 8 << 20)):
                    gathering.add(plan.place, cut)
                    gathering.rejects.extend(rejects)
                    yield
            digest = hashing.digest.hexdigest()
        key = plan.place + self._scope
        state = {**stat, "complete": True, "content": digest}
        gathering.positions[key] = Position(source=self.name, key=key, state=state)
        yield


def _is_json(line: bytes) -> bool:
    """Whether a last line without its newline is whole. A cut-off one is, unless it is a bare number, not JSON."""
    try:
        return not isinstance(json.loads(line), int | float)
    except (ValueError, RecursionError):
        return False
