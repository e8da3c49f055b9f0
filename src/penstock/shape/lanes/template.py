"""The template of records that all look like one another: the text around their values, learned from one of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from penstock.layout import PLAIN, Layout, Path
from penstock.schema import Schema
from penstock.spec import StreamSpec

_PLAIN = r'[^"\\\x00-\x1f]'
_KEY = rf'\s*,?\s*"(?P<key>{_PLAIN}+)"\s*:\s*'
_FIELD = re.compile(rf'{_KEY}(?P<value>(?P<text>"{_PLAIN}*")|null|true|false|-?\d[0-9.eE+-]*)')
_OPEN = re.compile(_KEY + r"\{")
_CLOSE = re.compile(r"\s*\}")
_START = re.compile(r"\s*\{")
_END = re.compile(r"\s*\}\s*")
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

    def kept(self, layout: Layout) -> Sequence[str]:
        """The fields that are not dropped."""
        return [f for f in self.fields if not layout.drops(f)] if layout.drop else self.fields

    def fits(self, schema: Schema, spec: StreamSpec) -> bool:
        """Whether every field has a column and every field of the identity is there."""
        kept = set(self.kept(spec.layout))
        return kept <= set(schema.fields) and set(spec.identity) <= kept


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
        if match := _FIELD.match(body, place):
            paths.append((*inside, match["key"]))
            fields.append(layout.field(paths[-1]))
            between.append(text + body[place : match.start("value")])
            null = match["value"] == "null"
            if match["text"] or (null and types.get(fields[-1]) not in ("bigint", "double", "boolean")):
                texts.add(fields[-1])
            place, text = match.end(), ""
        elif layout.flatten and (match := _OPEN.match(body, place)):
            inside = (*inside, match["key"])
            place, text = match.end(), text + match[0]
        elif inside and (match := _CLOSE.match(body, place)):
            inside = inside[:-1]
            place, text = match.end(), text + match[0]
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
