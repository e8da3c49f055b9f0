"""Replay: records from quarantine go through shaping and landing again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from penstock.copying.record import expect_copied
from penstock.errors import UsageError
from penstock.ports import Batch, Segment
from penstock.project.steps import LoadStep
from penstock.records.lake_files import parse
from penstock.runs.quarantined import Entry, bodies_of, entries
from penstock.sources.kinds import kind_of

if TYPE_CHECKING:
    from penstock.errors import SourceError
    from penstock.land.session import Session
    from penstock.project import Project
    from penstock.sources.rabbitmq.messages import Message

SOURCE = "quarantine"
_BATCH_BYTES = 16 << 20
_BATCH_ENTRIES = 5_000


def replay(session: Session, waiting: Sequence[Entry]) -> list[dict[str, Any]]:
    """Send entries through shaping and landing again; those that land are marked in the same transaction.

    Returns:
        For each stream ``stream``, ``replayed`` and ``waiting``, the number still in quarantine.

    Raises:
        UsageError: an entry's stream is no longer in the project; or a copy into the warehouse is not finished.
    """
    from penstock.land.loop import load

    expect_copied(session.destination, session.project.target)

    results = []
    for stream in sorted({e.stream for e in waiting}):
        if stream not in session.project.streams:
            raise UsageError(
                f"stream {stream!r} is not in the project any more",
                where=str(session.project.directory / "penstock.yml"),
                fix=f"put it back, or: penstock quarantine drop --stream {stream}",
            )
        mine = [e for e in waiting if e.stream == stream]
        target = LoadStep(stream=stream, source=SOURCE).target(session.project, replay=True)
        for untyped, part in _parts(session.project, mine):
            bodies = list(bodies_of(session.destination.query, part))
            batch = _batch(session.project, part, bodies, untyped=untyped)
            load(
                _Replay(batch),
                session.destination,
                session.shapers(stream),
                target,
                commit_bytes=session.project.load.commit_bytes,
            )
        left = {e.id for e in entries(session.destination.query, stream=stream)} & {e.id for e in mine}
        results.append({"stream": stream, "replayed": len(mine) - len(left), "waiting": len(left)})
    return results


class _Replay:
    """Entries as a source."""

    name = SOURCE

    def __init__(self, batch: Batch) -> None:
        self.failures: list[SourceError] = []
        self._batch = batch

    def read(self, known: Mapping[str, Mapping[str, Any]]) -> Iterator[Batch]:
        """Yield the entries, each with the origin it came with."""
        del known
        yield self._batch

    def acknowledge(self, acknowledgements: Sequence[Any], /) -> None:
        """The mark in the ledger is all."""


def _parts(project: Project, waiting: Sequence[Entry]) -> Iterator[tuple[bool, list[Entry]]]:
    """The entries in parts that fit into memory, and whether they are untyped: those of CSV travel apart."""
    for untyped in (False, True):
        part: list[Entry] = []
        size = 0
        for entry in (e for e in waiting if _is_untyped(e, project) == untyped):
            if part and (size + entry.bytes > _BATCH_BYTES or len(part) == _BATCH_ENTRIES):
                yield untyped, part
                part, size = [], 0
            part.append(entry)
            size += entry.bytes
        if part:
            yield untyped, part


def _record(entry: Entry, body: bytes, project: Project) -> Message:
    """The record that an entry's message holds, undone where it was kept as it came. What cannot be undone is left as
    it is, and shaping says so again."""
    from penstock.sources.rabbitmq.cloudevents import Unreadable
    from penstock.sources.rabbitmq.messages import Message, read_kept

    if entry.headers is None:
        return Message(body, None)
    id_ = entry.headers.get("id", entry.headers.get("message_id"))
    kept = Message(body, id_ if isinstance(id_, str) else None)
    source = project.sources.get(entry.source)
    try:
        undone = read_kept(
            entry.headers,
            body,
            cloudevents="data" if source is None else kind_of(source).cloudevents(source),
            max_bytes=project.streams[entry.stream].max_record_bytes,
        )
    except Unreadable:
        return kept
    return kept if undone is None else undone


def _is_untyped(entry: Entry, project: Project) -> bool:
    """Whether the record came from CSV, so that its texts may spell numbers now as they did then."""
    from penstock.records.opening import is_csv

    place = entry.origin.rpartition("#")[0]
    kept = parse(place)
    if kept is not None:
        return kept.texts
    source = project.sources.get(entry.source)
    return is_csv(place, "auto") if source is None else kind_of(source).is_untyped(source, entry.stream, place)


def _batch(project: Project, waiting: Sequence[Entry], bodies: Sequence[bytes], *, untyped: bool) -> Batch:
    import pyarrow as pa

    records = [_record(entry, body, project) for entry, body in zip(waiting, bodies, strict=True)]
    segments = []
    for i, entry in enumerate(waiting):
        place, _, number = entry.origin.rpartition("#")
        numbered = bool(place) and number.isdecimal()
        segments.append(
            Segment(start=i, place=place if numbered else entry.origin, number=int(number) if numbered else None)
        )
    parts = {i: (e.headers or {}).get("part", 1) - 1 for i, e in enumerate(waiting)}
    return Batch(
        bodies=pa.array([r.body for r in records], pa.large_binary()),
        segments=segments,
        untyped=untyped,
        replays=[str(e.id) for e in waiting],
        message_ids=pa.array([r.id for r in records], pa.string()),
        headers=lambda row: waiting[row].headers,
        came={i: body for i, body in enumerate(bodies) if records[i].body is not body},
        parts={i: part for i, part in parts.items() if part},
        bytes=sum(map(len, bodies)),
    )
