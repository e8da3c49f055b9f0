"""What dbt says of tables and columns, read from its manifest, without starting dbt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penstock.privacy.marks import hidden_columns
from penstock.transform.dbt import Relation

if TYPE_CHECKING:
    from penstock.project import Project

Place = tuple[str, str]
"""Schema and table."""

_KINDS = ("model", "snapshot", "seed")


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


def described_tables(manifest: Mapping[str, Any]) -> dict[Place, Described]:
    """The models, snapshots and seeds that are tables or views in the warehouse."""
    nodes = {
        id_: node
        for id_, node in manifest["nodes"].items()
        if node["resource_type"] in _KINDS and node["config"]["materialized"] != "ephemeral"
    }
    references = _references(manifest, nodes)
    streams = _Streams(manifest)
    return {
        _place(node): Described(
            place=_place(node),
            description=_text(node),
            columns={name.lower(): _text(column) for name, column in node["columns"].items()},
            references=references.get(id_, {}),
            relation=Relation(
                name=node["name"],
                schema=node["schema"],
                table=node["alias"],
                kind=str(node["config"]["materialized"]),
                streams=streams.read_by(id_),
                meta=_meta(node),
                columns={name: _meta(column) for name, column in node["columns"].items()},
            ),
        )
        for id_, node in nodes.items()
    }


def _references(manifest: Mapping[str, Any], nodes: Mapping[str, Any]) -> dict[str, dict[str, Reference]]:
    """Node → column → what dbt's test ``relationships`` says that it refers to."""
    found: dict[str, dict[str, Reference]] = {}
    for test in manifest["nodes"].values():
        said = test.get("test_metadata") or {}
        if said.get("name") != "relationships":
            continue
        child, arguments = test.get("attached_node"), said.get("kwargs", {})
        parents: Sequence[str] = [p for p in test["depends_on"]["nodes"] if p != child]
        column, field = arguments.get("column_name"), arguments.get("field")
        if child in nodes and len(parents) == 1 and parents[0] in nodes and column and field:
            target = Reference(place=_place(nodes[parents[0]]), column=str(field).lower())
            found.setdefault(child, {})[str(column).lower()] = target
    return found


class _Streams:
    """Which streams a node reads, also through others."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        self._nodes = manifest["nodes"]
        self._found: dict[str, frozenset[str]] = {
            id_: frozenset({s["identifier"].removesuffix("__delta")} if s["schema"] == "raw" else ())
            for id_, s in manifest["sources"].items()
        }

    def read_by(self, id_: str) -> frozenset[str]:
        """The streams that a node reads."""
        if id_ not in self._found:
            parents = self._nodes[id_]["depends_on"]["nodes"] if id_ in self._nodes else ()
            self._found[id_] = frozenset().union(*(self.read_by(p) for p in parents))
        return self._found[id_]


def _place(node: Mapping[str, Any]) -> Place:
    return node["schema"], node["alias"]


def _text(part: Mapping[str, Any]) -> str:
    return str(part.get("description") or "").strip()


def _meta(part: Mapping[str, Any]) -> dict[str, Any]:
    return {**(part.get("meta") or {}), **((part.get("config") or {}).get("meta") or {})}
