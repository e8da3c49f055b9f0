"""Calls dbt's Python API, which dbt-core 2 will not have. ``masked.py`` replaces a part of dbt."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from penstock.destinations.kinds import kind_of
from penstock.errors import TransformError
from penstock.transform.kept_manifest import keep_manifest, kept_manifest
from penstock.transform.manifest import TESTS, WHOLE_TABLE, Manifest
from penstock.transform.masked import mask_errors
from penstock.transform.workspace import Workspace, prepare_workspace

if TYPE_CHECKING:
    from penstock.project import Project

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
_NOTHING_CHOSEN = ("NoNodesForSelectionCriteria", "NoNodesSelected")
"""The events by which dbt says that a selector names nothing."""
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


class Dbt:
    """dbt in this process. It parses the project once and keeps it: later builds start in 0.3 s instead of 5.

    Not thread-safe, as dbt's own runner is not.

    Args:
        fingerprint: of all that dbt reads. What an earlier process parsed of the same is not parsed again before
            something is built; without it, each process parses.
        ready: is called before the warehouse is asked.
    """

    def __init__(
        self, workspace: Workspace, fingerprint: str = "", *, ready: Callable[[], object] = lambda: None
    ) -> None:
        self._workspace = workspace
        self._fingerprint = fingerprint
        self._ready = ready
        self._manifest: Any = None
        self._read: Manifest | None = None

    @property
    def manifest(self) -> Manifest:
        """What the project holds, parsed at first use.

        Raises:
            TransformError: it cannot be read.
        """
        if self._read is None:
            self._read = kept_manifest(self._workspace.target_path, self._fingerprint)
        if self._read is None:
            self._read = Manifest.of(self._parsed().writable_manifest().to_dict(omit_none=False))
        return self._read

    def parse(self) -> None:
        """Have dbt ready to build, which takes seconds the first time.

        Raises:
            TransformError: the project cannot be read.
        """
        self._parsed()

    def sources(self) -> dict[str, list[str]]:
        """Streams whose ``raw`` tables or views models read → dbt's selectors of those."""
        return self.manifest.selectors()

    def listed(self, select: Sequence[str], exclude: Sequence[str] = ()) -> tuple[frozenset[str], list[str]]:
        """The ids of what dbt's selectors choose, and what dbt has to say of those that choose nothing.

        Raises:
            TransformError: dbt cannot read them.
        """
        arguments = ["--no-write-json", "list", "--output", "json", "--output-keys", "unique_id"]
        arguments += ["--select", *select] if select else []
        arguments += ["--exclude", *exclude] if exclude else []
        warnings: list[str] = []
        with _variables(self._workspace.environment):
            self._parsed()
            lines = self._invoke(arguments, warned=warnings.append) or []
        return frozenset(json.loads(line)["unique_id"] for line in lines), list(dict.fromkeys(warnings))

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

    def compiled(self, select: Sequence[str]) -> dict[str, str]:
        """The SQL of models, by their ids; without those that cannot be compiled now.

        Raises:
            TransformError: as :meth:`build`.
        """
        nodes = self._perform(["--no-write-json", "compile", "--select", *select], None)
        return {node.id: node.sql for node in nodes if node.sql}

    def tables(
        self, *, select: Sequence[str], full_refresh: bool = False, environment: Mapping[str, str] | None = None
    ) -> list[Node]:
        """Build seeds, snapshots and models without testing them.

        Raises:
            TransformError: as :meth:`build`.
        """
        arguments = ["--no-write-json", "build", "--exclude-resource-type", "test", "unit_test"]
        arguments += ["--select", *select] if select else []
        arguments += ["--full-refresh"] if full_refresh else []
        return self._perform(arguments, environment)

    def follow(
        self, *, select: Sequence[str], exclude: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> list[Node]:
        """Build models without testing them: for a load that was just committed.

        Raises:
            TransformError: as :meth:`build`.
        """
        # without a cache from the start each thread lists a schema when it needs it, and a table that another one is
        # renaming meanwhile is in the list under its old name
        arguments = ["--no-write-json", "--cache-selected-only", "run", "--select", *select]
        arguments += ["--exclude", *exclude] if exclude else []
        return self._perform(arguments, environment)

    def _perform(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None,
        progress: NodeProgress | None = None,
    ) -> list[Node]:
        with _variables({**self._workspace.environment, **(environment or {})}):
            self._ready()
            self._parsed()
            result = self._invoke(arguments, progress)
        if result is None or not hasattr(result, "results"):
            return []
        return [_node(r) for r in result.results]

    def release(self) -> None:
        """Let go of the DuckDB file, which dbt's adapter keeps open once dbt has built something."""
        if self._manifest is None:
            return
        try:
            from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        except ImportError:
            return
        DuckDBConnectionManager.close_all_connections()

    def _parsed(self) -> Any:
        if self._manifest is None:
            space = self._workspace
            with _variables(space.environment), keep_manifest(space.target_path, self._fingerprint):
                self._manifest = self._invoke(["parse"])
        return self._manifest

    def _invoke(
        self,
        arguments: Sequence[str],
        progress: NodeProgress | None = None,
        *,
        warned: Callable[[str], object] = lambda _: None,
    ) -> Any:
        from dbt.cli.main import dbtRunner

        mask_errors()
        messages: list[str] = []

        def listen(event: Any) -> None:
            if event.info.level in ("error", "warn") and event.info.msg:
                messages.append(event.info.msg)
            if event.info.name in _NOTHING_CHOSEN:
                warned(_plain(event.info.msg))
            if progress is not None and event.info.name == "LogStartLine":
                progress(event.data.index, event.data.total, event.data.node_info.node_name)

        space = self._workspace
        outcome = dbtRunner(manifest=self._manifest, callbacks=[listen]).invoke(
            [
                *_QUIET,
                "--log-level-file",
                "error",
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


def open_dbt(project: Project, fingerprint: str = "") -> Dbt:
    """The project's dbt, which has not read anything yet; with ``fingerprint``, as :class:`Dbt` has it.

    Raises:
        UsageError: ``dbt_project.yml`` is unreadable.
    """
    destination = project.destination
    ready = partial(kind_of(destination).ready_dbt, destination)
    return Dbt(prepare_workspace(project), fingerprint, ready=ready)


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
