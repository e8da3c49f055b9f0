"""The fast lane: records that all look like one another, as machines write them.

A :class:`Template` is the text around the values of a flat record. It is learned from one record; the statement then
takes the records that follow it, gives the rows that :mod:`penstock.shape.select` would give, and leaves the others.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.shape.schema import Schema
from penstock.shape.select import CONTENT_HASH, Cell, asked_fields, column_value, event_time, identity
from penstock.sql import identifier, literal, statement

if TYPE_CHECKING:
    from penstock.shape.shaper import Rules

_PLAIN = r'[^"\\\x00-\x1f]'
_VALUE = rf'(?P<text>"{_PLAIN}*")|(?P<other>null|true|false|-?\d[0-9.eE+-]*)'
_FIELD = re.compile(rf'(?P<before>\s*,?\s*)"(?P<key>{_PLAIN}+)"(?P<colon>\s*:\s*)(?:{_VALUE})')
_START = re.compile(r"\s*\{")
_END = re.compile(r"\s*\}\s*")
_INTEGER = r"-?[0-9]{1,18}"
_NUMBER = r"-?[0-9]{1,17}(\.[0-9]+)?(e[-+]?[0-9]{1,2})?"
"""Numbers that come out again as they were because they were understood. DuckDB passes on unread what is too big."""
MAX_FIELDS = 500


@dataclass(frozen=True, slots=True)
class Template:
    """``between[i]`` comes before the value of ``fields[i]``, and the last of them after the last value.

    ``texts`` are the fields whose values are strings or null; those of the others are numbers, truth values or null.
    """

    fields: tuple[str, ...]
    between: tuple[str, ...]
    texts: frozenset[str]


def learn(body: str, schema: Schema) -> Template | None:
    """The template of a record; None when it is nested, holds escapes, or names a key twice.

    A null tells nothing of its field; the type of the field's column in ``schema`` does.
    """
    start = _START.match(body)
    if start is None:
        return None
    types = {c.field: c.type for c in schema.columns if not c.variant}
    fields: list[str] = []
    between: list[str] = []
    texts = set()
    place, text = start.end(), start[0]
    while (found := _FIELD.match(body, place)) and len(fields) <= MAX_FIELDS:
        fields.append(found["key"])
        between.append(f'{text}{found["before"]}"{found["key"]}"{found["colon"]}')
        null = found["other"] == "null"
        if found["text"] or (null and types.get(found["key"]) not in ("bigint", "double", "boolean")):
            texts.add(found["key"])
        place, text = found.end(), ""
    end = _END.fullmatch(body, place)
    lowered = {f.lower() for f in fields}
    if end is None or not fields or len(fields) > MAX_FIELDS or len(lowered) < len(fields):
        return None
    return Template(tuple(fields), (*between, end[0]), frozenset(texts))


def fits(template: Template, schema: Schema, rules: Rules) -> bool:
    """Whether every field has a column and every field of the identity is there."""
    return set(template.fields) <= set(schema.fields) and set(rules.identity) <= set(template.fields)


def uniform_sql(source: str, template: Template, schema: Schema, rules: Rules, *, untyped: bool, timed: bool) -> str:
    """The statement that takes the records of table ``source`` that follow ``template``.

    Its rows have the columns of :func:`penstock.shape.select.rows_sql`.
    """
    fields, texts = template.fields, template.texts
    place = {field: i for i, field in enumerate(fields)}
    cells = {f: _cell(i, text=f in texts) for f, i in place.items()}
    absent = Cell("null::varchar", "null::varchar", "null::varchar")
    cells |= {f: absent for f in asked_fields(schema, rules) if f not in cells}
    declared = dict(rules.declared)
    structure = json.dumps({f: "VARCHAR" if f in texts else "JSON" for f in fields}, ensure_ascii=False)
    again = [literal(template.between[0])]
    for i in range(len(fields)):
        again += [f"_pen_v{i}", literal(template.between[i + 1])]
    canonical = []
    for n, field in enumerate(sorted(fields, key=lambda f: f.encode())):
        before = ("," if n else "{") + json.dumps(field, ensure_ascii=False) + ":"
        canonical += [literal(before), f"_pen_v{place[field]}"]
    unfit = [f"_pen_y{i} is null" for f, i in place.items() if f not in texts]
    unfit += [f"_pen_t{place[f]} is null" for f in rules.identity]
    return statement(
        "penstock.shape",
        "uniform.sql",
        source=source,
        structure=literal(structure),
        max_bytes=str(rules.max_record_bytes),
        texts=",\n    ".join(_texts(f, i, text=f in texts) for f, i in place.items()),
        pieces=",\n    ".join(_piece(i, text=f in texts) for f, i in place.items()),
        canonical=f"concat({', '.join(canonical)}, '}}')",
        again=f"concat({', '.join(again)})",
        unfit=" or ".join(unfit) or "false",
        values="".join(
            f"{column_value(c, schema, cells[c.field], declared, untyped=untyped)} as {identifier(c.name)},\n    "
            for c in schema.columns
        ),
        event_time=event_time(cells.get(rules.event_time or "") if timed else None),
        misfit=" or ".join(m for f in fields if (m := _misfit(f, place[f], schema, text=f in texts))) or "false",
        columns="".join(f"{identifier(c.name)},\n  " for c in schema.columns),
        identity=identity([cells[f] for f in rules.identity]),
        content=CONTENT_HASH if rules.content else "null::varchar",
    )


def _cell(i: int, *, text: bool) -> Cell:
    json = f"case when _pen_t{i} is not null then _pen_v{i} end"
    return Cell(f"_pen_t{i}", "'VARCHAR'" if text else f"_pen_y{i}", json)


def _texts(field: str, i: int, *, text: bool) -> str:
    value = f"s[{literal(field)}]"
    return f"{value} as _pen_t{i}" if text else f"nullif({value}::varchar, 'null') as _pen_t{i}"


def _piece(i: int, *, text: bool) -> str:
    if text:
        return f"""coalesce('"' || _pen_t{i} || '"', 'null') as _pen_v{i}"""
    return (
        f"coalesce(_pen_t{i}, 'null') as _pen_v{i},"
        f" case when _pen_t{i} is null then 'NULL' when _pen_t{i} in ('true', 'false') then 'BOOLEAN'"
        f" when regexp_full_match(_pen_t{i}, '{_INTEGER}') then 'BIGINT'"
        f" when regexp_full_match(_pen_t{i}, '{_NUMBER}') then 'DOUBLE' end as _pen_y{i}"
    )


def _misfit(field: str, i: int, schema: Schema, *, text: bool) -> str:
    columns = [c for c in schema.columns if c.field == field]
    if any(c.type == "json" or (c.type == "text" and text) for c in columns):
        return ""
    return f"(_pen_t{i} is not null and " + " and ".join(f"{identifier(c.name)} is null" for c in columns) + ")"
