"""Watches folders: a file dropped there is landed, or put on the stream's queue, as soon as it is wholly written.

Delivery: each file once, as the files source has it. How far files were published is kept in the ledger too, after all
their messages are confirmed: killed in between, the same messages are sent again, with the same ids.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from penstock.backoff import Backoff
from penstock.errors import (
    ContractError,
    DestinationError,
    LockedError,
    PenstockError,
    RefusedMessages,
    RejectedRows,
    SourceError,
)
from penstock.faults import fault_point
from penstock.land.presence import presence_of
from penstock.ledger import TYPES, ledger_sql, state_text
from penstock.lineage import Told, lineage_of
from penstock.logs import Commits, bound, described, get_log, listed
from penstock.ports import Batch, Position, Receipt, Target
from penstock.project.steps import LoadStep
from penstock.runs.folders import as_written, settings_of
from penstock.sources.files.kind import open_files
from penstock.sources.files.matching import folders_of
from penstock.sources.kinds import opening_of
from penstock.spec import StreamSpec
from penstock.sql import filled
from penstock.troubles import Troubles

if TYPE_CHECKING:
    from penstock.land.loop import Stop
    from penstock.land.session import Session
    from penstock.ports import Rows
    from penstock.project import Project
    from penstock.schema import Schema
    from penstock.sources.files.arrivals import Arrivals
    from penstock.sources.files.source import FilesSource

_log = get_log("watch")

UNFINISHED_SECONDS = 60.0
"""How long a last line may stay unfinished before it counts as it is."""

_GROUP = 10_000
_FIRST_BACKOFF_SECONDS = 0.5
_LAST_BACKOFF_SECONDS = 30.0


class Watcher(Troubles):
    """Lands what arrives in a folder, in the calling thread.

    Args:
        stream: where it lands.
        source: one of the stream's sources of files, which says which and of what kind; or
            :data:`penstock.runs.folders.UNNAMED`, for all files in ``directory``.
        directory: only files in this folder, at any depth. A stream that each load replaces is read whole all the same.
        publish: put the records on the stream's queue instead.
        once: end when everything there has been taken, and do not wait for a destination that is away.
        on_commit: called after each commit, when ``files`` has the names of those that it landed.
        on_known: called with the names of files that brought nothing, and with why: they landed before, or are empty.
        held: gives the way to ask a process that has the warehouse to itself, None while there is none: how far files
            were published is then kept through it.
    """

    def __init__(
        self,
        project: Project,
        stream: str,
        source: str,
        *,
        directory: Path | None = None,
        publish: bool = False,
        once: bool = False,
        stop: Stop,
        on_commit: Callable[[Receipt], None] = lambda _: None,
        on_known: Callable[[str, Sequence[str]], None] = lambda *_: None,
        held: Callable[[], Callable[[str], Rows] | None] = lambda: None,
    ) -> None:
        self.files: Sequence[str] = ()
        self.failures: dict[Path, PenstockError] = {}
        """The files that could not be taken, as they are now. One that changes is tried again."""
        self.published = 0
        """Messages that the broker has confirmed."""
        self.stream = stream
        self.source = source
        self._project = project
        self._stream = stream
        self._publish = publish
        self._once = once
        self._stop = stop
        self._on_commit = on_commit
        self._on_known = on_known
        self._held = held
        self._places: dict[str, None] = {}
        self._empty: dict[str, None] = {}
        self._commits = Commits(_log, stream=stream, source=source)
        self._told: Told | None = None
        self._settings = settings_of(project, stream, source, directory)
        self._directory = None if directory is None else as_written(project, self._settings, directory)
        self._step = LoadStep(
            stream=stream,
            source=f"publish {source}" if publish else source,
            land=project.streams[stream].land and not publish,
        )
        self._opening = opening_of(project, self._step)
        self._whole = not publish and project.streams[stream].disposition == "replace"
        self._pending = False
        self._warned: set[str] = set()

    @property
    def state(self) -> Literal["running", "waiting"]:
        """``waiting`` while what takes the records is away."""
        return "waiting" if self.last_error else "running"

    def run(self) -> None:
        """Take the files that are there, then those that come, until stopped.

        Raises:
            UsageError: the project does not fit what landed before, or the stream has no queue to publish to.
            DestinationError, LockedError, SourceError, RefusedMessages: with ``once``, what takes the records is away.
        """
        from penstock.land.session import Session
        from penstock.sources.files.arrivals import Arrivals

        with bound(stream=self._stream, source=self._step.source), Session(self._project) as session:
            folders = folders_of(self._settings.path, self._project.directory)
            arrivals = Arrivals(
                open_files(self._settings, self._opening),
                folders=folders,
                within=None if self._whole else self._directory,
                settle_seconds=self._settings.settle_seconds,
                format=self._settings.format,
            )
            _log.info("watching", folders=list(map(str, [self._directory] if self._directory else folders)))
            try:
                self._follow_told(session, arrivals)
            finally:
                self._commits.flush()
            _log.info("stopped watching")

    def _follow_told(self, session: Session, arrivals: Arrivals) -> None:
        """The lineage of what is published is told by whoever consumes it."""
        if self._publish:
            self._follow(session, arrivals)
            return
        telling = lineage_of(self._project)
        schema = partial(_schema, session, self._stream)
        with telling.load(self._step, schema, streaming=not self._once) as self._told:
            self._follow(session, arrivals)

    def _follow(self, session: Session, arrivals: Arrivals) -> None:
        from penstock.sources.files.arrivals import RESCAN_SECONDS

        while not self._stop:
            with arrivals.noticing():  # anew now and then: folders come and go
                waited = 0.0
                while not self._stop and waited < RESCAN_SECONDS:
                    self._take(session, arrivals)
                    if self._once and arrivals.settled:
                        return
                    session.release()
                    waited += arrivals.wait(RESCAN_SECONDS - waited, self._stop)

    def _take(self, session: Session, arrivals: Arrivals) -> None:
        """What has arrived since the last time."""
        arrived = arrivals.scan()
        self.failures = {path: e for path, e in self.failures.items() if path.exists()}
        if self._whole:
            self._pending = self._pending or bool(arrived) or arrivals.lost
            if self._pending and arrivals.settled and arrivals.files:
                self._pending = False
                self._take_files(session, arrivals, arrivals.files, final=True)
            return
        for final in (False, True):
            paths = [arrival.path for arrival in arrived if (arrival.final or self._once) == final]
            for at in range(0, len(paths), _GROUP):
                self._take_files(session, arrivals, paths[at : at + _GROUP], final=final)

    def _take_files(self, session: Session, arrivals: Arrivals, paths: Sequence[Path], *, final: bool) -> None:
        """Files together; when one of them cannot be taken, it is found, and the others are."""
        if self._stop:
            return
        settings = self._settings.model_copy(update={"path": tuple(glob.escape(str(path)) for path in paths)})
        source = open_files(settings, replace(self._opening, refresh=self._whole), growing=not final)
        failure = self._patiently(session, source)
        arrivals.again(source.unfinished, seconds=UNFINISHED_SECONDS, final=True)
        if failure is None:
            if not self._stop:
                self._tell_known("published before" if self._publish else "landed before", source.skipped)
                self._tell_known("no records", sorted(self._empty.keys() - set(source.skipped)))
            for path in paths:
                self.failures.pop(path, None)
            for path, error in source.failed.items():
                self._fails(path, error)
        elif self._whole or len(paths) == 1:
            self._fails(paths[0], failure)
        else:
            half = len(paths) // 2
            self._take_files(session, arrivals, paths[:half], final=final)
            self._take_files(session, arrivals, paths[half:], final=final)

    def _tell_known(self, why: str, places: Sequence[str]) -> None:
        if places:
            _log.info(why, files=listed(places))
            self._on_known(why, places)

    def _fails(self, path: Path, error: PenstockError) -> None:
        if path.exists():
            self.failures[path] = error
            _log.warning("a file cannot be taken", file=str(path), **described(error))

    def _patiently(self, session: Session, source: FilesSource) -> PenstockError | None:
        """Take files, as soon as what takes the records is there; the error of a file that cannot be taken."""
        backoff = Backoff(_FIRST_BACKOFF_SECONDS, _LAST_BACKOFF_SECONDS)
        while not self._stop:
            try:
                failure = self._publish_files(session, source) if self._publish else self._land(session, source)
                self.last_error = ""
                return failure
            except (DestinationError, LockedError, SourceError, RefusedMessages) as e:
                session.release()
                if self._once:
                    raise
                if str(e) != self.last_error:
                    self.last_error = str(e)
                    _log.warning("waiting for what takes the records", **described(e))
                self._stop.wait(backoff.next_seconds())
        return None

    def _land(self, session: Session, source: FilesSource) -> PenstockError | None:
        from penstock.land.loop import load

        destination = session.destination
        self._places, self._empty = {}, {}
        try:
            landed = load(
                source,
                destination,
                session.shapers(self._stream),
                self._step.target(self._project),
                commit_bytes=self._project.load.commit_bytes,
                progress=self._wrote,
                on_commit=self._committed,
                stop=self._stop,
                landings=session.landings(self._step),
                presence=presence_of(self._project, self._stream, self._step.source),
            )
        except (SourceError, ContractError, RejectedRows) as e:
            return e
        except OSError as e:
            return _unreadable(e)
        for text in landed.warnings:
            if text not in self._warned:
                self._warned.add(text)
                _log.warning("the project file may be mistaken", detail=text)
        return None

    def _wrote(self, batch: Batch) -> None:
        places = {segment.place: None for segment in batch.segments}
        places |= {reject.origin.rpartition("#")[0]: None for reject in batch.rejects}
        self._places |= places
        self._empty |= {position.key: None for position in batch.positions}
        for place in places:
            self._empty.pop(place, None)

    def _committed(self, receipt: Receipt) -> None:
        self.files, self._places = tuple(self._places), {}
        self.last_error = ""
        self._commits(receipt, self.files)
        if self._told is not None:
            self._told.committed(receipt)
        self._on_commit(receipt)

    def _publish_files(self, session: Session, source: FilesSource) -> PenstockError | None:
        from penstock.publish import Request, bodies_of, feeding

        batches = source.read(self._published_before(session))
        with feeding(self._project, Request(stream=self._stream, files=())) as send:
            while not self._stop:
                try:
                    batch = next(batches)
                except StopIteration:
                    break
                except SourceError as e:
                    return e
                except OSError as e:
                    return _unreadable(e)
                send(bodies := bodies_of(batch))
                fault_point("after_publish")
                self._remember(session, batch.positions)
                self.published += len(bodies)
                if bodies:
                    places = sorted({segment.place for segment in batch.segments})
                    where = places[0] if len(places) == 1 else f"{len(places)} files"
                    _log.info("published", messages=len(bodies), place=where)
        return None

    def _published_before(self, session: Session) -> dict[str, dict[str, Any]]:
        query = self._held()
        if query is None:
            return session.destination.ledger.positions(self._stream, self._step.source)
        rows = query(filled(ledger_sql("positions"), [self._stream, self._step.source])).rows
        return {key: json.loads(state) for key, state in rows}

    def _remember(self, session: Session, positions: Sequence[Position]) -> None:
        """Keep in the ledger how far files were published."""
        if (query := self._held()) is not None:
            load_id = str(query("select nextval('penstock.load_ids')").rows[0][0])
            now = datetime.now(UTC).isoformat()
            for p in positions:
                values = [self._stream, p.source, p.key, state_text(p.state), load_id, now]
                query(filled(ledger_sql("keep_position", **TYPES["duckdb"]), values))
            return
        spec = StreamSpec(stream=self._stream)
        landing = session.destination.land(Target(spec=spec, source=self._step.source, partial=True))
        try:
            landing.keep(positions)
            landing.commit()
        except BaseException:
            landing.rollback()
            raise


def _schema(session: Session, stream: str) -> Schema:
    return session.destination.ledger.schema(stream)


def _unreadable(error: OSError) -> SourceError:
    return SourceError(f"cannot be read: {error.strerror or error}", where=str(error.filename or ""), fix="look at it")
