"""Decides whether and what dbt has to build, and keeps the run in the ledger."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from penstock.errors import ContractError, PenstockError, TransformError, UsageError
from penstock.ledger import ledger_sql
from penstock.ledger.runs import RunRecord, RunStep, short
from penstock.ledger.soundness import expect_known, expect_sound
from penstock.lineage import lineage_of
from penstock.sql import literal
from penstock.transform.dbt import TESTS, Dbt, Node, Part
from penstock.transform.layers import find_layer, layers_of
from penstock.transform.told import built_nodes, table_columns
from penstock.transform.workspace import prepare_workspace, project_fingerprint

if TYPE_CHECKING:
    from penstock.land.session import Session

_HEAD = re.compile(r"\w+ Error in \w+ \S+ \((.+)\)")
"""The line with which dbt begins what it says of a node; it has the file."""
Progress = Callable[[str], object]
"""Is told in words what is being done: waited for, read, built."""
UPPER_SEQ = "PENSTOCK_UPPER_SEQ"
TEST_EVERY = timedelta(days=1)
"""How long the tests that read whole tables may be left out of the steps between."""


@dataclass(slots=True)
class Built:
    """What a transform did. ``reason`` says why nothing was built, when nothing was; ``waiting`` are the streams that
    have not landed yet, so that nothing that reads them was built; ``tests_left_out`` says that there are tests which
    were not due."""

    nodes: list[Node] = field(default_factory=list)
    upper_seq: int = 0
    reason: str = ""
    waiting: list[str] = field(default_factory=list)
    tests_left_out: bool = False

    def count(self, kind: str, *statuses: str) -> int:
        """How many nodes of a kind ended so; in any way without ``statuses``."""
        return sum(n.kind == kind and (not statuses or n.status in statuses) for n in self.nodes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What a transform set out to do: of which models, as :func:`project_fingerprint` has them, and with which loads;
    ``run_id`` is None while nothing of it is in the ledger."""

    fingerprint: str = ""
    upper_seq: int = 0
    run_id: int | None = None


class Transformer:
    """dbt for one session, kept warm.

    Args:
        following: each run follows a load: models are built at once, and tested when the last tests are older than
            ``test_every``. The warehouse stays open, as other threads of this process work with it.
        test_every: how long tests may be left out; by default those that read whole tables, for a day.
        wait: lets time pass while another process transforms; what it returns says whether to give up.
    """

    def __init__(
        self,
        session: Session,
        *,
        following: bool = False,
        test_every: timedelta = TEST_EVERY,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self.attempt = Attempt()
        """The last run, however it ended."""
        self._session = session
        self._wait = wait
        self._following = following
        self._test_every = test_every
        self._dbt: Dbt | None = None
        self._fingerprint = ""
        self._swept = ""
        self._columns = -1
        self._telling = lineage_of(session.project)
        self._tables: Mapping[tuple[str, str], Sequence[tuple[str, str]]] | None = None
        self._failed = False

    def warm(self) -> None:
        """Have dbt read the project, which takes seconds, before there is something to build.

        Raises:
            TransformError: it cannot be read.
        """
        self._ready(project_fingerprint(self._session.project)).sources()

    def close(self) -> None:
        """Let go of the warehouse."""
        if self._dbt is not None:
            self._dbt.release()

    def run(
        self,
        *,
        full_refresh: bool = False,
        layer: str | None = None,
        ended: Callable[[Built], None] | None = None,
        progress: Progress = str,
        parent: RunRecord | None = None,
    ) -> Built:
        """Build what the loads since the last good run touch: all models that depend on a stream that landed rows.

        Where several processes share the warehouse, one of them transforms at a time, and the others wait. One upper
        ``seq`` holds for the whole graph, so models agree with each other whatever lands meanwhile. Nothing new and
        nothing changed means dbt is not even started. Models and tests are entered as steps of the run, or of
        ``parent``; of builds that follow a load, only when something failed or tests ran.

        Args:
            full_refresh: build every model anew.
            layer: build this layer only, as far as the one before it was built.
            ended: is given all that dbt did, before an error is raised for some of it.
            progress: is told what is being done.

        Raises:
            ContractError: tests failed, and nothing else.
            TransformError: dbt failed, or a model or test could not be built. What was built stays built, and its
                watermarks with it.
            UsageError: no such layer, or the one before it was never built.
        """
        self.attempt = Attempt()

        def wait(seconds: float) -> object:
            progress("waiting for another process that builds models")
            return self._wait(seconds)

        progress("looking for what has landed")
        with self._session.destination.claim("transform", wait) as mine:
            if not mine:
                return Built(reason="it was stopped while another process transformed")
            return self._run(full_refresh=full_refresh, layer=layer, ended=ended, progress=progress, parent=parent)

    def _run(
        self,
        *,
        full_refresh: bool,
        layer: str | None,
        ended: Callable[[Built], None] | None,
        progress: Progress,
        parent: RunRecord | None,
    ) -> Built:
        session = self._session
        destination = session.destination
        fingerprint = project_fingerprint(session.project)
        changed = "(landed > 0 or deleted > 0)"
        upper = self._upper(layer, changed)
        self.attempt = Attempt(fingerprint=fingerprint, upper_seq=upper)
        seen, same, tested = self._last(fingerprint, layer)
        newest = int(destination.query("select coalesce(max(seq), 0) from penstock.loads").rows[0][0])
        if full_refresh or not same or seen > newest:
            expect_sound(destination, session.project.streams)
        else:
            for stream in session.project.streams:
                expect_known(destination, stream)
        if seen > newest:  # what was seen was deleted, and the streams were reset since: all is built anew
            seen, same, tested = 0, False, False
        built = Built(upper_seq=upper)
        if same and seen >= upper and not full_refresh:
            built.reason = "nothing has landed since the last run, and no model was changed"
            return built
        record = RunRecord.begin(
            destination.ledger, "transform", upper_seq=upper, parent=parent.run_id if parent else None
        )
        self.attempt = replace(self.attempt, run_id=record.run_id)
        detail: dict[str, Any] = {"fingerprint": fingerprint, **({"layer": layer} if layer else {})}
        steps = parent or record
        started = datetime.now(UTC)
        try:
            shrunk = bool(destination.query(ledger_sql("shrunk"), [seen, upper]).rows[0][0])
            select: list[str] = []
            progress("reading the models")
            dbt = self._ready(fingerprint)
            if self._swept != fingerprint:
                models = ", ".join(map(literal, dbt.marked_models())) or "''"
                destination.query(ledger_sql("keep_removed", models=models))
                self._swept = fingerprint
            part = dbt.part(layers_of(session.project.directory), layer) if layer else Part()
            if same and not full_refresh:
                streams = destination.query(
                    f"select distinct stream from penstock.loads where {changed} and seq > $1 and seq <= $2",
                    [seen, upper],
                ).rows
                sources = dbt.sources()
                select = part.of([f"{selector}+" for (s,) in streams for selector in sources.get(s, ())])
                self._advance(dbt.models_apart_from({s for (s,) in streams}), seen, upper)
                if not select:
                    built.reason = "no model reads what has landed"
            else:
                select = list(part.selectors)
            built.waiting = self._not_landed(dbt.sources(), None if layer is None else upper)
            exclude = [*part.later, *(f"{selector}+" for s in built.waiting for selector in dbt.sources()[s])]
            whole = full_refresh or not same or not tested
            built.tests_left_out = not whole and dbt.has_tests()
            columns = int(destination.query("select count(*) from penstock.columns").rows[0][0])
            if not self._following:
                session.release()
            environment = {UPPER_SEQ: str(upper)}
            if built.reason:
                pass
            elif self._following and not (whole or shrunk or self._failed):
                built.nodes = dbt.follow(
                    select=select, exclude=exclude, views=columns != self._columns, environment=environment
                )
            else:
                built.nodes = dbt.build(
                    select=select,
                    exclude=exclude,
                    # what a refresh deleted cannot be told from what is left: build anew what reads it
                    full_refresh=full_refresh or shrunk,
                    whole=whole,
                    progress=lambda index, total, name: progress(f"{index} of {total}, {name}"),
                    environment=environment,
                )
        except BaseException as e:
            self._failed = True
            self._let_go()
            step = RunStep(kind="transform", name="dbt", started_at=started, seconds=_since(started))
            step.failed(e)
            with suppress(PenstockError):  # the warehouse may be what failed
                steps.keep(step)
                record.end("error", **detail, whole=False)
            raise
        self._let_go()
        failed = [n for n in built.nodes if n.failed]
        self._failed = bool(failed)
        self._tell(dbt, built.nodes, columns)
        if not failed and not built.reason:
            self._columns = columns
        if failed or not self._following or any(n.kind not in ("model", "seed", "snapshot") for n in built.nodes):
            steps.keep(*map(node_step, built.nodes))
        record.end("error" if failed else "success", **detail, whole=whole and not built.reason)
        if ended is not None:
            ended(built)
        _raise_for(built.nodes, str(session.project.directory))
        return built

    def _tell(self, dbt: Dbt, nodes: Sequence[Node], columns: int) -> None:
        """Tell of the lineage of what was built."""
        telling = self._telling
        if not telling.wanted or not nodes:
            return

        def tables() -> Mapping[tuple[str, str], Sequence[tuple[str, str]]]:
            if not self._following or self._tables is None or columns != self._columns:
                self._tables = table_columns(self._session.destination)
            return self._tables

        telling.built(lambda: built_nodes(nodes, dbt.places()), tables, following=self._following)

    def _not_landed(self, streams: Iterable[str], upper: int | None) -> list[str]:
        """The streams that models read and that have no table yet: their models wait for the first load. With
        ``upper``, those too that landed later: the layers before did without them."""
        tables = self._session.destination.query(
            "select table_name from information_schema.tables where table_schema = 'raw'"
        ).rows
        landed = {name for (name,) in tables}
        if upper is not None:
            known = self._session.destination.query(
                "select distinct stream from penstock.loads where seq <= $1", [upper]
            )
            landed &= {name for (name,) in known.rows}
        return sorted(s for s in streams if s in self._session.project.streams and s not in landed)

    def _let_go(self) -> None:
        if not self._following:
            self.close()

    def _upper(self, layer: str | None, changed: str) -> int:
        """Up to which ``seq`` to take in loads: all of them, or, for a layer, as far as the one before it did."""
        project = self._session.project
        if layer is not None:
            layers = layers_of(project.directory)
            if at := find_layer(layers, layer, project.directory):
                before = layers[at - 1].name
                runs = self._session.destination.query(
                    f"select upper_seq from penstock.runs where {_GOOD} and {_of(before)} order by run_id desc limit 1"
                ).rows
                if not runs:
                    raise UsageError(
                        f"layer {layer} builds on {before}, which was never built",
                        where=str(project.directory),
                        fix=f"penstock transform --layer {before}",
                    )
                return int(runs[0][0])
        found = self._session.destination.query(f"select coalesce(max(seq), 0) from penstock.loads where {changed}")
        return int(found.rows[0][0])

    def _last(self, fingerprint: str, layer: str | None) -> tuple[int, bool, bool]:
        """Of the last good run of the layer, or of all layers at once: its upper ``seq``, and whether the models are
        still those; and whether such a run of these models tested whole tables within ``test_every``."""
        runs = self._session.destination.query(
            f"select upper_seq, fingerprint from penstock.runs where {_GOOD} and {_of(layer)}"
            " order by run_id desc limit 1"
        ).rows
        if not runs or runs[0][1] != fingerprint:
            return (int(runs[0][0]) if runs else 0), False, False
        tests = self._session.destination.query(
            f"select ended_at from penstock.runs where {_GOOD} and {_of(layer)} and fingerprint = $1 and whole"
            " order by run_id desc limit 1",
            [fingerprint],
        ).rows
        tested = bool(tests) and datetime.now(UTC) - tests[0][0] < self._test_every
        return int(runs[0][0]), True, tested

    def _ready(self, fingerprint: str) -> Dbt:
        if self._dbt is None or self._fingerprint != fingerprint:
            self.close()
            self._dbt = Dbt(prepare_workspace(self._session.project))
            self._fingerprint = fingerprint
        return self._dbt

    def _advance(self, models: Sequence[str], seen: int, upper: int) -> None:
        """Move the watermarks of models that have nothing to take in: what reads them goes no further than they."""
        for model in models:
            self._session.destination.query(
                "update penstock.watermarks set seq = $1 where model = $2 and seq >= $3 and seq < $1",
                [upper, model, seen],
            )


_GOOD = "kind = 'transform' and status = 'success'"


def _of(layer: str | None) -> str:
    """The runs that built a layer: those of all layers at once, and its own; without a layer, only the former."""
    return f"(layer is null or layer = {literal(layer)})" if layer else "layer is null"


def _since(started: datetime) -> float:
    return (datetime.now(UTC) - started).total_seconds()


def node_step(node: Node) -> RunStep:
    """A node as a step of a run."""
    return RunStep(
        kind=node.kind,
        name=node.name,
        status=node.status,
        started_at=node.started_at,
        seconds=node.seconds,
        rows=node.rows,
        error=short(node.message) if node.failed else None,
        fix=_fix(node) if node.failed else None,
    )


def _fix(node: Node) -> str:
    return f"mend {'the data or the model' if node.refuted else _broken(node)}, then: penstock transform"


def _broken(node: Node) -> str:
    """What is wrong with a node that could not be built or run."""
    return "the test, or the model it reads" if node.kind in TESTS else "the model"


def _raise_for(nodes: Sequence[Node], where: str) -> None:
    """Raise for the nodes that failed, if any did, and name those that were left out for them."""
    failed = [n for n in nodes if n.failed]
    if not failed:
        return
    lines = [_told(n) for n in failed]
    skipped = [n.name for n in nodes if n.status == "skipped" and n.kind not in TESTS]
    if skipped:
        lines.append(f"  skipped, as they read what failed: {', '.join(skipped)}")
    detail = "\n".join(lines)
    many = "s" if len(failed) > 1 else ""
    if all(n.refuted for n in failed):
        raise ContractError(f"{len(failed)} dbt test{many} failed:\n{detail}", where=where, fix=_fix(failed[0]))
    broken = next(n for n in failed if not n.refuted)
    raise TransformError(
        f"{len(failed)} dbt node{many} failed:\n{detail}",
        where=where,
        fix=f"{_fix(broken)}; details are in .penstock/logs/dbt.log",
    )


def _told(node: Node) -> str:
    """A node that failed, with its file and what dbt says of it, without the lines that are about dbt itself."""
    lines = [line.strip() for line in node.message.splitlines()]
    heads = [match for line in lines if (match := _HEAD.fullmatch(line))]
    kept = [line for line in lines if line and not _HEAD.fullmatch(line) and not line.startswith("compiled code at")]
    file = f" ({heads[0][1]})" if heads else ""
    reason = "\n    ".join(kept) or node.message
    return f"  {node.kind} {node.name}{file}: {short(reason)}"
