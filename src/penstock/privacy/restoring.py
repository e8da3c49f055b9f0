"""What goes with a table that is built anew, and its return.

PostgreSQL drops together with a table the views and functions that read it, its indexes, who may read it, and what
hangs on any of these: options, constraints, column defaults, rules, triggers, policies, comments. DuckDB has no grants,
and its views stay.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from penstock.errors import DestinationError
from penstock.sql import identifier, statement

if TYPE_CHECKING:
    from penstock.ports import Destination

Name = tuple[str, str]


@dataclass(slots=True, kw_only=True)
class Standing:
    """What stood in the warehouse: views and functions by name with the statement that makes them, the owners of all
    relations; and the indexes and the grants, each as its statement by the name it is about. An index has a second
    text, without its own name: dbt gives the same index another name each time. ``hanging`` is what hangs on relations
    and functions: what it is, and the statement that makes it, empty where there is none."""

    views: dict[Name, str] = field(default_factory=dict)
    functions: dict[Name, str] = field(default_factory=dict)
    owners: dict[Name, str] = field(default_factory=dict)
    grants: list[tuple[str, str, str]] = field(default_factory=list)
    indexes: list[tuple[str, str, str, str]] = field(default_factory=list)
    hanging: dict[str, str] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "views": [[*name, sql] for name, sql in self.views.items()],
            "functions": [[*name, sql] for name, sql in self.functions.items()],
            "owners": [[*name, role] for name, role in self.owners.items()],
            "grants": [list(grant) for grant in self.grants],
            "indexes": [list(index) for index in self.indexes],
            "hanging": [[what, sql] for what, sql in self.hanging.items()],
        }

    def take_in(self, data: dict[str, Any]) -> None:
        """Add what stood before an erasure that was cut short, of which some may be gone now."""
        for schema, name, sql in data.get("views", ()):
            self.views.setdefault((schema, name), sql)
        for schema, name, sql in data.get("functions", ()):
            self.functions.setdefault((schema, name), sql)
        for schema, name, role in data.get("owners", ()):
            self.owners.setdefault((schema, name), role)
        self.grants += [g for g in map(tuple, data.get("grants", ())) if g not in self.grants]
        for what, sql in data.get("hanging", ()):
            self.hanging.setdefault(what, sql)
        known = {nameless for _, _, _, nameless in self.indexes}
        self.indexes += [i for i in map(tuple, data.get("indexes", ())) if i[3] not in known]


def standing(destination: Destination) -> Standing:
    """What stands now; nothing where neither views nor grants get lost."""
    now = Standing()
    if not destination.capabilities.has_roles:
        return now
    for schema, name, kind, owner, definition in destination.query(statement("penstock.privacy", "relations.sql")).rows:
        now.owners[schema, name] = owner
        if definition is not None:
            made = "materialized view" if kind == "m" else "view"
            now.views[schema, name] = f"create {made} {identifier(schema)}.{identifier(name)} as {definition}"
    for schema, name, sql in destination.query(statement("penstock.privacy", "granted.sql")).rows:
        now.grants.append((schema, name, sql))
    for schema, name, sql, nameless in destination.query(statement("penstock.privacy", "indexes.sql")).rows:
        now.indexes.append((schema, name, sql, nameless))
    for schema, name, sql in destination.query(statement("penstock.privacy", "functions.sql")).rows:
        now.functions[schema, name] = sql
    now.hanging = _hanging(destination)
    return now


def missing(before: Standing, destination: Destination) -> list[Name]:
    """The views that stood before and do not now."""
    if not before.views:
        return []
    now = standing(destination)
    return [name for name in before.views if name not in now.views]


def restore(before: Standing, destination: Destination) -> list[str]:
    """Make what is missing, and give back owners and grants; what could not be is told."""
    if not destination.capabilities.has_roles:
        return []
    now = standing(destination)
    makings = {f"view {_shown(n)}": sql for n, sql in before.views.items() if n not in now.views}
    makings |= {f"function {_shown(n)}": sql for n, sql in before.functions.items() if n not in now.functions}
    lost = _made(destination, makings)
    now = standing(destination)
    lost |= _performed(
        destination,
        {
            f"the owner of {_shown(name)}": (
                f"alter table {identifier(name[0])}.{identifier(name[1])} owner to {identifier(role)}"
            )
            for name, role in before.owners.items()
            if now.owners.get(name, role) != role
        },
    )
    there = {nameless for _, _, _, nameless in now.indexes}
    indexes = {
        sql: sql
        for schema, name, sql, nameless in before.indexes
        if (schema, name) in now.owners and nameless not in there
    }
    lost |= _performed(destination, indexes)
    now.hanging = _hanging(destination)
    hanging = {what: sql for what, sql in before.hanging.items() if what not in now.hanging}
    lost |= _made(destination, {what: sql for what, sql in hanging.items() if sql})
    lost |= {what: "it was dropped with what it depends on; make it anew" for what, sql in hanging.items() if not sql}
    grants = {
        sql: sql
        for schema, name, sql in before.grants
        if (schema, name) in now.owners and (schema, name, sql) not in now.grants
    }
    lost |= _performed(destination, grants)
    return [f"{what}: {why}" for what, why in lost.items()]


def _hanging(destination: Destination) -> dict[str, str]:
    rows = destination.query(statement("penstock.privacy", "hanging.sql")).rows
    return {what: sql or "" for what, sql in rows}


def refresh(destination: Destination) -> list[str]:
    """Fill the materialized views anew, which are copies of what they read; which could not be, and why."""
    if not destination.capabilities.has_roles:
        return []
    rows = destination.query("select schemaname, matviewname from pg_matviews where ispopulated").rows
    statements = {
        f"materialized view {schema}.{name}": f"refresh materialized view {identifier(schema)}.{identifier(name)}"
        for schema, name in rows
    }
    return [f"{what}: {why}" for what, why in _performed(destination, statements).items()]


def _made(destination: Destination, statements: dict[str, str]) -> dict[str, str]:
    """Perform them in whichever order works; of those that failed, why."""
    waiting, failures = statements, dict[str, str]()
    while waiting:
        # one may need another: as long as one can be made, there is hope for the rest
        failures = _performed(destination, waiting)
        if len(failures) == len(waiting):
            break
        waiting = {what: statements[what] for what in failures}
    return failures


def _performed(destination: Destination, statements: dict[str, str]) -> dict[str, str]:
    """Perform each by itself; of those that failed, why."""
    failures = {}
    for what, sql in statements.items():
        try:
            destination.query(sql)
        except DestinationError as e:
            failures[what] = e.what
    return failures


def _shown(name: Name) -> str:
    return ".".join(name)
