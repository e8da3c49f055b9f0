"""Gives raw tables the pseudonyms of the current key: after a key was changed, or a field was marked as personal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.copying.record import expect_copied
from penstock.shape.personal import PSEUDONYM, plain, with_columns, with_pseudonyms
from penstock.sql import identifier, literal

if TYPE_CHECKING:
    from penstock.land.session import Session
    from penstock.schema import Column, Schema

_ROWS = 20_000


def rekey(session: Session, stream: str) -> int:
    """Give a stream's rows the pseudonyms of the current key where they have others or none; how many were changed.

    Each 20,000 rows are a transaction of their own: a call that was killed is finished by the next. Models are to be
    built anew after it.

    Raises:
        UsageError: no key; or a copy into the warehouse is not finished.
    """
    spec, destination = session.project.spec(stream), session.destination
    expect_copied(destination, session.project.target)
    schema = destination.ledger.schema(stream)
    if not spec.pii or spec.keys is None or not schema.columns:
        return 0
    with destination.transaction([stream]):
        schema = destination.ledger.schema(stream)
        wanted = with_pseudonyms(schema, plain(schema), spec.pii)
        if wanted != schema:
            _add_columns(session, stream, schema, wanted)
    pairs = {c.name: c.field for c in wanted.columns if c.type == PSEUDONYM and c.field in spec.pii}
    sources = [c for c in wanted.columns if c.field in spec.pii and c.type != PSEUDONYM]
    of = {p: [c.name for c in sources if c.field == f] for p, f in pairs.items()}
    stale = " or ".join(
        f"(({' or '.join(f'{identifier(c)} is not null' for c in names)})"
        f" and coalesce({identifier(p)} not like {literal(spec.keys.current + ':%')}, true))"
        for p, names in of.items()
    )
    table, changed, last = f"raw.{identifier(stream)}", 0, "00000000-0000-0000-0000-000000000000"
    if not of:
        return 0
    listed = ", ".join(["_pen_id", *(_read(c) for c in sources)])
    sets = ", ".join(f"{identifier(p)} = m.p{i}" for i, p in enumerate(of))
    arrays = ", ".join(f"unnest(cast(${i} as text[])) as p{i - 2}" for i in range(2, len(of) + 2))
    while True:
        with destination.transaction([stream]):
            rows = destination.query(
                f"select {listed} from {table} where _pen_id >= cast($1 as uuid) and ({stale})"
                f" order by _pen_id limit {_ROWS}",
                [last],
            ).rows
            if rows:
                pseudonyms = _pseudonyms(rows, wanted, [c.name for c in sources], list(of), spec.pii, spec.keys)
                destination.query(
                    f"update {table} as t set {sets} from (select unnest(cast($1 as uuid[])) as id, {arrays}) as m"
                    " where t._pen_id = m.id",
                    [[str(row[0]) for row in rows], *(pseudonyms[p] for p in of)],
                )
        changed += len(rows)
        if len(rows) < _ROWS:
            return changed
        last = str(rows[-1][0])


def _read(column: Column) -> str:
    return f"cast({identifier(column.name)} as text)" if column.type == "json" else identifier(column.name)


def _pseudonyms(
    rows: Any, schema: Schema, names: list[str], wanted: list[str], pii: Any, keys: Any
) -> dict[str, list[str | None]]:
    import duckdb
    import pyarrow as pa

    from penstock.shape.arrow import cast
    from penstock.shape.types import arrow_type

    types = {c.name: c.type for c in schema.columns}
    columns = {}
    for i, name in enumerate(names, 1):
        values = [row[i] for row in rows]
        if types[name] == "uuid":
            values = [None if v is None else v.bytes for v in values]
        type_ = arrow_type(types[name])
        storage = type_.storage_type if isinstance(type_, pa.BaseExtensionType) else type_
        columns[name] = cast(pa.chunked_array([pa.array(values, storage)]), type_)
    with duckdb.connect(":memory:", config={"arrow_lossless_conversion": True}) as connection:
        connection.execute("set TimeZone = 'UTC'")
        columned = with_columns(connection, pa.table(columns), schema, pii, keys)
    return {name: columned[name].to_pylist() for name in wanted}


def _add_columns(session: Session, stream: str, schema: Schema, wanted: Schema) -> None:
    from penstock.ledger import column_rows, delta_view, ledger_sql

    destination = session.destination
    for column in wanted.columns[len(schema.columns) :]:
        destination.query(f"alter table raw.{identifier(stream)} add column {identifier(column.name)} text")
    for row in column_rows(stream, schema, wanted):
        destination.query(ledger_sql("add_column"), row)
    destination.query(delta_view(stream))
