"""How PostgreSQL stores tables of several hundred columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.shape.width import MAX_ROW_BYTES, width_bytes
from penstock.sql import identifier, literal

if TYPE_CHECKING:
    import pyarrow as pa

    from penstock.schema import Schema


def move_long_values(
    table: str, schema: Schema, fetch: Callable[[str], pa.Table], execute: Callable[[str], None]
) -> None:
    """Have long values moved out of the rows of a wide table whole: compressed ones would stay, and take more room than
    :mod:`penstock.shape.width` counts on. Rows that are there stay as they are."""
    if width_bytes(schema) <= MAX_ROW_BYTES:
        return
    columns = fetch(
        f"select attname::text as name from pg_attribute where attrelid = to_regclass({literal(table)}) and attnum > 0"
        " and not attisdropped and attstorage in ('x', 'm') order by attnum"
    )["name"]
    if len(columns):
        clauses = ", ".join(f"alter column {identifier(name)} set storage external" for name in columns.to_pylist())
        execute(f"alter table {table} {clauses}")
