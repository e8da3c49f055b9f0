"""Quarantine: records that could not land, kept whole, to be replayed or dropped."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from penstock.errors import UsageError
from penstock.ledger import ledger_sql
from penstock.ports import Batch, Position, Segment
from penstock.project.steps import LoadStep
from penstock.records.lake_files import parse
from penstock.sources.kinds import kind_of
from penstock.sql import literal

if TYPE_CHECKING:
    from penstock.errors import SourceError
    from penstock.land.session import Session
    from penstock.ledger.runs import Query
    from penstock.ports import Destination
    from penstock.project import Project
    from penstock.sources.rabbitmq.messages import Message

SOURCE = "quarantine"
_BATCH_BYTES = 16 << 20
_BATCH_ENTRIES = 5_000
_ALL = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One record in quarantine. Of its body it has the size; ``query`` fetches the rest when it is asked for, and
    ``shown`` says how it may be shown."""

    id: UUID
    stream: str
    source: str
    bytes: int
    code: str
    reason: str
    origin: str
    load_id: int
    quarantined_at: datetime
    replayed_in: int | None
    dropped_at: datetime | None
    headers: Mapping[str, Any] | None = None
    query: Query = field(repr=False, compare=False)
    shown: Callable[[builtins.bytes], builtins.bytes] = field(default=lambda body: body, repr=False, compare=False)

    @property
    def body(self) -> builtins.bytes:
        """The record's bytes as they came, from the warehouse."""
        return self.shown(next(_bodies(self.query, [self])))

    @property
    def state(self) -> str:
        """``waiting``, ``replayed`` or ``dropped``."""
        return "replayed" if self.replayed_in is not None else "dropped" if self.dropped_at else "waiting"

    def as_dict(self) -> dict[str, Any]:
        """As plain data, without the body."""
        return {
            "id": str(self.id),
            "stream": self.stream,
            "source": self.source,
            "reason_code": self.code,
            "reason": self.reason,
            "origin": self.origin,
            "bytes": self.bytes,
            "load_id": self.load_id,
            "quarantined_at": self.quarantined_at,
            "replayed_in": self.replayed_in,
            "dropped_at": self.dropped_at,
            "state": self.state,
            "headers": self.headers,
        }


def entries(
    query: Query,
    *,
    ids: Sequence[str] = (),
    stream: str | None = None,
    reason: str | None = None,
    settled: bool = False,
    limit: int | None = None,
) -> list[Entry]:
    """Entries that wait, or all with ``settled``, the newest first.

    Raises:
        UsageError: an id in ``ids`` starts none of them, or several.
    """
    sql = ledger_sql(
        "quarantined",
        stream=literal(stream or ""),
        reason=literal(reason or ""),
        settled="true" if settled or ids else "false",
        limit=str(_ALL if limit is None else limit),
    )
    found = [
        Entry(
            id=row[0] if isinstance(row[0], UUID) else UUID(str(row[0])),
            stream=row[1],
            source=row[2],
            bytes=row[3],
            code=row[4],
            reason=row[5],
            origin=row[6],
            load_id=row[7],
            quarantined_at=row[8],
            replayed_in=row[9],
            dropped_at=row[10],
            headers=json.loads(row[11]) if isinstance(row[11], str) else row[11],
            query=query,
        )
        for row in query(sql).rows
    ]
    if not ids:
        return found
    chosen: dict[UUID, Entry] = {}
    for start in ids:
        matching = [e for e in found if str(e.id).startswith(start.lower())]
        if len(matching) != 1:
            what = "no entry" if not matching else f"{len(matching)} entries"
            raise UsageError(f"{what} with an id that starts with {start!r}", fix="penstock quarantine list --json")
        if settled or matching[0].state == "waiting":
            chosen[matching[0].id] = matching[0]
    return list(chosen.values())


def _bodies(query: Query, wanted: Sequence[Entry]) -> Iterator[bytes]:
    """The bodies of entries, in their order, from one query."""
    ids = ", ".join(f"cast({literal(str(e.id))} as uuid)" for e in wanted)
    bodies = {str(id_): bytes(body) for id_, body in query(ledger_sql("quarantined_bodies", ids=ids)).rows}
    return (bodies[str(e.id)] for e in wanted)


def replay(session: Session, waiting: Sequence[Entry]) -> list[dict[str, Any]]:
    """Send entries through shaping and landing again; those that land are marked in the same transaction.

    Returns:
        For each stream ``stream``, ``replayed`` and ``waiting``, the number still in quarantine.

    Raises:
        UsageError: an entry's stream is no longer in the project.
    """
    from penstock.land.loop import load

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
            bodies = list(_bodies(session.destination.query, part))
            batch = _batch(session.project, part, bodies, untyped=untyped)
            load(
                _Replay(batch),
                session.destination,
                session.shaper(stream),
                target,
                commit_bytes=session.project.load.commit_bytes,
            )
        left = {e.id for e in entries(session.destination.query, stream=stream)} & {e.id for e in mine}
        results.append({"stream": stream, "replayed": len(mine) - len(left), "waiting": len(left)})
    return results


def drop(destination: Destination, waiting: Sequence[Entry]) -> None:
    """Mark entries as dropped."""
    now = datetime.now(UTC)
    for entry in waiting:
        destination.query(ledger_sql("drop_quarantined"), [now, str(entry.id)])


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

    def acknowledge(self, positions: Sequence[Position]) -> None:
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
    from penstock.sources.rabbitmq.messages import Message, Unreadable, read_kept

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
