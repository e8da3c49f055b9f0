"""Calls dbt's Python API, which dbt-core 2 will not have. ``lean.py`` and ``masked.py`` replace parts of dbt."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from penstock.errors import TransformError, UsageError
from penstock.transform.layers import Layer, find_layer
from penstock.transform.lean import Lean
from penstock.transform.masked import mask_errors
from penstock.transform.workspace import Workspace

TESTS = ("test", "unit_test")
"""The kinds of nodes that test."""
WHOLE_TABLE = "whole_table"
"""Tag of the data tests whose cost grows with the table."""

NodeProgress = Callable[[int, int, str], object]
"""Is told of each model or test as it begins: which of how many it is, and its name."""

_QUIET = (
    # standard output is the command's own: what dbt has to say is in its log, in nodes and in errors
    "--quiet",
    "--log-level",
    "none",
    "--no-use-colors",
    "--no-use-colors-file",
    "--no-version-check",
    "--no-send-anonymous-usage-stats",
)
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What became of one model or test. ``rows`` is None where the adapter does not say."""

    name: str
    kind: str
    status: str
    seconds: float
    rows: int | None
    message: str
    started_at: datetime
    id: str = ""
    sql: str = ""

    @property
    def failed(self) -> bool:
        """Whether it counts against the build; a warning does not."""
        return self.status in ("error", "fail", "runtime error")

    @property
    def refuted(self) -> bool:
        """Whether it is a test that ran, and found the data or the model to be other than it says."""
        return self.kind in TESTS and self.status == "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What of a project one layer is, in dbt's selectors; by default all of it.

    ``selectors`` take in its models with their tests, ``tests`` are those that its models alone do not bring along,
    and ``later`` are tests that also read what is built after it.
    """

    paths: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    later: tuple[str, ...] = ()

    @property
    def selectors(self) -> tuple[str, ...]:
        """All that the layer has."""
        return (*self.paths, *self.tests)

    def of(self, selectors: Sequence[str]) -> list[str]:
        """What of these selectors lies in the layer."""
        return [f"{s},{own}" for s in selectors for own in self.selectors] if self.paths else list(selectors)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a node is, and what it reads, as (database, schema, table); tests are nowhere, and about ``tested``."""

    at: tuple[str | None, str, str] | None = None
    reads: tuple[tuple[str | None, str, str], ...] = ()
    tested: tuple[str | None, str, str] | None = None
    test: str = ""
    column: str | None = None
    severity: str = "error"


class Dbt:
    """dbt in this process. It parses the project once and keeps it: later builds start in 0.3 s instead of 5.

    Not thread-safe, as dbt's own runner is not.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._manifest: Any = None
        self._places: dict[str, Place] | None = None
        self._lean = Lean()

    def sources(self) -> dict[str, list[str]]:
        """Streams whose ``raw`` tables or views models read → dbt's selectors of those."""
        found: dict[str, list[str]] = {}
        for source in self._parsed().sources.values():
            if source.schema == "raw":
                selector = f"source:{source.source_name}.{source.name}"
                found.setdefault(source.identifier.removesuffix("__delta"), []).append(selector)
        return found

    def has_tests(self) -> bool:
        """Whether the project has tests of data."""
        return any(n.resource_type == "test" for n in self._parsed().nodes.values())

    def relations(self) -> list[Relation]:
        """The models, snapshots and seeds of the project, with what their columns say of people; and the tests that
        store the rows that fail them."""
        manifest = self._parsed()
        read: dict[str, frozenset[str]] = {
            id_: frozenset({s.identifier.removesuffix("__delta")} if s.schema == "raw" else ())
            for id_, s in manifest.sources.items()
        }

        def streams(id_: str) -> frozenset[str]:
            if id_ not in read:
                node = manifest.nodes.get(id_)
                parents = [] if node is None else node.depends_on_nodes
                read[id_] = frozenset().union(*(streams(p) for p in parents))
            return read[id_]

        return [
            Relation(
                name=n.name,
                schema=n.schema,
                table=n.alias,
                kind=str(n.config.materialized),
                streams=streams(n.unique_id),
                meta=dict(n.config.meta),
                columns={c.name: {**c.meta, **c.config.meta} for c in n.columns.values()},
            )
            for n in manifest.nodes.values()
            if n.resource_type in ("model", "snapshot", "seed")
            or (n.resource_type == "test" and n.config.store_failures)
        ]

    def places(self) -> dict[str, Place]:
        """Models, snapshots, seeds and tests by their id. What an ephemeral model reads, its readers read."""
        if self._places is not None:
            return self._places
        manifest = self._parsed()

        def tables(id_: str) -> list[tuple[str | None, str, str]]:
            if (source := manifest.sources.get(id_)) is not None:
                name = source.identifier.removesuffix("__delta") if source.schema == "raw" else source.identifier
                return [(source.database, source.schema, name)]
            node = manifest.nodes.get(id_)
            if node is None:
                return []
            if str(node.config.materialized) == "ephemeral":
                return [table for parent in node.depends_on_nodes for table in tables(parent)]
            return [(node.database, node.schema, node.alias)]

        self._places = found = {}
        for id_, node in manifest.nodes.items():
            reads = tuple(dict.fromkeys(t for parent in node.depends_on_nodes for t in tables(parent)))
            if node.resource_type in ("model", "snapshot", "seed"):
                at = None if str(node.config.materialized) == "ephemeral" else tables(id_)[0]
                found[id_] = Place(at=at, reads=reads)
            elif node.resource_type == "test":
                attached = tables(getattr(node, "attached_node", None) or "")
                found[id_] = Place(
                    reads=reads,
                    tested=next(iter([*attached, *reads]), None),
                    test=getattr(getattr(node, "test_metadata", None), "name", ""),
                    column=getattr(node, "column_name", None),
                    severity=str(node.config.severity).lower(),
                )
        return found

    def models_apart_from(self, tables: Collection[str]) -> list[str]:
        """``schema.name`` of the models that read none of these raw tables, not even through others."""
        manifest = self._parsed()
        reading: dict[str, bool] = {
            id_: s.schema == "raw" and s.identifier.removesuffix("__delta") in tables
            for id_, s in manifest.sources.items()
        }

        def reads(id_: str) -> bool:
            if id_ not in reading:
                node = manifest.nodes.get(id_)
                reading[id_] = node is not None and any(reads(parent) for parent in node.depends_on_nodes)
            return reading[id_]

        models = (n for n in manifest.nodes.values() if n.resource_type == "model")
        return [f"{n.schema}.{n.alias}" for n in models if not reads(n.unique_id)]

    def marked_models(self) -> list[str]:
        """``schema.name`` of the models that keep a watermark."""
        models = (n for n in self._parsed().nodes.values() if n.resource_type == "model")
        return [f"{n.schema}.{n.alias}" for n in models if str(n.config.materialized) == "incremental"]

    def part(self, layers: Sequence[Layer], name: str) -> Part:
        """The layer of this name. A test belongs to the last of the layers that it reads.

        Raises:
            UsageError: a model of it reads a layer that is built later, which its text does not tell.
        """
        manifest = self._parsed()
        at = find_layer(layers, name, self._workspace.project)
        home = {
            id_: next((i for i, layer in enumerate(layers) if layer.holds(node.original_file_path)), None)
            for id_, node in manifest.nodes.items()
            if node.resource_type != "test"
        }
        tests: list[str] = []
        later: list[str] = []
        for id_, node in manifest.nodes.items():
            reads = [i for i in (home.get(parent) for parent in node.depends_on_nodes) if i is not None]
            last = max(reads, default=0)
            if node.resource_type == "test":
                if last > at:
                    later.append(f"fqn:{node.name}")
                elif last == at and set(reads) != {at}:
                    tests.append(f"fqn:{node.name}")
            elif home[id_] == at and last > at:
                raise UsageError(
                    f"model {node.name} of layer {name} reads layer {layers[last].name}, which its text does not say",
                    where=str(self._workspace.project / node.original_file_path),
                    fix="name what it reads in a comment of the model: -- depends_on: {{ ref('that_model') }}",
                )
        return Part(paths=tuple(f"path:{p}" for p in layers[at].paths), tests=tuple(tests), later=tuple(later))

    def build(
        self,
        *,
        select: Sequence[str] = (),
        exclude: Sequence[str] = (),
        full_refresh: bool = False,
        whole: bool = True,
        progress: NodeProgress | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> list[Node]:
        """Build and test what ``select`` says, all when it is empty, but for what ``exclude`` says.

        Without ``whole``, unit tests and the tests that read whole tables are left out: models that were not changed
        are still right, and the step's cost follows what is new.

        Raises:
            TransformError: dbt could not even start building: a project that does not parse, no connection.
        """
        arguments = ["--no-write-json", "build"]
        if select:
            arguments += ["--select", *select]
        if full_refresh:
            arguments.append("--full-refresh")
        excluded = [*exclude, *([] if whole else [f"tag:{WHOLE_TABLE}"])]
        if excluded:
            arguments += ["--exclude", *excluded]
        if not whole:
            arguments += ["--exclude-resource-type", "unit_test"]
        return self._perform(arguments, environment, progress=progress)

    def follow(
        self,
        *,
        select: Sequence[str],
        exclude: Sequence[str] = (),
        views: bool,
        environment: Mapping[str, str] | None = None,
    ) -> list[Node]:
        """Build models without testing them, with as little about it as dbt can: for a load that was just committed.

        Without ``views``, models that are views are left out: what they show is never old. Columns are not widened.

        Raises:
            TransformError: as :meth:`build`.
        """
        arguments = ["--no-write-json", "--no-populate-cache", "run", "--select", *select]
        excluded = [*exclude, *([] if views else ["config.materialized:view"])]
        if excluded:
            arguments += ["--exclude", *excluded]
        self._parsed()
        with self._lean:
            return self._perform(arguments, environment, log_level="none")

    def _perform(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None,
        *,
        log_level: str = "error",
        progress: NodeProgress | None = None,
    ) -> list[Node]:
        with _variables({**self._workspace.environment, **(environment or {})}):
            self._parsed()
            result = self._invoke(arguments, log_level, progress)
        if result is None or not hasattr(result, "results"):
            return []
        return [_node(r) for r in result.results]

    def release(self) -> None:
        """Let go of the warehouse: of the DuckDB file, which dbt's adapter keeps open, and of connections kept."""
        self._lean.close()
        try:
            from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        except ImportError:
            return
        DuckDBConnectionManager.close_all_connections()

    def _parsed(self) -> Any:
        if self._manifest is None:
            with _variables(self._workspace.environment):
                self._manifest = self._invoke(["parse"])
        return self._manifest

    def _invoke(self, arguments: Sequence[str], log_level: str = "error", progress: NodeProgress | None = None) -> Any:
        from dbt.cli.main import dbtRunner

        mask_errors()
        messages: list[str] = []

        def listen(event: Any) -> None:
            if event.info.level in ("error", "warn") and event.info.msg:
                messages.append(event.info.msg)
            if progress is not None and event.info.name == "LogStartLine":
                progress(event.data.index, event.data.total, event.data.node_info.node_name)

        space = self._workspace
        outcome = dbtRunner(manifest=self._manifest, callbacks=[listen]).invoke(
            [
                *_QUIET,
                "--log-level-file",
                log_level,
                "--log-path",
                str(space.log_path),
                *arguments,
                "--project-dir",
                str(space.project),
                "--profiles-dir",
                str(space.profiles),
                "--target",
                space.profile_target,
                "--target-path",
                str(space.target_path),
            ]
        )
        if outcome.exception is not None and outcome.result is None:
            first = _plain(str(outcome.exception)) or "; ".join(map(_plain, messages[-3:]))
            raise TransformError(
                f"dbt: {first}",
                where=str(space.project / "dbt_project.yml"),
                fix=f"see {space.log_path / 'dbt.log'}",
            )
        return outcome.result


def _node(result: Any) -> Node:
    rows = result.adapter_response.get("rows_affected") if result.adapter_response else None
    return Node(
        name=result.node.name,
        kind=str(result.node.resource_type),
        status=str(result.status),
        seconds=result.execution_time,
        rows=rows if isinstance(rows, int) and rows >= 0 else None,
        message=_plain(result.message or ""),
        started_at=_started(result),
        id=result.node.unique_id,
        sql=getattr(result.node, "compiled_code", None) or "",
    )


def _plain(text: str) -> str:
    """What dbt or a database said, without what is for terminals."""
    return _ANSI.sub("", text).strip()


def _started(result: Any) -> datetime:
    """When dbt began with a node: the earliest of the times it took, which are UTC without saying so."""
    times = [t.started_at for t in result.timing or () if t.started_at is not None]
    if not times:
        return datetime.now(UTC) - timedelta(seconds=result.execution_time)
    first: datetime = min(times)
    return first.replace(tzinfo=UTC) if first.tzinfo is None else first


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for the time of a call: the only way to hand dbt a secret."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
