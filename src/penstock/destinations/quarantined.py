"""Records for the quarantine, as Arrow tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

import pyarrow as pa

from penstock.ledger import headers_text, quarantine_rows
from penstock.ports import Reject, Target

_PART_BYTES = 16 << 20
_LARGE_BYTES = 1 << 20


def refused_bytes(rejects: Sequence[Reject]) -> int:
    """What bodies take that are so large that room has to be made for them."""
    return sum(len(r.body) for r in rejects if len(r.body) > _LARGE_BYTES)


def quarantine_parts(target: Target, rejects: Sequence[Reject], load_id: int) -> Iterator[pa.Table]:
    """The entries of rejects with the columns of ``quarantine.sql``, in tables of about 16 MiB or one body."""
    entries: list[tuple[UUID, Reject]] = []
    size = 0
    for id_, reject in quarantine_rows(target.stream, rejects).items():
        if entries and size + len(reject.body) > _PART_BYTES:
            yield _table(target, entries, load_id)
            entries, size = [], 0
        entries.append((id_, reject))
        size += len(reject.body)
    if entries:
        yield _table(target, entries, load_id)


def _table(target: Target, entries: Sequence[tuple[UUID, Reject]], load_id: int) -> pa.Table:
    rejects = [reject for _, reject in entries]
    return pa.table(
        {
            "quarantine_id": pa.array([id_.bytes for id_, _ in entries], pa.uuid()),
            "stream": [target.stream] * len(rejects),
            "source": [target.source] * len(rejects),
            "body": pa.array([r.body for r in rejects], pa.large_binary()),
            "reason_code": [r.code for r in rejects],
            "reason": [r.reason.replace("\0", "\\0") for r in rejects],
            "origin": [r.origin for r in rejects],
            "load_id": [load_id] * len(rejects),
            "quarantined_at": pa.array([datetime.now(UTC)] * len(rejects), pa.timestamp("us", "UTC")),
            "headers": pa.array([headers_text(r) for r in rejects], pa.string()),
            "bytes": [len(r.body) for r in rejects],
        }
    )
