"""What is done to a record before anything else is asked of it: fields are dropped, nested objects taken apart.

A dropped field is as good as never sent: it is in no column, not rescued, not in quarantine, and no hash covers it,
for a hash of a password and of little else tells the password. Records that differ in dropped fields alone are the
same.

Taken apart, ``{"name": {"first": "Ada"}}`` is ``{"name_first": "Ada"}``, which is also what a CSV file with the column
``name_first``, or ``name.first``, gives: all of them land as the same row. Arrays stay as they are; an empty object
has nothing to land.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.jsonpath import pointer

Path = tuple[str, ...]


def flat_name(path: str) -> str:
    """The field that a value inside of objects becomes: ``location.street.number`` is ``location_street_number``."""
    return path.replace(".", "_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a stream's records are laid out: with ``flatten``, one level deep; without the fields that ``drop`` names.

    ``drop`` has paths with points between their parts, and a point in a field's own name reads the same. With
    ``flatten`` it has flat names, each of which stands for all fields that it begins, up to an underscore, too: that is
    how the parts of an object look once it was taken apart.
    """

    flatten: bool = False
    drop: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.flatten or bool(self.drop)

    def field(self, path: Path) -> str:
        """What a value at ``path`` is called: its field in a flat record, else the path itself."""
        return flat_name("_".join(path)) if self.flatten else ".".join(path)

    def drops(self, field: str) -> bool:
        """Whether the field, or what it is a part of, is dropped."""
        return any(field == d or (self.flatten and field.startswith(d + "_")) for d in self.drop)

    def holds_dropped(self, field: str) -> bool:
        """Whether a part of the field is dropped, if it has any."""
        return any(d.startswith(field + ("_" if self.flatten else ".")) for d in self.drop)

    def kept(self, value: Any) -> Any:
        """``value`` without the dropped fields, nested as it was; in arrays too."""
        return self._kept(value, ()) if self.drop else value

    def applied(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """A record as its stream has it."""
        record = self.kept(record)
        return self._flat(record) if self.flatten else dict(record)

    def _kept(self, value: Any, path: Path) -> Any:
        # no comprehensions: each would be another frame for each level of nesting
        if isinstance(value, list):
            elements = []
            for element in value:
                elements.append(self._kept(element, path))
            return elements
        if not isinstance(value, dict):
            return value
        members = {}
        for key, child in value.items():
            here = (*path, key)
            if not self.drops(self.field(here)):
                members[key] = self._kept(child, here)
        return members

    def _flat(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Of values that would have one name, the one nested least has it, and others the hash of their path too."""
        leaves = list(_leaves(record, ()))
        names: dict[Path, str] = {}
        used: set[str] = set()
        for path in sorted((path for path, _ in leaves), key=lambda path: (len(path), path)):
            name = self.field(path)
            while name in used:
                name = f"{self.field(path)}_{hashlib.sha256((pointer(path) + name).encode()).hexdigest()[:8]}"
            used.add(name)
            names[path] = name
        return {names[path]: value for path, value in leaves}


PLAIN = Layout()
"""As it came."""


def _leaves(value: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, Any]]:
    for key, child in value.items():
        if isinstance(child, dict):
            yield from _leaves(child, (*path, key))
        else:
            yield (*path, key), child


def leaves_of(structure: Any) -> list[tuple[Path, bool]]:
    """The values in DuckDB's ``json_structure`` of a record, and whether each may be an empty object."""
    return [(path, kind == "JSON") for path, kind in _leaves(structure, ())] if isinstance(structure, dict) else []
