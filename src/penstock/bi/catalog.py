"""What dbt says of tables and columns, read from its manifest, without starting dbt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.privacy.personal_columns import hidden_columns
from penstock.transform.manifest import TABLES, Manifest, Relation, Resource

if TYPE_CHECKING:
    from penstock.project import Project

Place = tuple[str, str]
"""Schema and table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A foreign key: the column of another table that a column's values are from."""

    place: Place
    column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A table as dbt describes it: column → text, column → what it refers to. Column names are small."""

    place: Place
    description: str
    columns: Mapping[str, str]
    references: Mapping[str, Reference]
    relation: Relation

    def personal(self, project: Project, columns: Iterable[str]) -> frozenset[str]:
        """Those of its actual columns that hold personal data."""
        return frozenset(hidden_columns(project, self.relation, columns))


def described_tables(manifest: Manifest) -> dict[Place, Described]:
    """The models, snapshots and seeds that are tables or views in the warehouse."""
    tables = {r.id: r for r in manifest.of_kinds(TABLES) if r.materialized != "ephemeral"}
    references = _references(manifest, tables)
    return {
        _place(resource): Described(
            place=_place(resource),
            description=resource.description,
            columns={name.lower(): column.description for name, column in resource.columns.items()},
            references=references.get(id_, {}),
            relation=manifest.relation(id_),
        )
        for id_, resource in tables.items()
    }


def _references(manifest: Manifest, tables: Mapping[str, Resource]) -> dict[str, dict[str, Reference]]:
    """Table → column → what dbt's test ``relationships`` says that it refers to."""
    references: dict[str, dict[str, Reference]] = {}
    for resource in manifest.of_kinds(["test"]):
        test = resource.test
        if test is None or test.name != "relationships":
            continue
        parents = [parent for parent in resource.reads if parent != test.model]
        column, field = test.arguments.get("column_name"), test.arguments.get("field")
        if test.model in tables and len(parents) == 1 and parents[0] in tables and column and field:
            target = Reference(place=_place(tables[parents[0]]), column=str(field).lower())
            references.setdefault(test.model, {})[str(column).lower()] = target
    return references


def _place(resource: Resource) -> Place:
    return resource.schema, resource.table
