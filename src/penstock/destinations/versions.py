"""The keys of versions in tables that were filled without them, or by another field."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from penstock.ledger import delta_view
from penstock.shape.exact import member_sql
from penstock.shape.version import kept_version, key_sql
from penstock.sql import literal

if TYPE_CHECKING:
    import pyarrow as pa

    from penstock.ports import Target
    from penstock.schema import Schema

_ROWS = 200_000


def stale(target: Target, kept: Sequence[Sequence[Any]], has_column: Callable[[], bool]) -> bool:
    """Whether the rows of a stream's table lack the keys of their versions, or have another field's.

    Args:
        kept: what ``stream.sql`` answers; nothing for a stream whose identity is not checked.
        has_column: tells whether the table has the keys' column.
    """
    if not target.versioned:
        return False
    return kept[0][2] != target.version if kept else not has_column()


def key_versions(
    target: Target,
    kept: Sequence[Sequence[Any]],
    table: str,
    schema: Schema,
    columns: Callable[[str], Iterable[str]],
    execute: Callable[[str], object],
) -> None:
    """Give the rows of a DuckDB table the keys of their versions, where they have none or another field's.

    Args:
        columns: tells the names that a query gives.
    """

    def has_column() -> bool:
        return "_pen_version" in columns(f"select * from {table} limit 0")

    field = target.version or ""
    if stale(target, kept, has_column):
        rescued = member_sql("_pen_rescued", field)
        text = kept_version(schema, field, rescued=rescued, json="json_extract_string({}, '$')")
        execute(f"alter table {table} add column if not exists _pen_version varchar")
        execute(f"update {table} set _pen_version = {key_sql(text)}")
        execute(delta_view(target.stream))


def key_postgres(
    target: Target,
    kept: Sequence[Sequence[Any]],
    table: str,
    schema: Schema,
    execute: Callable[[str], None],
    fetch: Callable[[str], pa.Table],
    stage: Callable[[pa.Table], None],
) -> None:
    """The same in PostgreSQL, in a landing's transaction. The keys are made where those of new rows are, in a DuckDB,
    some rows at a time."""
    import duckdb

    def has_column() -> bool:
        return "_pen_version" in fetch(f"select * from {table} limit 0").column_names

    if not stale(target, kept, has_column):
        return
    field, after = target.version or "", "true"
    text = kept_version(schema, field, rescued=f"_pen_rescued ->> {literal(field)}", json="{} #>> '{{}}'")
    execute(f'alter table {table} add column if not exists _pen_version text collate "C"')
    execute("set local datestyle = 'ISO'")
    with duckdb.connect(config={"arrow_lossless_conversion": True}) as connection:
        while True:
            asked = f"select _pen_id, {text} as version from {table} where {after} order by _pen_id limit {_ROWS}"
            rows = fetch(asked)
            if not rows.num_rows:
                break
            after = f"_pen_id > {literal(str(rows['_pen_id'][-1].as_py()))}"
            connection.register("rows_in_hand", rows)
            keyed = f"select _pen_id, {key_sql('version')} as _pen_version from rows_in_hand"
            stage(connection.sql(keyed).to_arrow_table())
            connection.unregister("rows_in_hand")
            execute(
                f"update {table} t set _pen_version = n._pen_version"
                " from pg_temp.penstock_batch n where n._pen_id = t._pen_id"
            )
    execute(delta_view(target.stream))
