"""Quarantine: records that could not land, kept whole, to be replayed or dropped."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from penstock.errors import UsageError
from penstock.lake.names import parse
from penstock.ledger import ledger_sql
from penstock.plan import LoadStep
from penstock.ports import Batch, Position, Segment
from penstock.sql import literal

if TYPE_CHECKING:
    from penstock.errors import SourceError
    from penstock.ledger.runs import Query
    from penstock.ports import Destination
    from penstock.project import Project
    from penstock.session import Session

SOURCE = "quarantine"
_BATCH_BYTES = 16 << 20
_ALL = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One record in quarantine; ``body`` is its bytes as they came."""

    id: UUID
    stream: str
    source: str
    body: bytes
    code: str
    reason: str
    origin: str
    load_id: int
    quarantined_at: datetime
    replayed_in: int | None
    dropped_at: datetime | None
    headers: Mapping[str, Any] | None = None

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
            body=bytes(row[3]),
            code=row[4],
            reason=row[5],
            origin=row[6],
            load_id=row[7],
            quarantined_at=row[8],
            replayed_in=row[9],
            dropped_at=row[10],
            headers=json.loads(row[11]) if isinstance(row[11], str) else row[11],
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


def replay(session: Session, waiting: Sequence[Entry]) -> list[dict[str, Any]]:
    """Send entries through shaping and landing again; those that land are marked in the same transaction.

    Returns:
        For each stream ``stream``, ``replayed`` and ``waiting``, the number still in quarantine.

    Raises:
        UsageError: an entry's stream is no longer in the project.
    """
    from penstock.run import load

    results = []
    for stream in sorted({e.stream for e in waiting}):
        if stream not in session.project.streams:
            raise UsageError(
                f"stream {stream!r} is not in the project any more",
                where=str(session.project.directory / "penstock.yml"),
                fix=f"put it back, or: penstock quarantine drop --stream {stream}",
            )
        mine = [_decompressed(e, session.project) for e in waiting if e.stream == stream]
        step = LoadStep(stream=stream, source=SOURCE)
        load(
            _Entries(mine, {e.id for e in mine if _is_untyped(e, session.project)}),
            session.destination,
            session.shaper(stream),
            step.target(session.project, replay=True),
            commit_bytes=session.project.load.commit_bytes,
        )
        left = {e.id for e in entries(session.destination.query, stream=stream)} & {e.id for e in mine}
        results.append({"stream": stream, "replayed": len(mine) - len(left), "waiting": len(left)})
    return results


def drop(destination: Destination, waiting: Sequence[Entry]) -> None:
    """Mark entries as dropped."""
    for entry in waiting:
        destination.query(ledger_sql("drop_quarantined"), [datetime.now(UTC), str(entry.id)])


class _Entries:
    """Entries as a source."""

    name = SOURCE

    def __init__(self, waiting: Sequence[Entry], untyped: Container[UUID]) -> None:
        self.failures: list[SourceError] = []
        self._waiting = waiting
        self._untyped = untyped

    def read(self, known: Mapping[str, Mapping[str, Any]]) -> Iterator[Batch]:
        """Yield the entries, each with the origin it came with."""
        del known
        for untyped in (False, True):
            batch: list[Entry] = []
            size = 0
            for entry in (e for e in self._waiting if (e.id in self._untyped) == untyped):
                batch.append(entry)
                size += len(entry.body)
                if size >= _BATCH_BYTES:
                    yield _batch(batch, untyped=untyped)
                    batch, size = [], 0
            if batch:
                yield _batch(batch, untyped=untyped)

    def acknowledge(self, positions: Sequence[Position]) -> None:
        """The mark in the ledger is all."""


def _decompressed(entry: Entry, project: Project) -> Entry:
    """An entry whose message came compressed and was kept so, with the record that is in it. Unreadable still, it is
    left as it is, and shaping says so again."""
    from penstock.sources.messages import Unreadable, read_kept

    if entry.headers is None:
        return entry
    source = project.sources.get(entry.source)
    try:
        message = read_kept(
            entry.headers,
            entry.body,
            cloudevents=source.cloudevents if source is not None and source.type == "rabbitmq" else "data",
            max_bytes=project.streams[entry.stream].max_record_bytes,
        )
    except Unreadable:
        return entry
    if message is None:
        return entry
    return replace(entry, body=message.body, headers={**entry.headers, "message_id": message.id})


def _is_untyped(entry: Entry, project: Project) -> bool:
    """Whether the record came from CSV, so that its texts may spell numbers now as they did then."""
    from penstock.sources.opening import is_csv

    place = entry.origin.rpartition("#")[0]
    kept = parse(place)
    if kept is not None:
        return kept.texts
    source = project.sources.get(entry.source)
    if source is not None and source.type not in ("files", "lake"):
        return False
    return is_csv(place, source.format if source is not None and source.type == "files" else "auto")


def _batch(waiting: Sequence[Entry], *, untyped: bool) -> Batch:
    import pyarrow as pa

    segments = []
    for i, entry in enumerate(waiting):
        place, _, number = entry.origin.rpartition("#")
        numbered = bool(place) and number.isdecimal()
        segments.append(
            Segment(start=i, place=place if numbered else entry.origin, number=int(number) if numbered else None)
        )
    return Batch(
        bodies=pa.array([e.body for e in waiting], pa.binary()),
        segments=segments,
        untyped=untyped,
        replays=[str(e.id) for e in waiting],
        message_ids=pa.array([(e.headers or {}).get("message_id") for e in waiting], pa.string()),
        headers=lambda row: waiting[row].headers,
        bytes=sum(len(e.body) for e in waiting),
    )
