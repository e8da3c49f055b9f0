"""Views, indexes and grants that go with a table that is built anew, and their return.

PostgreSQL drops the views that read a table together with it, the table's indexes, and who may read it. DuckDB has no
grants, and its views stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from penstock.errors import DestinationError
from penstock.sql import identifier, statement

if TYPE_CHECKING:
    from penstock.ports import Destination

Name = tuple[str, str]


@dataclass(slots=True, kw_only=True)
class Standing:
    """What stood in the warehouse: views by name with the statement that makes them, the owners of all relations; and
    the indexes and the grants, each as its statement by the name it is about. An index has a second text, without its
    own name: dbt gives the same index another name each time."""

    views: dict[Name, str] = field(default_factory=dict)
    owners: dict[Name, str] = field(default_factory=dict)
    grants: list[tuple[str, str, str]] = field(default_factory=list)
    indexes: list[tuple[str, str, str, str]] = field(default_factory=list)

    def as_data(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "views": [[*name, sql] for name, sql in self.views.items()],
            "owners": [[*name, role] for name, role in self.owners.items()],
            "grants": [list(grant) for grant in self.grants],
            "indexes": [list(index) for index in self.indexes],
        }

    def take_in(self, data: dict[str, Any]) -> None:
        """Add what stood before an erasure that was cut short, of which some may be gone now."""
        for schema, name, sql in data.get("views", ()):
            self.views.setdefault((schema, name), sql)
        for schema, name, role in data.get("owners", ()):
            self.owners.setdefault((schema, name), role)
        self.grants += [g for g in map(tuple, data.get("grants", ())) if g not in self.grants]
        known = {nameless for _, _, _, nameless in self.indexes}
        self.indexes += [i for i in map(tuple, data.get("indexes", ())) if i[3] not in known]


def standing(destination: Destination) -> Standing:
    """What stands now; nothing where neither views nor grants get lost."""
    found = Standing()
    if destination.kind != "postgres":
        return found
    for schema, name, kind, owner, definition in destination.query(statement("penstock.privacy", "relations.sql")).rows:
        found.owners[schema, name] = owner
        if definition is not None:
            made = "materialized view" if kind == "m" else "view"
            found.views[schema, name] = f"create {made} {identifier(schema)}.{identifier(name)} as {definition}"
    for schema, name, sql in destination.query(statement("penstock.privacy", "granted.sql")).rows:
        found.grants.append((schema, name, sql))
    for schema, name, sql, nameless in destination.query(statement("penstock.privacy", "indexes.sql")).rows:
        found.indexes.append((schema, name, sql, nameless))
    return found


def missing(before: Standing, destination: Destination) -> list[Name]:
    """The views that stood before and do not now."""
    if not before.views:
        return []
    now = standing(destination)
    return [name for name in before.views if name not in now.views]


def restore(before: Standing, destination: Destination) -> list[str]:
    """Make the views and indexes that are missing, and give back owners and grants; what could not be is told."""
    if destination.kind != "postgres":
        return []
    waiting, failures = missing(before, destination), dict[Name, str]()
    while waiting:
        # one may read another: as long as one can be made, there is hope for the rest
        failures = _performed(destination, [(name, before.views[name]) for name in waiting])
        if len(failures) == len(waiting):
            break
        waiting = list(failures)
    lost = [f"view {_shown(name)}: {why}" for name, why in failures.items()]
    now = standing(destination)
    owners = [
        (name, f"alter table {identifier(name[0])}.{identifier(name[1])} owner to {identifier(role)}")
        for name, role in before.owners.items()
        if now.owners.get(name, role) != role
    ]
    lost += [f"the owner of {_shown(name)}: {why}" for name, why in _performed(destination, owners).items()]
    there = {nameless for _, _, _, nameless in now.indexes}
    for schema, name, sql, nameless in before.indexes:
        if (schema, name) in now.owners and nameless not in there:
            lost += [f"{sql}: {why}" for why in _performed(destination, [((schema, name), sql)]).values()]
    grants = [(schema, name, sql) for schema, name, sql in before.grants if (schema, name) in now.owners]
    for schema, name, sql in grants:
        if (schema, name, sql) not in now.grants:
            lost += [f"{sql}: {why}" for why in _performed(destination, [((schema, name), sql)]).values()]
    return lost


def refresh(destination: Destination) -> list[str]:
    """Fill the materialized views anew, which are copies of what they read; which could not be, and why."""
    if destination.kind != "postgres":
        return []
    rows = destination.query("select schemaname, matviewname from pg_matviews where ispopulated").rows
    statements = [
        ((schema, name), f"refresh materialized view {identifier(schema)}.{identifier(name)}") for schema, name in rows
    ]
    return [f"materialized view {_shown(name)}: {why}" for name, why in _performed(destination, statements).items()]


def _performed(destination: Destination, statements: Iterable[tuple[Name, str]]) -> dict[Name, str]:
    """Perform each by itself; of those that failed, why."""
    failures = {}
    for name, sql in statements:
        try:
            destination.query(sql)
        except DestinationError as e:
            failures[name] = e.what
    return failures


def _shown(name: Name) -> str:
    return ".".join(name)
