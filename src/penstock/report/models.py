"""The tables behind ``ref('model')``, and what is made from what: read from dbt's manifest, without starting dbt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.errors import PenstockError, UsageError
from penstock.project.nearest import nearest
from penstock.sql import identifier
from penstock.transform.workspace import FOLDER, dbt_sources

if TYPE_CHECKING:
    from penstock.project import Project

_KINDS = ("model", "snapshot", "seed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model, seed or snapshot, or a table of dbt's sources: ``reads`` are the ids of what it is made from."""

    id: str
    name: str
    schema: str
    table: str
    kind: str
    package: str = ""
    reads: Sequence[str] = ()
    description: str = ""

    @property
    def relation(self) -> str:
        """As SQL names it."""
        return f"{identifier(self.schema)}.{identifier(self.table)}"


@dataclass
class Models:
    """All of a project. Reads the manifest at first use; has dbt parse only where the project is newer than it."""

    project: Project
    _found: dict[str, Model] | None = field(default=None, repr=False)
    _raw: Mapping[str, Any] | None = field(default=None, repr=False)

    def all(self) -> Mapping[str, Model]:
        """Id → model; none where the project has no dbt project."""
        if self._found is None:
            self._found = _models(self.manifest())
        return self._found

    def manifest(self) -> Mapping[str, Any]:
        """What dbt wrote of the project: of one that has no dbt project, that there is nothing."""
        if self._raw is None:
            self._raw = self._read()
        return self._raw

    def ref(self, first: str, second: str = "") -> Model:
        """What dbt's ``ref`` names: a model, or a package and a model.

        Raises:
            UsageError: there is none.
        """
        name, package = (second, first) if second else (first, "")
        return self._named(name, [m for m in self._models() if not package or m.package == package], "model")

    def source(self, source: str, table: str) -> Model:
        """What dbt's ``source`` names.

        Raises:
            UsageError: there is none.
        """
        return self._named(f"{source}.{table}", [m for m in self.all().values() if m.kind == "source"], "source")

    def _models(self) -> list[Model]:
        return [m for m in self.all().values() if m.kind != "source"]

    def _named(self, name: str, among: Sequence[Model], kind: str) -> Model:
        found = {m.name: m for m in among}
        if name in found:
            return found[name]
        near = nearest(name, found)
        raise UsageError(
            f"there is no {kind} {name!r}",
            fix=f"did you mean {near}?" if near else f"the project has {', '.join(sorted(found)) or 'none'}",
        )

    def _read(self) -> Mapping[str, Any]:
        if not self.project.has_models:
            return {"nodes": {}, "sources": {}}
        path = self.project.directory / FOLDER / "dbt" / self.project.target / "manifest.json"
        manifest = _manifest(path)
        if manifest is None or _stale(manifest, path, self.project):
            from penstock.transform.dbt import Dbt
            from penstock.transform.workspace import prepare_workspace

            dbt = Dbt(prepare_workspace(self.project))
            try:
                dbt.sources()
            finally:
                dbt.release()
            manifest = _manifest(path)
        if manifest is None:
            raise PenstockError("dbt wrote no manifest", where=str(path), fix="penstock transform")
        return manifest


def _manifest(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def _stale(manifest: Mapping[str, Any], path: Path, project: Project) -> bool:
    """Whether a file of dbt's is younger than the manifest, or one of the manifest's is gone."""
    written, directory = path.stat().st_mtime, project.directory
    lake = None if project.lake is None else project.lake.path
    own = manifest["metadata"].get("project_name")
    listed = (n["original_file_path"] for n in manifest["nodes"].values() if n["package_name"] == own)
    if any(not (directory / p).is_file() for p in listed):
        return True
    times = (p.stat() for p in dbt_sources(directory, lake))
    return any(max(t.st_mtime, t.st_ctime) > written for t in times)


def _models(manifest: Mapping[str, Any]) -> dict[str, Model]:
    nodes = {i: n for i, n in manifest["nodes"].items() if n["resource_type"] in _KINDS}
    found = {
        i: Model(
            id=i,
            name=f"{s['source_name']}.{s['name']}",
            schema=s["schema"],
            table=s["identifier"],
            kind="source",
            package=s["package_name"],
            description=s.get("description") or "",
        )
        for i, s in manifest["sources"].items()
    }
    for i, n in nodes.items():
        found[i] = Model(
            id=i,
            name=n["name"],
            schema=n["schema"],
            table=n["alias"],
            kind=n["resource_type"],
            package=n["package_name"],
            reads=tuple(dict.fromkeys(p for p in n["depends_on"]["nodes"] if p in nodes or p in manifest["sources"])),
            description=n.get("description") or "",
        )
    return found
