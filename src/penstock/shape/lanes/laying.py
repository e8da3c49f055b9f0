"""Lays records out as their stream has them (:mod:`penstock.layout`), before they are parsed."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from penstock.jsonpath import pointer
from penstock.layout import Layout, Path, leaves_of
from penstock.shape.lanes.select import clean_sql, suspect_sql
from penstock.shape.prepared import Statements
from penstock.spec import StreamSpec
from penstock.sql import literal, statement

MAX_LEAVES = 1_000
"""Places that the records of a batch may have values in, all together; others take the careful lane."""

MAX_OTHERS = 100
"""Structures of such records that are told apart; with more, the whole batch takes the careful lane."""


def laid(statements: Statements, spec: StreamSpec, texts: pa.Table) -> pa.Table:
    """Texts, ``(o, body)``, as the stream's layout has them; null where the careful lane has to see to that."""
    layout, most = spec.layout, spec.max_record_bytes
    if not layout or not texts.num_rows:
        return texts
    leaves = Leaves()
    if layout.flatten:
        structures = statements.run("structures", lambda source: structures_sql(source, most), texts).sort_by("o")
        leaves = leaves_in(structures["structure"].to_pylist())
    key = ("laid", tuple(leaves.places.items()), leaves.others)
    rows = statements.run(key, lambda source: laid_sql(source, layout, leaves, most), texts).sort_by("o")
    return pa.table({"o": rows["o"], "body": rows["body"].cast(texts.schema.field("body").type)})


def structures_sql(source: str, max_bytes: int) -> str:
    """The statement that tells how the bodies of table ``source`` are nested."""
    return statement("penstock.shape.lanes", "structures.sql", source=source, clean=clean_sql(max_bytes))


@dataclass(frozen=True, slots=True)
class Leaves:
    """Where the records of a batch have values, in order, and whether each place may hold an object instead.

    ``others`` are structures of records with so many more that the careful lane is to take them.
    """

    places: Mapping[Path, bool] = field(default_factory=dict)
    others: tuple[str, ...] = ()


def leaves_in(structures: Sequence[str]) -> Leaves:
    """Where records of these structures have values. An empty object is none, and gives no place its order."""
    valued: dict[Path, None] = {}
    empty: dict[Path, None] = {}
    others = []
    for structure in structures:
        leaves = leaves_of(json.loads(structure))
        if len(valued.keys() | empty.keys() | {path for path, _ in leaves}) > MAX_LEAVES:
            others.append(structure)
            continue
        for path, is_empty in leaves:
            (empty if is_empty else valued)[path] = None
    paths = valued | empty
    inner = {path[:i] for path in paths for i in range(1, len(path))}
    return Leaves({path: path in empty or path in inner for path in paths}, tuple(others))


def laid_sql(source: str, layout: Layout, leaves: Leaves, max_bytes: int) -> str:
    """The statement that gives ``(o, body)`` of table ``source`` anew, with no body where the careful lane has to look.

    Args:
        leaves: of a flat layout.
    """
    asked, odd, laid = _flat(layout, leaves.places) if layout.flatten else _kept(layout)
    patched = not layout.flatten and any("." in name for name in layout.drop)
    if len(leaves.others) > MAX_OTHERS:
        odd.append("true")
    elif leaves.others:
        hashes = ", ".join(literal(hashlib.md5(s.encode(), usedforsecurity=False).hexdigest()) for s in leaves.others)
        odd.append(f"md5(json_structure(_pen_body)::varchar) in ({hashes})")
    return statement(
        "penstock.shape.lanes",
        "flat.sql",
        source=source,
        clean=clean_sql(max_bytes),
        suspect=suspect_sql("-1"),
        asked=asked,
        odd=" or ".join(odd) or "false",
        laid=laid,
        ordered=_IN_ORDER if patched else "_pen_laid",
    )


def _flat(layout: Layout, leaves: Mapping[Path, bool]) -> tuple[str, list[str], str]:
    wanted = {path: may_be_object for path, may_be_object in leaves.items() if not layout.drops(layout.field(path))}
    # a name of digits is a place in a list, too
    numbered = sorted({path[:i] for path in wanted for i in range(1, len(path)) if path[i].isdecimal()})
    odd = [f"json_type(_pen_body, {literal(pointer(path))}) = 'ARRAY'" for path in numbered]
    members = []
    for i, (path, may_be_object) in enumerate(wanted.items(), 1):
        name = layout.field(path)
        member = f"{literal(json.dumps(name, ensure_ascii=False) + ':')} || v[{i}]"
        members.append(f"case when not starts_with(v[{i}], '{{') then {member} end" if may_be_object else member)
        if layout.holds_dropped(name):
            odd.append(f"starts_with(v[{i}], '[')")
    paths = ", ".join(literal(pointer(path)) for path in wanted)
    return (
        f"json_extract(_pen_body, [{paths}]::varchar[])::varchar[]",
        odd,
        "'{' || concat_ws(',', " + ", ".join(members or ["null"]) + ") || '}'",
    )


_IN_ORDER = """case when _pen_laid is not null then '{' || array_to_string(list_filter(list_transform(_pen_k, lambda k:
    to_json(k)::varchar || ':' || json_extract(_pen_laid, '/' || replace(replace(k, '~', '~0'), '/', '~1'))::varchar
  ), lambda member: member is not null), ',') || '}' end"""
"""The members as they came: a patch puts those that it changes behind the others, and columns have the order in which
their fields were seen first."""


def _kept(layout: Layout) -> tuple[str, list[str], str]:
    """Patches that take members away (RFC 7396), each only where there is an object to take them from."""
    parents: dict[Path, list[str]] = {}
    spellings: set[Path] = set()
    for name in layout.drop:
        *parent, last = name.split(".")
        parents.setdefault(tuple(parent), []).append(last)
        spellings |= set(_spellings(name))
    inner = sorted({path[:i] for path in spellings for i in range(1, len(path))})
    unusual = sorted(path for path in spellings if any("." in part for part in path))
    asked = [*inner, *unusual]
    places = {path: i for i, path in enumerate(asked, 1)}
    laid = "_pen_body"
    for path, names in parents.items():
        patch: object = dict.fromkeys(names)
        for part in reversed(path):
            patch = {part: patch}
        text = literal(json.dumps(patch, ensure_ascii=False))
        given = f"case when v[{places[path]}] = 'OBJECT' then {text} else '{{}}' end" if path else text
        laid = f"json_merge_patch({laid}, {given})::varchar"
    odd = [f"v[{places[path]}] = 'ARRAY'" for path in inner] + [f"v[{places[path]}] is not null" for path in unusual]
    paths = ", ".join(literal(pointer(path)) for path in asked)
    return f"json_type(_pen_body, [{paths}]::varchar[])", odd, laid


def _spellings(name: str) -> Iterator[Path]:
    """The paths that read as ``name``: a point may stand between two names or in one."""
    parts = name.split(".")
    for cuts in itertools.product((False, True), repeat=len(parts) - 1):
        path = [parts[0]]
        for part, cut in zip(parts[1:], cuts, strict=True):
            if cut:
                path.append(part)
            else:
                path[-1] += "." + part
        yield tuple(path)
