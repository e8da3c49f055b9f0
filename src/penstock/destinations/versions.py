"""The keys of versions in tables that were filled without them, or by another field."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.shape.exact import member_sql
from penstock.shape.version_keys import kept_version, key_sql
from penstock.sql import literal

if TYPE_CHECKING:
    import pyarrow as pa

    from penstock.schema import Schema

_ROWS = 200_000


def key_duckdb(field: str, table: str, schema: Schema, execute: Callable[[str], object]) -> None:
    """Give the rows of a DuckDB table the keys of their versions, in ``field``."""
    text = kept_version(schema, field, rescued=member_sql("_pen_rescued", field), json="json_extract_string({}, '$')")
    execute(f"alter table {table} add column if not exists _pen_version varchar")
    execute(f"update {table} set _pen_version = {key_sql(text)}")


def key_postgres(
    field: str,
    table: str,
    schema: Schema,
    execute: Callable[[str], None],
    fetch: Callable[[str], pa.Table],
    stage: Callable[[pa.Table], None],
) -> None:
    """The same in PostgreSQL, in a landing's transaction. The keys are made where those of new rows are, in a DuckDB,
    some rows at a time."""
    import duckdb

    after = "true"
    text = kept_version(schema, field, rescued=f"_pen_rescued ->> {literal(field)}", json="{} #>> '{{}}'")
    execute(f'alter table {table} add column if not exists _pen_version text collate "C"')
    execute("set local datestyle = 'ISO'")
    with duckdb.connect(config={"arrow_lossless_conversion": True}) as connection:
        while True:
            part = f"select _pen_id, {text} as version from {table} where {after} order by _pen_id limit {_ROWS}"
            rows = fetch(part)
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
