"""The fast lane: records that all look like one another, as machines write them.

A template is learned from one record; a statement then takes the records that follow it, gives the rows that
:mod:`penstock.shape.lanes.parsed` would give, and leaves the others.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.layout import Path
from penstock.schema import Schema
from penstock.shape.cell import Cell
from penstock.shape.lanes import Form, LaneRows
from penstock.shape.lanes.select import CONTENT_HASH, asked_fields, column_value, event_time, identity, version
from penstock.shape.lanes.template import Template, learn
from penstock.shape.lines import Lines, without
from penstock.shape.prepared import Statements
from penstock.shape.width import fit_sql, is_wide
from penstock.spec import StreamSpec
from penstock.sql import identifier, literal, statement

_MAX_TEMPLATES = 4
_MAX_LESSON_CHARACTERS = 1 << 16
_MAX_LESSONS = 16
"""Templates tried and found useless, until no more are."""
_INTEGER = r"-?[0-9]{1,18}"
_NUMBER = r"-?[0-9]{1,17}(\.[0-9]+)?(e[-+]?[0-9]{1,2})?"
"""Numbers that come out again as they were because they were understood. DuckDB passes on unread what is too big."""


class Uniform:
    """Takes the lines that follow a template, known or learned now."""

    def __init__(self, statements: Statements, spec: StreamSpec) -> None:
        self._statements = statements
        self._spec = spec
        self._templates: list[Template] = []
        self._fitting: tuple[Schema, list[Template]] = (Schema(), [])
        self._lessons = _MAX_LESSONS

    def take(self, lines: Lines, form: Form) -> tuple[LaneRows, Lines | None]:
        """Shape the records that follow a template; most of them, or it is not worth its while."""
        if not len(lines):
            return LaneRows(), lines
        few = len(lines) // 20
        tables: list[pa.Table] = []
        texts = lines.texts()
        for template in self._fit(form.schema):
            if texts.num_rows > few:
                texts = self._follow(template, texts, form, tables)
        for _ in range(_MAX_TEMPLATES):
            if texts.num_rows <= few or self._lessons <= 0:
                break
            learned = self._learned(texts, form.schema)
            if learned is None:
                self._lessons -= 1
                break
            before = texts.num_rows
            texts = self._follow(learned, texts, form, tables)
            if before - texts.num_rows > few:
                self._templates = [learned, *self._templates][:_MAX_TEMPLATES]
                self._fitting = (Schema(), [])
            else:
                self._lessons -= 1
        if not tables:
            return LaneRows(), lines
        return LaneRows(tables=tables), lines.only(texts["o"].to_numpy()) if texts.num_rows else None

    def _fit(self, schema: Schema) -> list[Template]:
        """The templates whose records have a column for each field."""
        if self._fitting[0] != schema:
            self._fitting = (schema, [t for t in self._templates if t.fits(schema, self._spec)])
        return self._fitting[1]

    def _learned(self, texts: pa.Table, schema: Schema) -> Template | None:
        """A template that is new and fits, from the record in the middle."""
        body = texts["body"][texts.num_rows // 2].as_py()
        if body is None or len(body) > _MAX_LESSON_CHARACTERS:
            return None
        template = learn(body, schema, self._spec.layout)
        if template is None or template in self._templates or not template.fits(schema, self._spec):
            return None
        return template

    def _follow(self, template: Template, texts: pa.Table, form: Form, tables: list[pa.Table]) -> pa.Table:
        """Add the rows of the records that follow the template; returns the others."""
        rows = self._statements.run(
            (template, form.schema, form.untyped, form.timed),
            lambda source: uniform_sql(source, template, self._spec, form),
            texts,
        )
        same = rows["_pen_same"]
        rows = rows.drop_columns("_pen_same")
        if not pc.all(same).as_py():
            rows = rows.filter(same)
        if not rows.num_rows:
            return texts
        tables.append(rows)
        return without(texts, rows["_pen_o"]) if rows.num_rows < texts.num_rows else texts.slice(0, 0)


def uniform_sql(source: str, template: Template, spec: StreamSpec, form: Form) -> str:
    """The statement that takes the records of table ``source`` that follow ``template``.

    Its rows have the columns of :func:`penstock.shape.lanes.select.rows_sql`, and ``_pen_same``.
    """
    fields, texts, schema = template.fields, template.texts, form.schema
    place = {field: i for i, field in enumerate(fields)}
    kept = template.kept(spec.layout)
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
        "penstock.shape.lanes",
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
            f"{column_value(c, schema, cells[c.field], declared, untyped=form.untyped)} as {identifier(c.name)},\n    "
            for c in schema.columns
        ),
        event_time=event_time(cells.get(spec.event_time or "") if form.timed else None),
        misfit=" or ".join(misfits) or "false",
        columns="".join(f"{identifier(c.name)},\n  " for c in schema.columns),
        identity=identity([cells[f] for f in spec.identity]),
        content=CONTENT_HASH if spec.content else "null::uuid",
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


def _structure(template: Template) -> str:
    """The structure of its records, as ``from_json`` takes it."""
    structure: dict[str, Any] = {}
    for field, (*parents, name) in zip(template.fields, template.paths, strict=True):
        inner = structure
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[name] = "VARCHAR" if field in template.texts else "JSON"
    return json.dumps(structure, ensure_ascii=False)
