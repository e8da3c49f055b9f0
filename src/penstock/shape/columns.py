"""Which columns a stream gets: those its project file declares, and those that hold what its records bring."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import UsageError
from penstock.schema import MAX_COLUMNS, Column, Schema, name_columns, variant_name
from penstock.shape.infer import Kinds, infer_type
from penstock.shape.lanes.select import paths_sql
from penstock.shape.lines import SUB_RECORDS
from penstock.shape.types import PATTERNS
from penstock.spec import StreamSpec
from penstock.sql import statement

SAMPLE_ROWS = 2_000
"""Records of a batch that tell the types of its new columns."""


def with_declared(schema: Schema, spec: StreamSpec) -> Schema:
    """``schema`` with a column for each declared field that has none.

    Raises:
        UsageError: a field is declared as another type than its column has.
    """
    types = {c.field: c.type for c in schema.columns if not c.variant}
    for field, type_ in spec.declared:
        if types.get(field, type_) != type_:
            raise UsageError(
                f"stream {spec.stream}: field {field!r} is declared {type_}, and its column is {types[field]}",
                fix=f"declare it {types[field]}; a column keeps its type; for another, penstock reset {spec.stream}"
                " starts the stream anew",
            )
    new = [(f, t) for f, t in spec.declared if f not in types]
    names = name_columns([f for f, _ in new], schema.names)
    return schema.grown([Column(field=f, name=names[f], type=t, declared=True) for f, t in new])


def new_columns(
    connection: duckdb.DuckDBPyConnection, schema: Schema, records: pa.Table, *, untyped: bool
) -> list[Column]:
    """A column for each field that has none and holds a value, as they came. Types come from a sample."""
    known = schema.fields
    connection.register("records", records)
    keys = connection.sql(
        "select distinct unnest(k) from"
        f" (select json_keys(body) as k, json_type(body, {paths_sql(known)}) as y from records)"
        " where len(k) > len(list_filter(y, lambda x: x is not null))"
    ).fetchall()
    fields = [f for (f,) in keys if f not in set(known)]
    # by their places in the batch, whichever lane took the others
    sample = records.filter(pc.less(records["o"], SAMPLE_ROWS * SUB_RECORDS))
    kinds = kinds_of(connection, fields, sample)
    if unseen := [f for f in fields if f not in kinds]:
        kinds |= kinds_of(connection, unseen, records)
    order = _first_seen(connection, [f for f in fields if f in kinds])[: MAX_COLUMNS - len(schema.columns)]
    connection.unregister("records")
    names = name_columns(order, schema.names)
    return [Column(field=f, name=names[f], type=infer_type(kinds[f], untyped=untyped)) for f in order]


def variants(
    connection: duckdb.DuckDBPyConnection, schema: Schema, records: pa.Table, rows: pa.Table, *, untyped: bool
) -> list[Column]:
    """A column for the values of each field that fit none of its columns, as the rows of these records say."""
    columned = set(schema.fields)
    fields = [f for f in lost_fields(rows) if f in columned]
    misfits = rows.filter(pc.is_valid(rows["_pen_lost"]))
    lost = misfits["_pen_lost"].to_pylist()
    added: list[Column] = []
    for field in fields[: MAX_COLUMNS - len(schema.columns)]:
        orders = misfits["_pen_o"].filter(pa.array([field in others for others in lost]))
        kinds = kinds_of(connection, [field], records.filter(pc.is_in(records["o"], orders.combine_chunks())))
        mine = [c for c in schema.columns if c.field == field]
        type_ = infer_type(kinds[field], untyped=untyped)
        if any(c.type == type_ for c in mine):
            type_ = "json"
        name = variant_name(mine[0].name, type_, [*schema.names, *(c.name for c in added)])
        added.append(Column(field=field, name=name, type=type_, variant=True))
    return added


def lost_fields(rows: pa.Table) -> list[str]:
    """The fields that have a value in some row, and no place for it in a column."""
    if rows["_pen_lost"].null_count == rows.num_rows:
        return []
    return sorted(pc.unique(pc.list_flatten(rows["_pen_lost"])).to_pylist())


def kinds_of(connection: duckdb.DuckDBPyConnection, fields: Sequence[str], records: pa.Table) -> dict[str, Kinds]:
    """Field → what its values are, for fields with a value."""
    connection.register("sample", records)
    kinds = connection.sql(
        statement(
            "penstock.shape",
            "kinds.sql",
            count=str(len(fields)),
            paths=paths_sql(fields),
            source="sample",
            plain_number=r"regexp_full_match(t, '-?(0|[1-9]\d*)(\.\d+)?')",
            **PATTERNS,
        )
    )
    names = [d[0] for d in kinds.description]
    rows = [dict(zip(names, row, strict=True)) for row in kinds.fetchall()]
    connection.unregister("sample")
    return {fields[row["i"] - 1]: row for row in rows}


def _first_seen(connection: duckdb.DuckDBPyConnection, fields: Sequence[str]) -> list[str]:
    """``fields`` in the order of the first of ``records`` that has a value in them, and in it by place."""
    places = pa.array(range(1, len(fields) + 1), pa.int64())
    connection.register("fields", pa.table({"field": pa.array(fields, pa.string()), "i": places}))
    rows = connection.sql(
        "select field from (select o, k, unnest(y) as type, generate_subscripts(y, 1) as i"
        f" from (select o, json_keys(body) as k, json_type(body, {paths_sql(fields)}) as y from records))"
        " join fields using (i) where type <> 'NULL' group by field order by min((o, list_position(k, field)))"
    ).fetchall()
    connection.unregister("fields")
    return [f for (f,) in rows]
