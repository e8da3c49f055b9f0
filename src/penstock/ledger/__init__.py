"""The ledger: the tables in schema ``penstock``, and the statements on them.

The statements are the same for every engine but for a few types, which are slots.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from penstock.errors import UsageError
from penstock.ports import SchemaMoved, Target
from penstock.schema import Column, Schema
from penstock.sql import identifier, literal, statement, statements

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
    for what, was, now in (
        ("identity", identity, target.spec.sameness),
        ("disposition", disposition, target.spec.disposition),
    ):
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


def state_text(state: Mapping[str, Any]) -> str:
    """A position's state as JSON, the same for equal states."""
    return json.dumps(state, sort_keys=True, separators=(",", ":"))
