"""Where the records of a batch have members: the paths of their keys, for telling which fields ever came."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from penstock.layout import Path
from penstock.shape.lines import SUB_RECORDS, Lines
from penstock.shape.strict import Sound, examine
from penstock.sql import statement

_OPAQUE = "JSON"
"""What ``json_structure`` says of values that are of several types, or of an empty object."""
_LOOKED_INTO = 1_000
"""Records of one such structure that are looked into one by one."""
_FEW = 200
"""So few records are looked into one by one in less time than it takes to open a database for them."""


@dataclass(slots=True)
class Members:
    """The paths of all members, in arrays too, and of those that hold no object; and how many records have them."""

    paths: set[Path] = field(default_factory=set)
    leaves: set[Path] = field(default_factory=set)
    records: int = 0


def members_of(bodies: pa.Array, max_bytes: int) -> Members:
    """The members of a batch's records. What is no record has none."""
    members = Members()
    if len(bodies) <= _FEW:
        for body in bodies:
            _add_examined(body.as_py(), max_bytes, members)
        return members
    lines = Lines.of(bodies).texts()
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.register("records", lines)
        structures = connection.execute(statement("penstock.shape", "members.sql")).fetchall()
        opaque = [structure for structure, *_ in structures if structure and f'"{_OPAQUE}"' in structure]
        for structure, count, places in structures:
            if structure is None:
                for place in places:
                    _add_examined(bodies[place // SUB_RECORDS].as_py(), max_bytes, members)
            elif structure in opaque:
                for place in places[:_LOOKED_INTO]:
                    _add(json.loads(lines["body"][place // SUB_RECORDS].as_py()), members)
                members.records += count
            else:
                _add(json.loads(structure), members)
                members.records += count
    return members


def _add_examined(body: bytes, max_bytes: int, members: Members) -> None:
    for record in examine(body, max_bytes):
        if isinstance(record, Sound):
            _add(json.loads(record.body), members)
            members.records += 1


def _add(value: Any, members: Members) -> None:
    for path, leaf in _walked(value, ()):
        members.paths.add(path)
        if leaf:
            members.leaves.add(path)


def _walked(value: Any, path: Path) -> Iterator[tuple[Path, bool]]:
    """Each member with whether it holds something else than an object; those of a list's elements have its path."""
    if isinstance(value, list):
        for element in value:
            if isinstance(element, dict | list):
                yield from _walked(element, path)
    elif isinstance(value, dict):
        for key, child in value.items():
            here = (*path, key)
            yield here, not isinstance(child, dict)
            yield from _walked(child, here)
