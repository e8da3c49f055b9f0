"""Does what a transform is planned to do, with dbt, and keeps it in the ledger."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from penstock.errors import PenstockError, UsageError
from penstock.ledger import ledger_sql
from penstock.ledger.run_records import RunRecord, RunStep
from penstock.ledger.soundness import expect_known, expect_sound
from penstock.lineage import lineage_of
from penstock.sql import literal
from penstock.transform.built import Built, node_step, raise_for_failed
from penstock.transform.built_nodes import built_nodes, table_columns
from penstock.transform.dbt import Dbt, Node, open_dbt
from penstock.transform.layer_part import layer_part
from penstock.transform.layers import layers_of
from penstock.transform.ledger_facts import TEST_EVERY, standing, with_news
from penstock.transform.plan import ALWAYS_NEW, Facts, Request, TransformPlan, plan_transform
from penstock.transform.prepared import PreparedSteps, names, state_fingerprint
from penstock.transform.stepping import ByDbt, skipped
from penstock.transform.steps import FINGERPRINT, has_kept_models
from penstock.transform.unsafe_models import UNSAFE_MODELS, notes_of, read_reasons, unsafe_models
from penstock.transform.workspace import environment_fingerprint, project_fingerprint

if TYPE_CHECKING:
    from penstock.land.session import Session
    from penstock.transform.manifest import Manifest

Progress = Callable[[str], object]
"""Is told in words what is being done: waited for, read, built."""
UPPER_SEQ = "PENSTOCK_UPPER_SEQ"


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
        following: each run follows a load: models take it in at once, by prepared steps where there are such, and are
            tested when the last tests are older than ``test_every``. The warehouse stays open, as other threads of this
            process work with it.
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
        self._models = ""
        self._swept = ""
        self._telling = lineage_of(session.project)
        self._tables: tuple[int, Mapping[tuple[str, str], Sequence[tuple[str, str]]]] | None = None
        self._failed = 0
        self._prepared = PreparedSteps(session)
        self._unsafe: tuple[str, Mapping[str, str]] | None = None
        self._viewed = ""

    def warm(self) -> None:
        """Have ready what a step needs before there is something to build: steps that were prepared earlier, or else
        dbt, which takes seconds to read the project, and the steps that it prepares.

        Raises:
            TransformError: it cannot be read.
        """
        fingerprint = project_fingerprint(self._session.project)
        dbt = self._ready(fingerprint)
        state = state_fingerprint(self._models, self._columns())
        if not self._prepared.lacking(dbt.manifest, state):
            return
        dbt.parse()
        with self._session.destination.claim("transform", self._wait) as mine:
            facts = self._standing(Request(), fingerprint) if mine else Facts()
            if facts.same_models and facts.nothing_to_do(Request()):
                unsafe = self._unsafe_models(dbt, anew=True)
                environment = _environment(facts.upper_seq, state, unsafe)
                views = [r.name for r in dbt.manifest.of_kinds(["model"]) if r.materialized == "view"]
                if views and self._lacks_views(dbt, state):
                    if any(node.failed for node in dbt.follow(select=sorted(views), environment=environment)):
                        return  # the first load has them built, with what they read
                    self._viewed = state
                self._prepared.prepare(dbt, state, environment)

    def close(self) -> None:
        """Let go of the warehouse."""
        self._prepared.close()
        if self._dbt is not None:
            self._dbt.release()

    def run(
        self,
        *,
        full_refresh: bool = False,
        layer: str | None = None,
        select: Sequence[str] = (),
        exclude: Sequence[str] = (),
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
            select: build what these selectors of dbt's choose, whether it has something to take in or not. The next
                run without them still builds all that this one left out.
            exclude: build all but what these choose; likewise.
            ended: is given all that dbt did, before an error is raised for some of it.
            progress: is told what is being done.

        Raises:
            ContractError: tests failed, and nothing else.
            TransformError: dbt failed, or a model or test could not be built. What was built stays built, and its
                watermarks with it.
            UsageError: no such layer, or the one before it was never built; nothing is selected, or something that
                cannot be built without something else.
        """
        self.attempt = Attempt()

        def wait(seconds: float) -> object:
            progress("waiting for another process that builds models")
            return self._wait(seconds)

        request = Request(full_refresh=full_refresh, layer=layer, select=tuple(select), exclude=tuple(exclude))
        progress("looking for what has landed")
        with self._session.destination.claim("transform", wait) as mine:
            if not mine:
                return Built(TransformPlan(upper_seq=0, reason="it was stopped while another process transformed"))
            return self._run(request, ended=ended, progress=progress, parent=parent)

    def _run(
        self,
        request: Request,
        *,
        ended: Callable[[Built], None] | None,
        progress: Progress,
        parent: RunRecord | None,
    ) -> Built:
        session, destination = self._session, self._session.destination
        fingerprint = project_fingerprint(session.project)
        facts = self._standing(request, fingerprint)
        if reason := facts.nothing_to_do(request):
            return Built(TransformPlan(upper_seq=facts.upper_seq, reason=reason))
        record = RunRecord.begin(
            destination.ledger, "transform", upper_seq=facts.upper_seq, parent=parent.run_id if parent else None
        )
        self.attempt = replace(self.attempt, run_id=record.run_id)
        detail = _detail(request, fingerprint)
        steps = parent or record
        with self._kept(record, steps, detail):
            facts = with_news(session.project, destination, facts, request.layer)
            progress("reading the models")
            dbt = self._ready(fingerprint)
            self._sweep(dbt, fingerprint)
            columns = self._columns()
            state = state_fingerprint(self._models, columns)
            # what failed may want for a view that somebody has dropped
            views = columns != facts.columns or self._failed == 1 or self._lacks_views(dbt, state)
            plan = self._plan(dbt, replace(request, lean=self._following, views=views), facts)
            self._go_along(plan, facts)
            if not self._following:
                session.release()
            unsafe = {} if plan.reason else self._unsafe_models(dbt, anew=not plan.lean or plan.views)
            plan = replace(plan, notes=[*plan.notes, *notes_of(unsafe)])
            environment = _environment(plan.upper_seq, state, unsafe)
            if self._following and facts.same_models and not (plan.lean or plan.full_refresh or views):
                # what has landed does not wait for tests that are due, but for what dbt has to build before it
                self._step(dbt, plan, state, lambda ids: [skipped(dbt.manifest, id_) for id_ in ids])
            built = Built(plan, self._build(dbt, plan, progress, state, environment))
            failed = [n for n in built.nodes if n.failed]
            self._failed = self._failed + 1 if failed else 0
            if not failed and views:
                self._viewed = state
            if not self._following and built.nodes:
                notes = [*plan.notes, *notes_of(read_reasons(destination, dbt.manifest))]
                built.plan = replace(plan, notes=list(dict.fromkeys(notes)))
        self._let_go()
        self._tell(dbt, built.nodes, columns)
        if failed or not self._following or any(n.kind not in ("model", "seed", "snapshot") for n in built.nodes):
            steps.keep(*map(node_step, built.nodes))
        whole = plan.whole and not plan.reason and not request.selected
        record.end("error" if failed else "success", **detail, whole=whole, columns=columns)
        if ended is not None:
            ended(built)
        if self._following and not failed and not plan.reason:
            self._prepared.prepare(dbt, state, environment)
        raise_for_failed(built.nodes, str(session.project.directory))
        return built

    def _standing(self, request: Request, fingerprint: str) -> Facts:
        """Where the models stand, with the ledger looked at as closely as the run needs it."""
        project, destination = self._session.project, self._session.destination
        stand = standing(project, destination, fingerprint, request.layer, test_every=self._test_every)
        self.attempt = Attempt(fingerprint=fingerprint, upper_seq=stand.facts.upper_seq)
        if request.full_refresh or not stand.facts.same_models or stand.loads_gone:
            expect_sound(destination, project.streams)
        else:
            for stream in project.streams:
                expect_known(destination, stream)
        return stand.facts

    @contextmanager
    def _kept(self, record: RunRecord, steps: RunRecord, detail: Mapping[str, Any]) -> Iterator[None]:
        """What goes wrong in the block is in the ledger afterwards."""
        started = datetime.now(UTC)
        try:
            yield
        except BaseException as e:
            self._let_go()
            seconds = (datetime.now(UTC) - started).total_seconds()
            step = RunStep(kind="transform", name="dbt", started_at=started, seconds=seconds)
            step.failed(e)
            with suppress(PenstockError):  # the warehouse may be what failed
                steps.keep(step)
                record.end("error", **detail, whole=False)
            raise

    def _sweep(self, dbt: Dbt, fingerprint: str) -> None:
        """Have the ledger know which models there are, once for each state of the project."""
        if self._swept != fingerprint:
            kept = [r.watermark for r in dbt.manifest.of_kinds(["model"]) if r.keeps_watermark]
            models = ", ".join(map(literal, kept)) or "''"
            self._session.destination.query(ledger_sql("keep_removed", models=models))
            if has_kept_models(self._session.destination):
                self._session.destination.query(ledger_sql("forget_builds", **_by_materialization(dbt.manifest)))
            self._swept = fingerprint

    def _plan(self, dbt: Dbt, request: Request, facts: Facts) -> TransformPlan:
        """The plan; what a selection means, dbt is asked."""
        directory = self._session.project.directory
        part = layer_part(dbt.manifest, layers_of(directory), request.layer, directory) if request.layer else None
        if not request.selected:
            return plan_transform(request, facts, dbt.manifest, part)
        unresolved = plan_transform(request, facts, dbt.manifest, part, ())
        chosen, warnings = dbt.listed(unresolved.select, unresolved.exclude)
        if not chosen:
            raise UsageError(
                f"dbt: {'; '.join(warnings) or 'nothing is left to build'}",
                where=str(directory),
                fix="write --select and --exclude as dbt has them, such as --select stg_users+",
            )
        return plan_transform(request, facts, dbt.manifest, part, chosen, warnings)

    def _unsafe_models(self, dbt: Dbt, *, anew: bool) -> Mapping[str, str]:
        """The models that may not go by their scope. A step that needs no dbt does not have it look again."""
        if anew or self._unsafe is None or self._unsafe[0] != self._models:
            dialect = self._session.destination.capabilities.dialect
            self._unsafe = (self._models, unsafe_models(self._session.project, dbt, dialect, self._models))
        return self._unsafe[1]

    def _lacks_views(self, dbt: Dbt, state: str) -> bool:
        """Whether the views may be those of another state, such as of other variables of the environment: nothing was
        built for this one."""
        return self._following and self._viewed != state and not self._prepared.known(dbt.manifest, state)

    def _go_along(self, plan: TransformPlan, facts: Facts) -> None:
        """Move the watermarks of models that have nothing to take in: what reads them goes no further than they."""
        for model in plan.current:
            self._session.destination.query(
                "update penstock.watermarks set seq = $1 where model = $2 and seq >= $3 and seq < $1",
                [plan.upper_seq, model, facts.seen_seq],
            )

    def _build(
        self, dbt: Dbt, plan: TransformPlan, progress: Progress, state: str, environment: Mapping[str, str]
    ) -> list[Node]:
        if plan.reason:
            return []
        if not plan.lean or plan.views:
            self._prepared.forget()
        if plan.lean and plan.views:
            return dbt.follow(select=plan.select, exclude=plan.exclude, environment=environment)
        if plan.lean:

            def by_dbt(ids: Sequence[str]) -> Sequence[Node]:
                return dbt.follow(select=names(dbt.manifest, ids), environment=environment)

            return self._step(dbt, plan, state, by_dbt)
        return dbt.build(
            select=plan.select,
            exclude=plan.exclude,
            full_refresh=plan.full_refresh,
            whole=plan.whole,
            progress=lambda index, total, name: progress(f"{index} of {total}, {name}"),
            environment=environment,
        )

    def _step(self, dbt: Dbt, plan: TransformPlan, state: str, by_dbt: ByDbt) -> list[Node]:
        """Have the tables of a plan take in what has landed, by prepared steps where there are such."""
        resources = (dbt.manifest.resources[step.id] for step in plan.steps if step.kind in ("model", "snapshot"))
        ids = [resource.id for resource in resources if resource.materialized not in ALWAYS_NEW]
        return self._prepared.build(dbt.manifest, state, ids, plan.upper_seq, by_dbt)

    def _tell(self, dbt: Dbt, nodes: Sequence[Node], columns: int) -> None:
        """Tell of the lineage of what was built."""
        telling = self._telling
        if not telling.wanted or not nodes:
            return

        def tables() -> Mapping[tuple[str, str], Sequence[tuple[str, str]]]:
            if not self._following or self._tables is None or columns != self._tables[0]:
                self._tables = (columns, table_columns(self._session.destination))
            return self._tables[1]

        telling.built(lambda: built_nodes(nodes, dbt.manifest), tables, following=self._following)

    def _columns(self) -> int:
        """How many columns the raw tables have, as the ledger knows them."""
        return int(self._session.destination.query("select count(*) from penstock.columns").rows[0][0])

    def _let_go(self) -> None:
        if not self._following:
            self.close()

    def _ready(self, fingerprint: str) -> Dbt:
        if self._dbt is None or self._fingerprint != fingerprint:
            self.close()
            self._models = environment_fingerprint(self._session.project, fingerprint)
            self._dbt = open_dbt(self._session.project, self._models)
            self._fingerprint = fingerprint
        return self._dbt


def _by_materialization(manifest: Manifest) -> dict[str, str]:
    """Lists of the models of the two materializations that keep how they build, and of all others."""
    lists: dict[str, list[str]] = {"penstock": [], "incremental": [], "others": []}
    for resource in manifest.of_kinds(["model"]):
        lists[resource.materialized if resource.keeps_watermark else "others"].append(literal(resource.watermark))
    return {kind: ", ".join(models) or "''" for kind, models in lists.items()}


def _environment(upper_seq: int, state: str, unsafe: Mapping[str, str]) -> dict[str, str]:
    """What the dbt package is told: up to which load to go, for which state of the models it keeps steps, and which
    models may not go by their scope."""
    return {UPPER_SEQ: str(upper_seq), FINGERPRINT: state, UNSAFE_MODELS: json.dumps(unsafe)}


def _detail(request: Request, fingerprint: str) -> dict[str, Any]:
    """What the ledger keeps of a run, by which the next one knows what it was."""
    detail: dict[str, Any] = {"fingerprint": fingerprint}
    if request.layer:
        detail["layer"] = request.layer
    if request.selected:
        detail["selected"] = True
        detail["selection"] = {"select": list(request.select), "exclude": list(request.exclude)}
    return detail
