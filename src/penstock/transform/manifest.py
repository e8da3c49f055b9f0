"""dbt's manifest, read: what a project builds, from what, and what its YAML says of it. Nothing else reads it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Any

from penstock.transform.steady import is_steady, macros_of_people

RAW = "raw"
"""The schema of the tables that streams land in."""
TABLES = ("model", "snapshot", "seed")
"""The kinds of resources that are tables or views in the warehouse."""
TESTS = ("test", "unit_test")
"""The kinds of resources that test."""
WHOLE_TABLE = "whole_table"
"""Tag of the data tests whose cost grows with the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What YAML says of a column."""

    description: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataTest:
    """What a test of data asks: ``name`` is that of a generic test, ``model`` the id of what it is attached to."""

    name: str = ""
    model: str = ""
    column: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    severity: str = "error"
    stores_rows: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """By which ``columns`` of its result a model is built step by step; ``sources`` are what its configuration says of
    single inputs: by which of their columns or expressions they are filtered, or through which they are looked up."""

    columns: Sequence[str]
    sources: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One thing of a dbt project. ``kind`` is dbt's type of it: model, seed, snapshot, test, unit_test, source, …;
    the name of a source is ``source.table``. ``reads`` are the ids of what it is made from. A model asks to be built by
    its ``scope``, by moving its ``additive`` columns, as a ``whole``, or by none of these. ``steady`` says of a model
    that its statements are the same in each step, as :func:`penstock.transform.steady.is_steady` has it; ``marks`` says
    that a hook of it notes how far it is."""

    id: str
    name: str
    kind: str
    schema: str = ""
    table: str = ""
    database: str | None = None
    package: str = ""
    file: str = ""
    materialized: str = ""
    reads: Sequence[str] = ()
    description: str = ""
    tags: frozenset[str] = frozenset()
    meta: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, Column] = field(default_factory=dict)
    test: DataTest | None = None
    scope: Scope | None = None
    steady: bool = False
    marks: bool = False
    additive: Sequence[str] = ()
    whole: bool = False

    @property
    def watermark(self) -> str:
        """Its name in ``penstock.watermarks``."""
        return f"{self.schema}.{self.table}"

    @property
    def keeps_watermark(self) -> bool:
        """Whether it is built step by step, and says how far it is: the package's ``keeps_mark``."""
        stepwise = self.materialized == "penstock" or (self.materialized == "incremental" and self.marks)
        return self.kind == "model" and stepwise

    @property
    def stream(self) -> str | None:
        """The stream whose raw table, or view of what is new in it, it is; None when it is neither."""
        return self.table.removesuffix("__delta") if self.kind == "source" and self.schema == RAW else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A model, snapshot or seed: ``kind`` is how it is materialised, ``streams`` are those that it reads, also through
    others; ``meta`` is what its YAML says of it, and of its ``columns``."""

    name: str
    schema: str
    table: str
    kind: str
    streams: frozenset[str]
    meta: Mapping[str, Any]
    columns: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Manifest:
    """All resources of a project and its packages, by their ids."""

    resources: Mapping[str, Resource] = field(default_factory=dict)
    project: str = ""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Manifest:
        """From dbt's own document, as ``manifest.json`` has it."""
        own_macros = macros_of_people(document.get("macros") or {})
        nodes = [*document["nodes"].values(), *document.get("unit_tests", {}).values()]
        resources = {
            **{id_: _source(node) for id_, node in document["sources"].items()},
            **{node["unique_id"]: _node(node, own_macros) for node in nodes},
        }
        return cls(resources, document["metadata"].get("project_name") or "")

    def streams_of(self, id_: str) -> frozenset[str]:
        """The streams that a resource reads, also through others."""
        return self._streams.get(id_, frozenset())

    def selectors(self) -> dict[str, list[str]]:
        """Streams whose ``raw`` tables or views models read → dbt's selectors of those."""
        selectors: dict[str, list[str]] = {}
        for resource in self.resources.values():
            if (stream := resource.stream) is not None:
                selectors.setdefault(stream, []).append(f"source:{resource.name}")
        return selectors

    def reading(self, streams: Collection[str]) -> frozenset[str]:
        """The ids of what reads any of these streams, also through others."""
        return frozenset(id_ for id_ in self.resources if not self.streams_of(id_).isdisjoint(streams))

    @property
    def has_run_hooks(self) -> bool:
        """Whether there is something to do at the start or the end of each of dbt's runs."""
        return bool(self.of_kinds(["operation"]))

    def parents_among(self, id_: str, ids: Collection[str]) -> frozenset[str]:
        """Those of ``ids`` that a resource reads, directly or through others that are not among them."""
        parents: set[str] = set()
        for parent in self.resources[id_].reads if id_ in self.resources else ():
            parents |= {parent} if parent in ids else self.parents_among(parent, ids)
        return frozenset(parents)

    def of_kinds(self, kinds: Collection[str]) -> list[Resource]:
        """The resources of these kinds."""
        return [resource for resource in self.resources.values() if resource.kind in kinds]

    def relation(self, id_: str) -> Relation:
        """A model, snapshot, seed or test as a table in the warehouse."""
        resource = self.resources[id_]
        return Relation(
            name=resource.name,
            schema=resource.schema,
            table=resource.table,
            kind=resource.materialized,
            streams=self.streams_of(id_),
            meta=resource.meta,
            columns={name: column.meta for name, column in resource.columns.items()},
        )

    def relations(self) -> list[Relation]:
        """The models, snapshots and seeds of the project, with what their columns say of people; and the tests that
        store the rows that fail them."""
        return [
            self.relation(id_)
            for id_, resource in self.resources.items()
            if resource.kind in TABLES or (resource.test is not None and resource.test.stores_rows)
        ]

    def in_order(self, ids: Iterable[str]) -> list[Resource]:
        """These resources, each after those that it reads."""
        wanted = set(ids)
        return [self.resources[id_] for id_ in self._order if id_ in wanted]

    @cached_property
    def _order(self) -> Sequence[str]:
        graph = {id_: [r for r in resource.reads if r in self.resources] for id_, resource in self.resources.items()}
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError:  # which dbt refuses in its own words, when it builds
            return list(graph)

    @cached_property
    def _streams(self) -> Mapping[str, frozenset[str]]:
        streams: dict[str, frozenset[str]] = {}
        for id_ in self._order:
            resource = self.resources[id_]
            own = frozenset() if resource.stream is None else frozenset({resource.stream})
            streams[id_] = own.union(*(streams.get(parent, frozenset()) for parent in resource.reads))
        return streams


def _source(node: Mapping[str, Any]) -> Resource:
    return Resource(
        id=node["unique_id"],
        name=f"{node['source_name']}.{node['name']}",
        kind="source",
        schema=node["schema"],
        table=node["identifier"],
        database=node.get("database"),
        package=node["package_name"],
        file=node["original_file_path"],
        description=_description(node),
    )


def _node(node: Mapping[str, Any], own_macros: Mapping[str, str]) -> Resource:
    config = node.get("config") or {}
    kind = str(node["resource_type"])
    return Resource(
        id=node["unique_id"],
        name=node["name"],
        kind=kind,
        schema=node.get("schema") or "",
        table=node.get("alias") or node["name"],
        database=node.get("database"),
        package=node["package_name"],
        file=node["original_file_path"],
        materialized=str(config.get("materialized") or ""),
        reads=tuple(dict.fromkeys((node.get("depends_on") or {}).get("nodes") or ())),
        description=_description(node),
        tags=frozenset(config.get("tags") or ()),
        meta=_meta(node),
        columns={
            name: Column(description=_description(column), meta=_meta(column))
            for name, column in (node.get("columns") or {}).items()
        },
        test=_test(node, config) if kind == "test" else None,
        scope=_scope(config) if config.get("materialized") == "penstock" else None,
        steady=kind == "model" and is_steady(node, own_macros),
        marks="penstock.mark(" in str(config.get("post-hook")),
        additive=_additive(config) if config.get("materialized") == "penstock" else (),
        whole=config.get("materialized") == "penstock" and _asked(config) == "whole",
    )


def _asked(config: Mapping[str, Any]) -> str:
    """The mode that a model asks to be built in, as the macro ``mode_of`` has it; a history is told by its SQL."""
    implied = "scope" if config.get("scope") else "additive" if config.get("additive") else "whole"
    return str(config.get("mode") or implied)


def _additive(config: Mapping[str, Any]) -> Sequence[str]:
    return listed(config.get("additive")) if _asked(config) == "additive" else ()


def _scope(config: Mapping[str, Any]) -> Scope | None:
    columns = config.get("scope")
    if not columns or _asked(config) != "scope":
        return None
    return Scope(columns=listed(columns), sources=config.get("sources") or {})


def listed(value: Any) -> list[str]:
    """A setting that is one text or several."""
    return [value] if isinstance(value, str) else [str(each) for each in value or ()]


def _test(node: Mapping[str, Any], config: Mapping[str, Any]) -> DataTest:
    generic = node.get("test_metadata") or {}
    return DataTest(
        name=generic.get("name") or "",
        model=node.get("attached_node") or "",
        column=node.get("column_name"),
        arguments=generic.get("kwargs") or {},
        severity=str(config.get("severity") or "error").lower(),
        stores_rows=bool(config.get("store_failures")),
    )


def _description(part: Mapping[str, Any]) -> str:
    return str(part.get("description") or "").strip()


def _meta(part: Mapping[str, Any]) -> dict[str, Any]:
    return {**(part.get("meta") or {}), **((part.get("config") or {}).get("meta") or {})}
