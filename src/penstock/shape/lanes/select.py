"""Writes the statement that turns parsed records into a stream's typed rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penstock.jsonpath import POINTER_SQL, pointer
from penstock.schema import Column, Schema
from penstock.shape.cell import Cell
from penstock.shape.lanes import Form
from penstock.shape.types import PATTERNS, value_sql
from penstock.shape.version_keys import version_sql
from penstock.shape.width import fit_sql, is_wide
from penstock.spec import StreamSpec
from penstock.sql import identifier, literal, statement

CONTENT_HASH = "sha256(_pen_c)"
_UNMARK = r"""regexp_replace({0}, '"\\u0000n([^"]*)"', '\1', 'g')"""


def paths_sql(fields: Sequence[str]) -> str:
    """SQL list of the pointers of ``fields``."""
    return "[" + ", ".join(literal(pointer((f,))) for f in fields) + "]::varchar[]"


def asked_fields(schema: Schema, spec: StreamSpec) -> tuple[str, ...]:
    """The fields a parse extracts: those with a column first, then those that the stream's settings need."""
    needed = (*spec.identity, *filter(None, (spec.event_time, spec.version)))
    return tuple(dict.fromkeys((*schema.fields, *needed)))


SUSPICIOUS = (
    r",\s*[}\]]"
    r"|[:,\[]\s*-?([0-9.]*([0-9.]{17}|[0-9][eE])|[nNiI][aAnN][nNfF])"
    r"|\\u(0000|[dD][89a-fA-F])"
)
"""Signs of trouble in a body: a trailing comma, a number of 17 characters or with an exponent, NaN and Infinity,
an escaped NUL or surrogate. False alarms only cost time: both lanes give the same rows."""


def rows_sql(source: str, spec: StreamSpec, form: Form, *, marked: bool) -> str:
    """The whole statement.

    Args:
        source: the table ``(o, body)`` of the bodies.
        marked: whether the bodies come from the careful lane, so that none is suspect and some may hold marked exact
            numbers (:data:`penstock.shape.digits.EXACT_MARK`).
    """
    schema = form.schema
    fields = asked_fields(schema, spec)
    place = {field: i for i, field in enumerate(fields, 1)}
    columned = schema.fields
    declared = dict(spec.declared)
    cells = {f: _cell(f, i, marks=marked) for f, i in place.items()}
    misfits = {f: _misfit(f, schema, place) for f in columned}
    broken = []
    if spec.columns == "reject":
        broken.append("_pen_unknown is not null")
    if spec.types == "reject":
        broken.append("_pen_misfit")
    wide = is_wide(schema, spec)
    lost = _kept_out(schema) if wide else "_pen_lost"
    rescued = (
        f"json_normalize('{{' || array_to_string(list_transform({lost}, lambda x: to_json(x)::varchar || ':' ||"
        f" json_extract(_pen_body, {POINTER_SQL})::varchar), ',') || '}}')"
    )
    present = " + ".join(f"({_y(i)} is not null)::int" for i in range(1, len(fields) + 1)) or "0"
    columned_present = " + ".join(f"({_y(place[f])} is not null)::int" for f in columned) or "0"
    return statement(
        "penstock.shape.lanes",
        "rows.sql",
        source=source,
        clean="true" if marked else clean_sql(spec.max_record_bytes),
        suspect="false" if marked else suspect_sql(present),
        paths=paths_sql(fields),
        texts=_texts(len(fields), marks=marked),
        values="".join(
            f"{column_value(c, schema, cells[c.field], declared, untyped=form.untyped)} as {identifier(c.name)},\n    "
            for c in schema.columns
        ),
        present="".join(f"coalesce({_y(place[f])} <> 'NULL', false) as _pen_p{place[f]},\n    " for f in columned),
        event_time=event_time(cells.get(spec.event_time or "") if form.timed else None),
        more=f"len(_pen_k) > {columned_present}",
        unknown=_unknown(columned, columned_present) if form.named else "null::varchar[]",
        missing=" or ".join(f"coalesce({cells[f].type} = 'NULL', true)" for f in spec.identity) or "false",
        identity=identity([cells[f] for f in spec.identity]),
        content=CONTENT_HASH if spec.content else "null::uuid",
        version=version(cells, spec),
        json=(_UNMARK.format("_pen_c") if marked else "_pen_c") if spec.raw_json else "null::varchar",
        misfit=" or ".join(f"({m})" for m in misfits.values()) or "false",
        lost=", ".join(f"case when {m} then {literal(f)} end" for f, m in misfits.items()),
        columns="".join(f"{_fitting(i, c) if wide else identifier(c.name)},\n  " for i, c in enumerate(schema.columns)),
        fit=fit_sql(schema, spec) if wide else "null::bigint",
        full=f"_pen_fit < {len(schema.columns)}" if wide else "false",
        rescued=_UNMARK.format(rescued) if marked else rescued,
        broken=" or ".join(broken) or "false",
    )


def clean_sql(max_bytes: int) -> str:
    """SQL condition: ``body`` is an object without any sign of trouble that its text shows."""
    return (
        f"coalesce(strlen(body) <= {max_bytes} and starts_with(ltrim(body, ' \t\r\n'), '{{') and json_valid(body)"
        f" and not regexp_matches(body, '{SUSPICIOUS}')"
        " and strlen(body) - strlen(replace(replace(body, '[', ''), '{', '')) <= 100, false)"
    )


def suspect_sql(present: str) -> str:
    """SQL condition: unclean, or with a key twice: among the top-level ones, or deeper, where VARIANT keeps only one.

    Only ``case`` spares DuckDB the costly questions where the cheap one before them has the answer.
    """
    return (
        "case when not _pen_clean then true"
        f" when case when len(_pen_k) <> {present} then len(list_distinct(_pen_k)) <> len(_pen_k) else false end"
        " then true"
        " when contains(substr(_pen_c, 2), '{')"
        " then strlen(_pen_c) <> strlen(json_normalize(_pen_c::json::variant::json))"
        " else false end"
    )


def _t(i: int) -> str:
    return f"_pen_t{i}"


def _y(i: int) -> str:
    return f"_pen_y{i}"


def _texts(count: int, *, marks: bool) -> str:
    """Text and JSON type of each field, marks taken off."""
    if not count:
        return "null as _pen_none"
    parts = []
    for i in range(1, count + 1):
        if marks:
            marked = f"starts_with(t[{i}], chr(0))"
            parts.append(f"case when {marked} then substr(t[{i}], 3) else t[{i}] end as {_t(i)}")
            parts.append(f"case when {marked} then 'EXACT' else y[{i}] end as {_y(i)}")
        else:
            parts.append(f"t[{i}] as {_t(i)}, y[{i}] as {_y(i)}")
    return ",\n    ".join(parts)


def _cell(field: str, i: int, *, marks: bool) -> Cell:
    json = f"json_normalize(json_extract(_pen_body, {literal(pointer((field,)))}))"
    return Cell(_t(i), _y(i), _UNMARK.format(json) if marks else json)


def column_value(column: Column, schema: Schema, cell: Cell, declared: Mapping[str, str], *, untyped: bool) -> str:
    """SQL for what goes into ``column``: null when the value goes into an earlier column of its field, or fits none."""

    def value(c: Column) -> str:
        return value_sql(c.type, *cell, parse=untyped or declared.get(c.field) == c.type)

    if not column.variant:
        return value(column)
    before = []
    for other in schema.columns:
        if other == column:
            break
        if other.field == column.field:
            before.append(f"({value(other)}) is null")
    return f"case when {' and '.join(before)} then {value(column)} end"


def _misfit(field: str, schema: Schema, place: dict[str, int]) -> str:
    empty = " and ".join(f"{identifier(c.name)} is null" for c in schema.columns if c.field == field)
    return f"_pen_p{place[field]} and {empty}"


def _fitting(place: int, column: Column) -> str:
    name = identifier(column.name)
    return f"case when _pen_fit > {place} then {name} end as {name}"


def _kept_out(schema: Schema) -> str:
    """The fields lost to the columns, and those whose values are in columns that the row has no room for."""
    behind = ", ".join(
        f"case when _pen_fit <= {i} and {identifier(c.name)} is not null then {literal(c.field)} end"
        for i, c in enumerate(schema.columns)
    )
    return f"list_filter(list_concat(coalesce(_pen_lost, []), [{behind}]), lambda _pen_f: _pen_f is not null)"


def _unknown(columned: Sequence[str], present: str) -> str:
    """The fields with a value and without a column, or null."""
    known = "[" + ", ".join(literal(f) for f in columned) + "]::varchar[]"
    has_value = f"json_type(_pen_body, {POINTER_SQL}) <> 'NULL'"
    unknown = f"list_filter(_pen_k, lambda x: not list_contains({known}, x) and {has_value})"
    return f"case when len(_pen_k) > {present} then nullif({unknown}, []::varchar[]) end"


def identity(cells: Sequence[Cell]) -> str:
    """Hexadecimal SHA-256 over the canonical record ``_pen_c``, or over the key's texts as a JSON array. Its first 128
    bits are the identity."""
    if not cells:
        return CONTENT_HASH
    texts = ", ".join(
        f"case when {c.type} in ('OBJECT', 'ARRAY') then json_normalize({c.text}) else {c.text} end" for c in cells
    )
    return f"sha256(to_json([{texts}])::varchar)"


def version(cells: Mapping[str, Cell], spec: StreamSpec) -> str:
    """The key of the record's version, null when its stream has none."""
    return version_sql(cells[spec.version]) if spec.versioned and spec.version else "null::varchar"


def event_time(cell: Cell | None) -> str:
    """The event time in UTC, null when there is none that parses."""
    if cell is None:
        return "null::timestamp"
    text, type_, _ = cell
    # days know no digits behind the microseconds
    plain, zoned = (PATTERNS[t].replace("{1,6}", "+") for t in ("timestamp", "timestamptz"))
    cut = rf"regexp_replace({text}, '(\.\d{{6}})\d+', '\1')"
    return (
        f"case when {type_} = 'VARCHAR' and regexp_full_match({text}, '{plain}') then try_cast({cut} as timestamp)"
        f" when {type_} = 'VARCHAR' and regexp_full_match({text}, '{zoned}')"
        f" then try_cast({cut} as timestamptz) at time zone 'UTC' end"
    )
