"""The ledger: the tables in schema ``penstock`` of the destination, and the statements on them.

The statements are the same for every destination but for a few types, which are slots; each destination
runs them in the transaction that lands the rows.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from penstock.errors import UsageError
from penstock.ports import Reject, SchemaMoved, Target
from penstock.schema import Column, Schema
from penstock.sql import identifier, literal, statement, statements

LEDGER_LOCK = "penstock ledger"
"""The name of the advisory lock under which numbers of commits are handed out, where several processes commit."""

TYPES: Mapping[str, Mapping[str, str]] = {
    "duckdb": {"text": "varchar", "json": "json", "bytes": "blob"},
    "postgres": {"text": "text", "json": "jsonb", "bytes": "bytea"},
}

SCHEMAS = ("penstock", "raw")
"""The schemas that have to be there before :func:`create_statements`."""

INDEXES: Mapping[str, str | None] = {"duckdb": None, "postgres": "indexes_postgres.sql"}


def create_statements(kind: str) -> list[str]:
    """Statements that make what is missing of the ledger, or of one by an earlier version; harmless again."""
    more = INDEXES[kind]
    tables = statements("penstock.ledger", "create.sql", **TYPES[kind])
    return [*tables, *(statements("penstock.ledger", more) if more else ())]


def ledger_sql(name: str, **parts: str) -> str:
    """A statement of the ledger: the text of ``<name>.sql``."""
    return statement("penstock.ledger", f"{name}.sql", **parts)


def delta_view(stream: str) -> str:
    """Statement that makes ``raw.<stream>__delta``: the rows of the latest load that landed any."""
    return statement(
        "penstock.ledger",
        "delta.sql",
        view=f"raw.{identifier(stream + '__delta')}",
        table=f"raw.{identifier(stream)}",
        stream=literal(stream),
    )


def check_stream(target: Target, identity: str, disposition: str) -> None:
    """A stream's identity and disposition are those of its first landing: other ones would double its rows.

    Raises:
        UsageError: they were changed in the project.
    """
    for what, was, now in (("identity", identity, target.identity), ("disposition", disposition, target.disposition)):
        if was != now:
            raise UsageError(
                f"stream {target.stream}: {what} was {was} when it first landed, and is {now} now",
                fix=f"put {what}: {was} back, or start the stream anew: penstock reset {shlex.quote(target.stream)}",
            )


def schema_from_rows(rows: Iterable[Sequence[Any]]) -> Schema:
    """The schema of ``columns.sql``'s rows: version, field, name, type, declared, variant, in table order."""
    rows = list(rows)
    if not rows:
        return Schema()
    columns = tuple(Column(field=f, name=n, type=t, declared=d, variant=v) for _, f, n, t, d, v in rows)
    return Schema(version=max(row[0] for row in rows), columns=columns)


def added_columns(have: Schema, wanted: Schema) -> tuple[Column, ...]:
    """The columns by which ``wanted`` grows out of ``have``.

    Raises:
        SchemaMoved: it does not: another load has changed the stream's schema meanwhile.
    """
    count = len(have.columns)
    if wanted.version <= have.version or wanted.columns[:count] != have.columns:
        raise SchemaMoved
    return wanted.columns[count:]


def column_rows(stream: str, have: Schema, wanted: Schema) -> list[tuple[Any, ...]]:
    """The parameters of ``add_column.sql`` for each column by which ``wanted`` grows out of ``have``."""
    return [
        (stream, wanted.version, position, c.field, c.name, c.type, c.declared, c.variant)
        for position, c in enumerate(added_columns(have, wanted), len(have.columns) + 1)
    ]


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


def quarantine_rows(stream: str, rejects: Iterable[Reject]) -> dict[UUID, Reject]:
    """Rejects by the identity of their entry, the first of each."""
    rows: dict[UUID, Reject] = {}
    for reject in rejects:
        rows.setdefault(quarantine_id(stream, reject), reject)
    return rows


def headers_text(reject: Reject) -> str | None:
    """A reject's headers as JSON."""
    return None if reject.headers is None else json.dumps(reject.headers, sort_keys=True)


def state_text(state: Mapping[str, Any]) -> str:
    """A position's state as JSON, the same for equal states."""
    return json.dumps(state, sort_keys=True, separators=(",", ":"))
