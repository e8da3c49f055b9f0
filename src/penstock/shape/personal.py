"""Pseudonyms beside personal data: a column for each field that the stream marks as such.

They are computed here, in the shaper's own DuckDB, so that the key never reaches the warehouse, nor any SQL or log of
it or of dbt. The pseudonym of a value is that of its text: numbers as they are written out, dates as ISO 8601, objects
as normalised JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from penstock.pseudonym import Keys
from penstock.schema import Column, Schema, pseudonym_name
from penstock.sql import identifier, literal

if TYPE_CHECKING:
    import duckdb

    from penstock.ports import Shaped

PSEUDONYM = "pseudonym"
"""The type of a column that holds pseudonyms, as the ledger has it: text in every warehouse."""


def plain(schema: Schema) -> Schema:
    """``schema`` without its pseudonyms, whose names stay taken."""
    names = tuple(c.name for c in schema.columns if c.type == PSEUDONYM)
    if not names:
        return schema
    return replace(schema, columns=tuple(c for c in schema.columns if c.type != PSEUDONYM), reserved=names)


def with_pseudonyms(before: Schema, grown: Schema, pii: Sequence[str]) -> Schema:
    """``before`` grown as its plain part has grown, with a pseudonym for each field of ``pii`` that has a column."""
    known = len(plain(before).columns)
    schema = replace(grown, columns=before.columns + grown.columns[known:], reserved=())
    have = {c.field for c in schema.columns if c.type == PSEUDONYM}
    for field in (f for f in schema.fields if f in pii and f not in have):
        first = next(c for c in schema.columns if c.field == field)
        name = pseudonym_name(first.name, [c.name for c in schema.columns])
        added = Column(field=field, name=name, type=PSEUDONYM, variant=True)
        schema = replace(schema, version=max(schema.version, before.version + 1), columns=(*schema.columns, added))
    return schema


def pseudonymised(
    connection: duckdb.DuckDBPyConnection, shaped: Shaped, before: Schema, pii: Sequence[str], keys: Keys | None
) -> Shaped:
    """The batch with its pseudonyms. ``before`` is the schema that it was shaped after, whole."""
    schema = with_pseudonyms(before, shaped.schema, pii)
    rows = with_columns(connection, shaped.rows, schema, pii, keys)
    return replace(shaped, schema=schema, rows=rows)


def with_columns(
    connection: duckdb.DuckDBPyConnection, rows: pa.Table, schema: Schema, pii: Sequence[str], keys: Keys | None
) -> pa.Table:
    """``rows``, in which each column of ``schema`` has its exact type, with the pseudonyms of ``schema``.

    Those of fields that are no longer in ``pii`` are null.
    """
    wanted = {c.name: _text(schema, c.field) for c in schema.columns if c.type == PSEUDONYM and c.field in pii}
    named = pa.table({})
    if wanted and keys is not None and rows.num_rows:
        inner, outer = keys.pads()
        hashes = ", ".join(
            f"{literal(keys.current + ':')} || sha256($outer || unhex(sha256($inner || encode({text}))))"
            f" as {identifier(name)}"
            for name, text in wanted.items()
        )
        connection.register("personal", rows)
        ordered = connection.execute("select current_setting('preserve_insertion_order')").fetchone()
        connection.execute("set preserve_insertion_order = true")
        named = connection.sql(
            f"select {hashes} from personal", params={"inner": inner, "outer": outer}
        ).to_arrow_table()
        connection.execute(f"set preserve_insertion_order = {str(bool(ordered and ordered[0])).lower()}")
        connection.unregister("personal")
    for column in (c for c in schema.columns if c.type == PSEUDONYM):
        values = named[column.name] if column.name in named.column_names else pa.nulls(rows.num_rows, pa.string())
        rows = rows.append_column(column.name, values)
    return rows


def _text(schema: Schema, field: str) -> str:
    """SQL of a field's value as text, in whichever of its columns it is."""
    texts = [
        f"json_normalize({identifier(c.name)})::varchar" if c.type == "json" else f"{identifier(c.name)}::varchar"
        for c in schema.columns
        if c.field == field and c.type != PSEUDONYM
    ]
    return f"coalesce({', '.join(texts)})"
