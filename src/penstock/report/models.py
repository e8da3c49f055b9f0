"""The tables behind ``ref('model')`` and ``source('raw', 'stream')``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock.errors import UsageError
from penstock.project.nearest import nearest
from penstock.sql import identifier
from penstock.transform.manifest import TABLES
from penstock.transform.stored_manifest import read_manifest

if TYPE_CHECKING:
    from penstock.project import Project
    from penstock.transform.manifest import Manifest, Resource


@dataclass
class Models:
    """All of a project. Reads the manifest at first use; has dbt parse only where the project is newer than it."""

    project: Project
    _manifest: Manifest | None = field(default=None, repr=False)

    def manifest(self) -> Manifest:
        """What dbt knows of the project: of one that has no dbt project, that there is nothing."""
        if self._manifest is None:
            self._manifest = read_manifest(self.project)
        return self._manifest

    def all(self) -> Mapping[str, Resource]:
        """Id → model, seed, snapshot or source; none where the project has no dbt project."""
        return {resource.id: resource for resource in self.manifest().of_kinds((*TABLES, "source"))}

    def ref(self, first: str, second: str = "") -> Resource:
        """What dbt's ``ref`` names: a model, or a package and a model.

        Raises:
            UsageError: there is none.
        """
        name, package = (second, first) if second else (first, "")
        models = self.manifest().of_kinds(TABLES)
        return _named(name, [m for m in models if not package or m.package == package], "model")

    def source(self, source: str, table: str) -> Resource:
        """What dbt's ``source`` names.

        Raises:
            UsageError: there is none.
        """
        return _named(f"{source}.{table}", self.manifest().of_kinds(["source"]), "source")


def relation_of(resource: Resource) -> str:
    """A table or view as SQL names it."""
    return f"{identifier(resource.schema)}.{identifier(resource.table)}"


def _named(name: str, among: Sequence[Resource], kind: str) -> Resource:
    known = {resource.name: resource for resource in among}
    if name in known:
        return known[name]
    near = nearest(name, known)
    raise UsageError(
        f"there is no {kind} {name!r}",
        fix=f"did you mean {near}?" if near else f"the project has {', '.join(sorted(known)) or 'none'}",
    )
