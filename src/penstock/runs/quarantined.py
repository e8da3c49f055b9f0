"""Quarantine: records that could not land, kept whole, until they are replayed or dropped."""

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
from penstock.sql import literal

if TYPE_CHECKING:
    from penstock.ledger.run_records import Query
    from penstock.ports import Destination

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
        return self.shown(next(bodies_of(self.query, [self])))

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
    kept = [
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
        return kept
    chosen: dict[UUID, Entry] = {}
    for start in ids:
        matching = [e for e in kept if str(e.id).startswith(start.lower())]
        if len(matching) != 1:
            what = "no entry" if not matching else f"{len(matching)} entries"
            raise UsageError(f"{what} with an id that starts with {start!r}", fix="penstock quarantine list --json")
        if settled or matching[0].state == "waiting":
            chosen[matching[0].id] = matching[0]
    return list(chosen.values())


def bodies_of(query: Query, wanted: Sequence[Entry]) -> Iterator[bytes]:
    """The bodies of entries, in their order, from one query."""
    ids = ", ".join(f"cast({literal(str(e.id))} as uuid)" for e in wanted)
    bodies = {str(id_): bytes(body) for id_, body in query(ledger_sql("quarantined_bodies", ids=ids)).rows}
    return (bodies[str(e.id)] for e in wanted)


def drop(destination: Destination, waiting: Sequence[Entry]) -> None:
    """Mark entries as dropped."""
    now = datetime.now(UTC)
    for entry in waiting:
        destination.query(ledger_sql("drop_quarantined"), [now, str(entry.id)])
