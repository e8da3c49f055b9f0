"""Turns what runs, loads and builds do into facts. Whatever goes wrong here is logged, and hinders nobody."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from penstock.engine_errors import error_text
from penstock.errors import PenstockError
from penstock.lineage.emitter import Emitter, emitter_for
from penstock.lineage.facts import Assertion, Dataset, Event, Field, Kind, Run
from penstock.lineage.naming import inputs, lake_output, table
from penstock.logs import described, get_log
from penstock.shape.personal import PSEUDONYM

if TYPE_CHECKING:
    from penstock.ports import Receipt
    from penstock.project import Project
    from penstock.project.steps import LoadStep
    from penstock.schema import Schema

PARENT_VARIABLE = "OPENLINEAGE_PARENT_ID"
"""``namespace/job/run id`` of the run that started this process, as Airflow's provider gives it to commands."""
RUNNING_SECONDS = 60.0
"""At most so often, a run without an end tells how far it is; so is a model that is built all the time."""

_log = get_log("lineage")
_parent: ContextVar[Run | None] = ContextVar("penstock_lineage_parent", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltNode:
    """What became of a model or a test, and where it is: ``reads`` are tables, as (database, schema, table); ``tested``
    is the table that a test is about."""

    name: str
    kind: str
    status: str
    failed: bool
    message: str
    started_at: datetime
    seconds: float
    rows: int | None
    sql: str
    at: tuple[str | None, str, str] | None
    reads: Sequence[tuple[str | None, str, str]] = ()
    tested: tuple[str | None, str, str] | None = None
    test: str = ""
    column: str | None = None
    severity: str = "error"


@dataclass(slots=True)
class Told:
    """What is told of one run while it goes on."""

    run: Run
    error: BaseException | None = None
    stopped: bool = False
    rows: int = 0
    bytes: int = 0
    schema: Callable[[], Schema] | None = None
    running: Callable[[], None] | None = None
    _spoke: float = field(default_factory=time.monotonic)

    def known(self) -> Schema | None:
        """The stream's schema, unless the warehouse does not give it now."""
        try:
            return None if self.schema is None else self.schema()
        except PenstockError:
            return None

    def committed(self, receipt: Receipt) -> None:
        """Add what a commit landed."""
        self.rows += receipt.landed
        self.bytes += receipt.bytes
        if self.running is not None and time.monotonic() - self._spoke >= RUNNING_SECONDS:
            self._spoke = time.monotonic()
            self.running()


class Telling:
    """Tells of one project's work. Without anybody who wants to know, each call is next to nothing."""

    def __init__(self, project: Project, emitter: Emitter | None) -> None:
        self._project = project
        self._emitter = emitter
        self._namespace = "penstock" if project.lineage is None else project.lineage.namespace
        self._told: dict[str, tuple[float, str]] = {}

    @property
    def wanted(self) -> bool:
        """Whether there is anybody to tell."""
        return self._emitter is not None

    @contextmanager
    def run(self, name: str, *, due: datetime | None = None) -> Iterator[Told]:
        """A run for the block, the parent of what is told in it by this thread. What the block raises, or is set as the
        ``error``, has it fail."""
        told = Told(self._new(name))
        if not self.wanted:
            yield told
            return
        root = _outer()
        nominal = None if due is None else (due, None)

        def tell(kind: Kind, error: BaseException | None = None) -> None:
            self._emit(kind, told.run, "RUN", parent=root, root=root, nominal=nominal, error=_said(error))

        tell("START")
        token = _parent.set(told.run)
        try:
            yield told
        except BaseException as e:
            tell("FAIL" if isinstance(e, Exception) else "ABORT", e)
            raise
        else:
            tell("FAIL" if told.error else "ABORT" if told.stopped else "COMPLETE", told.error)
        finally:
            _parent.reset(token)

    @contextmanager
    def load(self, step: LoadStep, schema: Callable[[], Schema], *, streaming: bool = False) -> Iterator[Told]:
        """A load for the block, which adds its commits; with ``streaming`` one that goes on until it is stopped, which
        is how it ends well. What the block raises, or is set as the ``error``, has it fail.

        Args:
            schema: gives the stream's schema of now.
        """
        told = Told(self._new(f"load.{step.stream}.{step.source}"), schema=schema)
        if not self.wanted:
            yield told
            return

        def tell(kind: Kind, error: BaseException | None = None) -> None:
            with _harmless():
                read = inputs(self._project, step)
                self._emit(
                    kind,
                    told.run,
                    "LOAD",
                    inputs=[replace(d, columns=self._fields(told)) for d in read],
                    outputs=self._outputs(step, told, read, whole=kind != "START"),
                    nominal=None if step.window is None else (step.window.start, step.window.end),
                    error=_said(error),
                    streaming=streaming,
                )

        if streaming:
            told.running = lambda: tell("RUNNING")
        tell("START")
        try:
            yield told
        except BaseException as e:
            tell("FAIL" if isinstance(e, Exception) else "ABORT", e)
            raise
        stopped = told.stopped and not streaming
        tell("FAIL" if told.error else "ABORT" if stopped else "COMPLETE", told.error)

    def built(
        self,
        nodes: Callable[[], Sequence[BuiltNode]],
        columns: Callable[[], Mapping[tuple[str, str], Sequence[tuple[str, str]]]],
        *,
        following: bool,
    ) -> None:
        """What a build did. Of builds that follow loads all the time, each model is told at most once a minute, and
        each failure.

        Args:
            columns: gives the columns of tables, by schema and table.
        """
        if not self.wanted:
            return
        with _harmless():
            due = [n for n in nodes() if not following or self._is_due(n)]
            if not due:
                return
            known = columns()
            begin = min(n.started_at for n in due)
            end = max(n.started_at + timedelta(seconds=n.seconds) for n in due)
            parent, own = _parent.get(), None
            if parent is None:
                parent = own = self._new("transform", begin)
                self._emit("START", own, "RUN", at=begin, parent=_outer(), root=_outer())
            for node in due:
                if node.at is not None:
                    self._model(node, parent, known)
            self._tests([n for n in due if n.tested is not None], parent, known)
            if own is not None:
                failed = any(n.failed for n in due)
                self._emit("FAIL" if failed else "COMPLETE", own, "RUN", at=end, parent=_outer(), root=_outer())

    def _model(self, node: BuiltNode, parent: Run, known: Mapping[tuple[str, str], Sequence[tuple[str, str]]]) -> None:
        run = self._new(node.name, node.started_at)
        assert node.at is not None
        facts: dict[str, Any] = {
            "parent": parent,
            "inputs": [self._table(at, known) for at in node.reads],
            "sql": node.sql or None,
        }
        output = self._table(node.at, known)
        self._emit("START", run, node.kind.upper(), at=node.started_at, outputs=[output], **facts)
        self._emit(
            "FAIL" if node.failed else "ABORT" if node.status == "skipped" else "COMPLETE",
            run,
            node.kind.upper(),
            at=node.started_at + timedelta(seconds=node.seconds),
            outputs=[replace(output, rows=node.rows)],
            error=node.message if node.failed else None,
            **facts,
        )

    def _tests(
        self, nodes: Sequence[BuiltNode], parent: Run, known: Mapping[tuple[str, str], Sequence[tuple[str, str]]]
    ) -> None:
        """The tests of a table are one run."""
        by_table: dict[tuple[str | None, str, str], list[BuiltNode]] = {}
        for node in nodes:
            if node.tested is not None and node.status != "skipped":
                by_table.setdefault(node.tested, []).append(node)
        for at, tests in by_table.items():
            begin = min(t.started_at for t in tests)
            end = max(t.started_at + timedelta(seconds=t.seconds) for t in tests)
            run = self._new(f"{at[1]}.{at[2]}.tests", begin)
            assertions = [
                Assertion(
                    name=t.name, test=t.test or "custom_sql", passed=t.status == "pass", severity=t.severity,
                    column=t.column,
                )
                for t in tests
            ]  # fmt: skip
            failed = [t for t in tests if t.failed]
            read = replace(self._table(at, known), assertions=assertions)
            self._emit("START", run, "TEST", at=begin, parent=parent, inputs=[self._table(at, known)])
            self._emit(
                "FAIL" if failed else "COMPLETE", run, "TEST", at=end, parent=parent, inputs=[read],
                error="; ".join(f"{t.name}: {t.message}" for t in failed) or None,
            )  # fmt: skip

    def _table(
        self, at: tuple[str | None, str, str], known: Mapping[tuple[str, str], Sequence[tuple[str, str]]]
    ) -> Dataset:
        database, schema, name = at
        return replace(table(self._project.destination, schema, name, database), columns=known.get((schema, name), ()))

    def _is_due(self, node: BuiltNode) -> bool:
        at, status = self._told.get(node.name, (0.0, ""))
        if node.status == status and not node.failed and time.monotonic() - at < RUNNING_SECONDS:
            return False
        self._told[node.name] = (time.monotonic(), node.status)
        return True

    def _fields(self, told: Told) -> list[tuple[str, str]]:
        schema = told.known()
        return [] if schema is None else [(name, "") for name in schema.fields]

    def _outputs(self, step: LoadStep, told: Told, read: Sequence[Dataset], *, whole: bool) -> list[Dataset]:
        schema = told.known()
        columns = () if schema is None else schema.columns
        made_of = {
            c.name: [
                Field(namespace=d.namespace, dataset=d.name, name=c.field, masked=c.type == PSEUDONYM) for d in read
            ]
            for c in columns
        }
        raw = replace(
            table(self._project.destination, "raw", step.stream),
            columns=[(c.name, "text" if c.type == PSEUDONYM else c.type) for c in columns],
            made_of=made_of if read else {},
            rows=told.rows if whole else None,
            bytes=told.bytes if whole else None,
        )
        beside = lake_output(self._project, step)
        return [raw] if beside is None else [raw, beside]

    def _new(self, name: str, at: datetime | None = None) -> Run:
        return Run(id=str(_uuid7(at)), namespace=self._namespace, job=f"{self._project.name}.{name}")

    def _emit(self, kind: Kind, run: Run, what: str, *, at: datetime | None = None, **facts: Any) -> None:
        if self._emitter is None:
            return
        facts.setdefault("parent", _parent.get() or _outer())
        facts.setdefault("root", _outer())
        self._emitter.emit(Event(kind=kind, at=at or datetime.now(UTC), run=run, what=what, **facts))


def lineage_of(project: Project) -> Telling:
    """What tells of the project's work, for one of its parts."""
    return Telling(project, emitter_for(project.lineage))


def _outer() -> Run | None:
    """The run that started this process, if it said so."""
    parts = os.environ.get(PARENT_VARIABLE, "").rsplit("/", 2)
    if len(parts) == 3:
        try:
            return Run(id=str(UUID(parts[2])), namespace=parts[0], job=parts[1])
        except ValueError:
            pass
    return None


def _said(error: BaseException | None) -> str | None:
    if error is None:
        return None
    return str(error) if isinstance(error, PenstockError) else f"{type(error).__name__}: {error_text(error)}"


@contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except Exception as e:  # noqa: BLE001 - a load does not fail because it cannot be told of
        _log.warning("lineage cannot be told", **described(e))


def _uuid7(at: datetime | None = None) -> UUID:
    """A UUID by time (RFC 9562, version 7)."""
    milliseconds = time.time_ns() // 1_000_000 if at is None else int(at.timestamp() * 1_000)
    number = (milliseconds & ((1 << 48) - 1)) << 80 | secrets.randbits(80)
    number = number & ~(0xF << 76) | 7 << 76
    return UUID(int=number & ~(0b11 << 62) | 0b10 << 62)
