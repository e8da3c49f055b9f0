"""The fast lane: records that all look like one another, as machines write them.

A :class:`Template` is the text around the values of a record, nested only where the stream takes objects apart. It is
learned from one record; the statement then takes the records that follow it, gives the rows that
:mod:`penstock.shape.select` would give, and leaves the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penstock.layout import PLAIN, Layout, Path
from penstock.schema import Schema
from penstock.shape.cell import Cell
from penstock.shape.select import CONTENT_HASH, asked_fields, column_value, event_time, identity, version
from penstock.shape.width import fit_sql, is_wide
from penstock.sql import identifier, literal, statement

if TYPE_CHECKING:
    from penstock.spec import StreamSpec

_PLAIN = r'[^"\\\x00-\x1f]'
_KEY = rf'\s*,?\s*"(?P<key>{_PLAIN}+)"\s*:\s*'
_FIELD = re.compile(rf'{_KEY}(?P<value>(?P<text>"{_PLAIN}*")|null|true|false|-?\d[0-9.eE+-]*)')
_OPEN = re.compile(_KEY + r"\{")
_CLOSE = re.compile(r"\s*\}")
_START = re.compile(r"\s*\{")
_END = re.compile(r"\s*\}\s*")
_INTEGER = r"-?[0-9]{1,18}"
_NUMBER = r"-?[0-9]{1,17}(\.[0-9]+)?(e[-+]?[0-9]{1,2})?"
"""Numbers that come out again as they were because they were understood. DuckDB passes on unread what is too big."""
MAX_FIELDS = 500


@dataclass(frozen=True, slots=True)
class Template:
    """``between[i]`` comes before the value at ``paths[i]``, and the last of them after the last value.

    ``fields`` are what the stream calls these values. ``texts`` are the fields whose values are strings or null; those
    of the others are numbers, truth values or null.
    """

    fields: tuple[str, ...]
    paths: tuple[Path, ...]
    between: tuple[str, ...]
    texts: frozenset[str]


def learn(body: str, schema: Schema, layout: Layout = PLAIN) -> Template | None:
    """The template of a record; None when it holds an array or an empty object, escapes, names a key twice, or is
    nested and the layout is not flat.

    A null tells nothing of its field; the type of the field's column in ``schema`` does.
    """
    start = _START.match(body)
    if start is None:
        return None
    types = {c.field: c.type for c in schema.columns if not c.variant}
    fields: list[str] = []
    paths: list[Path] = []
    between: list[str] = []
    texts = set()
    inside: Path = ()
    place, text = start.end(), start[0]
    while len(fields) <= MAX_FIELDS:
        if found := _FIELD.match(body, place):
            paths.append((*inside, found["key"]))
            fields.append(layout.field(paths[-1]))
            between.append(text + body[place : found.start("value")])
            null = found["value"] == "null"
            if found["text"] or (null and types.get(fields[-1]) not in ("bigint", "double", "boolean")):
                texts.add(fields[-1])
            place, text = found.end(), ""
        elif layout.flatten and (found := _OPEN.match(body, place)):
            inside = (*inside, found["key"])
            place, text = found.end(), text + found[0]
        elif inside and (found := _CLOSE.match(body, place)):
            inside = inside[:-1]
            place, text = found.end(), text + found[0]
        else:
            break
    end = _END.fullmatch(body, place)
    if end is None or inside or not fields or len(fields) > MAX_FIELDS or _alike(fields, paths):
        return None
    return Template(tuple(fields), tuple(paths), (*between, text + end[0]), frozenset(texts))


def _alike(fields: Sequence[str], paths: Sequence[Path]) -> bool:
    """Whether two names are the same, or differ in case alone: DuckDB's structures would hold one of them."""
    places = {path[:i] for path in paths for i in range(1, len(path) + 1)}
    lowered = {tuple(name.lower() for name in place) for place in places}
    return len(lowered) < len(places) or len({f.lower() for f in fields}) < len(fields)


def fits(template: Template, schema: Schema, spec: StreamSpec) -> bool:
    """Whether every field has a column and every field of the identity is there."""
    kept = set(_kept(template, spec.layout))
    return kept <= set(schema.fields) and set(spec.identity) <= kept


def _kept(template: Template, layout: Layout) -> Sequence[str]:
    return [f for f in template.fields if not layout.drops(f)] if layout.drop else template.fields


def _structure(template: Template) -> str:
    """The structure of its records, as ``from_json`` takes it."""
    structure: dict[str, Any] = {}
    for field, (*parents, name) in zip(template.fields, template.paths, strict=True):
        inner = structure
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[name] = "VARCHAR" if field in template.texts else "JSON"
    return json.dumps(structure, ensure_ascii=False)


def uniform_sql(
    source: str, template: Template, schema: Schema, spec: StreamSpec, *, untyped: bool, timed: bool
) -> str:
    """The statement that takes the records of table ``source`` that follow ``template``.

    Its rows have the columns of :func:`penstock.shape.select.rows_sql`.
    """
    fields, texts = template.fields, template.texts
    place = {field: i for i, field in enumerate(fields)}
    kept = _kept(template, spec.layout)
    cells = {f: _cell(place[f], text=f in texts) for f in kept}
    absent = Cell("null::varchar", "null::varchar", "null::varchar")
    cells |= {f: absent for f in asked_fields(schema, spec) if f not in cells}
    declared = dict(spec.declared)
    again = [literal(template.between[0])]
    for i in range(len(fields)):
        again += [f"_pen_v{i}", literal(template.between[i + 1])]
    canonical = []
    for n, field in enumerate(sorted(kept, key=lambda f: f.encode())):
        before = ("," if n else "{") + json.dumps(field, ensure_ascii=False) + ":"
        canonical += [literal(before), f"_pen_v{place[field]}"]
    unfit = [f"_pen_y{i} is null" for f, i in place.items() if f not in texts]
    unfit += [f"_pen_t{place[f]} is null" for f in spec.identity]
    misfits = [m for f in kept if (m := _misfit(f, place[f], schema, text=f in texts))]
    if is_wide(schema, spec):
        misfits.append(f"{fit_sql(schema, spec)} < {len(schema.columns)}")
    return statement(
        "penstock.shape",
        "uniform.sql",
        source=source,
        structure=literal(_structure(template)),
        max_bytes=str(spec.max_record_bytes),
        texts=",\n    ".join(
            _texts(p, i, text=f in texts) for i, (f, p) in enumerate(zip(fields, template.paths, strict=True))
        ),
        pieces=",\n    ".join(_piece(i, text=f in texts) for f, i in place.items()),
        canonical=f"concat({', '.join(canonical or [literal('{')])}, '}}')",
        again=f"concat({', '.join(again)})",
        unfit=" or ".join(unfit) or "false",
        values="".join(
            f"{column_value(c, schema, cells[c.field], declared, untyped=untyped)} as {identifier(c.name)},\n    "
            for c in schema.columns
        ),
        event_time=event_time(cells.get(spec.event_time or "") if timed else None),
        misfit=" or ".join(misfits) or "false",
        columns="".join(f"{identifier(c.name)},\n  " for c in schema.columns),
        identity=identity([cells[f] for f in spec.identity]),
        content=CONTENT_HASH if spec.content else "null::varchar",
        version=version(cells, spec),
        json="_pen_c" if spec.raw_json else "null::varchar",
    )


def _cell(i: int, *, text: bool) -> Cell:
    json = f"case when _pen_t{i} is not null then _pen_v{i} end"
    return Cell(f"_pen_t{i}", "'VARCHAR'" if text else f"_pen_y{i}", json)


def _texts(path: Path, i: int, *, text: bool) -> str:
    value = "s" + "".join(f"[{literal(name)}]" for name in path)
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
