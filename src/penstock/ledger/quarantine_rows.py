"""Records in quarantine: which entry a record is, and what of it is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from penstock.ports import Reject, Target

COLUMNS: Mapping[str, str] = {
    "quarantine_id": "uuid",
    "stream": "text",
    "source": "text",
    "body": "bytes",
    "reason_code": "text",
    "reason": "text",
    "origin": "text",
    "load_id": "bigint",
    "quarantined_at": "timestamptz",
    "headers": "json",
    "bytes": "bigint",
}
"""What is kept of a reject, each with its type."""
_PART_BYTES = 16 << 20
_COUNTS = ("x-delivery-count", "x-acquired-count", "x-stream-offset")
"""Headers by which a broker counts: a message that is delivered again is the same in spite of them."""
_PUBLISHER = "penstock"
_TRANSPORT = ("content_type", "content_encoding", "delivery_mode", "priority", "expiration", "cluster_id")
"""Properties that say how a message travels, and nothing of the record: it is the same as one of a file."""


def quarantine_id(stream: str, reject: Reject) -> UUID:
    """A record is quarantined once: the same bytes in the same stream are the same entry, with the same headers where
    it came as a message that has some. What was replayed stays the entry it is."""
    if reject.entry is not None:
        return UUID(reject.entry)
    digest = hashlib.sha256(stream.encode() + b"\0" + reject.body)
    beside = {k: v for k, v in (reject.headers or {}).items() if k not in _TRANSPORT}
    if beside.get("app_id") == _PUBLISHER:
        # what our own publisher adds is made of the record
        beside = {}
    if isinstance(inner := beside.pop("headers", None), Mapping):
        inner = {k: v for k, v in inner.items() if k not in _COUNTS}
    if inner or beside:
        digest.update(b"\0" + json.dumps({**beside, "headers": inner or None}, sort_keys=True).encode())
    return UUID(bytes=digest.digest()[:16])


def entries(
    target: Target, rejects: Iterable[Reject], load_id: int, at: datetime
) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Rejects as rows of :data:`COLUMNS`, the first of each entry, in parts of about 16 MiB or one body."""
    kept: dict[UUID, Reject] = {}
    for reject in rejects:
        kept.setdefault(quarantine_id(target.stream, reject), reject)
    rows: list[tuple[Any, ...]] = []
    size = 0
    for id_, reject in kept.items():
        if rows and size + len(reject.body) > _PART_BYTES:
            yield rows
            rows, size = [], 0
        headers = None if reject.headers is None else json.dumps(reject.headers, sort_keys=True)
        reason = reject.reason.replace("\0", "\\0")
        known = (reject.body, reject.code, reason, reject.origin, load_id, at, headers, len(reject.body))
        rows.append((id_, target.stream, target.source, *known))
        size += len(reject.body)
    if rows:
        yield rows
