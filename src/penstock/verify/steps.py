"""Performs change sets: each lands in a scratch warehouse and is taken in by the models, beside a full refresh."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.destinations import open_destination
from penstock.destinations.kinds import kind_of
from penstock.errors import UsageError
from penstock.ledger import ledger_sql
from penstock.ports import Rows, Target
from penstock.sql import identifier
from penstock.transform.built import raise_for_failed
from penstock.transform.dbt import Dbt
from penstock.transform.manifest import TABLES, Manifest, Resource
from penstock.transform.perform import UPPER_SEQ
from penstock.transform.unsafe_models import UNSAFE_MODELS, look_at, told
from penstock.transform.workspace import scratch_workspace
from penstock.verify.changes import SOURCE, Changes, Load, RecordsSource
from penstock.verify.differences import Difference, difference
from penstock.verify.values import Ask, Values, values_of

if TYPE_CHECKING:
    from penstock.project import Project
    from penstock.project.settings import Destination
    from penstock.shape.shaper import Shaper

_NO_ROWS = ("view", "ephemeral")
Progress = Callable[[str], object]
"""Is told in words what is being done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a model: as it was built step by step, its table was that of a full refresh after each of
    ``steps`` change sets; or after ``steps`` there was the first ``difference``, when ``loads`` had landed. ``reads``
    are models that it reads and that differed by then: the fault may be theirs. ``whole`` says why it was built whole,
    where its scope is not safe."""

    model: str
    steps: int
    difference: Difference | None = None
    loads: Sequence[str] = ()
    reads: Sequence[str] = ()
    whole: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What became of all models. With the same ``seed``, the same happens again, while the values of the streams in
    ``made_up_of`` stay. ``left_out`` are models of streams of which nothing is known yet."""

    seed: int
    verdicts: Sequence[Verdict]
    values: Mapping[str, Values]
    left_out: Sequence[str]


def verify_models(
    project: Project,
    ask: Ask | None,
    *,
    select: Sequence[str] = (),
    steps: int,
    seed: int,
    progress: Progress = str,
) -> Verification:
    """Build models step by step over random change sets, and compare each with a full refresh after each.

    Nothing is written but in a scratch warehouse of the destination's kind, which is gone afterwards.

    Args:
        ask: answers queries on the project's warehouse, whose values records are made of; None when it has none.
        select: the models, as dbt's selectors; all by default.
        steps: the number of change sets after the first build.
        seed: what chance begins with.

    Raises:
        UsageError: nothing is selected, no model of the selection keeps rows, or there can be no scratch warehouse.
        TransformError: a model cannot be built.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-verify-") as made:
        folder = Path(made)
        with kind_of(project.destination).scratch(project.destination, folder) as scratch:
            in_steps = _Built(_moved(project, scratch.settings), folder / "dbt_steps", progress)
            chosen = in_steps.chosen([word for words in select for word in words.split()])
            streams = {stream for id_ in chosen for stream in in_steps.manifest.streams_of(id_)} & set(project.streams)
            values = {s: known for s in sorted(streams) if (known := values_of(project, s, ask)) is not None}
            reading = in_steps.manifest.reading(streams - set(values))
            models = [model for model in in_steps.manifest.in_order(chosen) if model.id not in reading]
            if not models:
                raise UsageError(
                    "nothing is known of the records that these models read",
                    fix="penstock run, or declare the columns of their streams",
                )
            in_full = _Built(_moved(project, scratch.copy), folder / "dbt_full", progress)
            changes = Changes(seed, {s: project.spec(s) for s in values}, values)
            watched = _Watched(models, in_steps.manifest)
            with closing(in_steps), closing(in_full):
                for step in range(steps + 1):
                    loads = changes.next() if step else changes.first()
                    progress(f"step {step} of {steps}: {', '.join(map(str, loads))}")
                    in_steps.land(loads)
                    upper, shrunk = in_steps.standing()
                    in_steps.build(models, upper, full_refresh=shrunk)
                    in_full.let_go()
                    scratch.fill_copy()
                    in_full.build(models, upper, full_refresh=True)
                    watched.compare(step, loads, in_steps.rows, in_full.rows)
                    if watched.all_differ:
                        break
    return Verification(
        seed=seed,
        verdicts=watched.verdicts(step, in_steps.unsafe or {}),
        values=values,
        left_out=sorted(in_steps.manifest.resources[id_].name for id_ in chosen & reading),
    )


class _Watched:
    """The models that are compared, and what was seen of each."""

    def __init__(self, models: Sequence[Resource], manifest: Manifest) -> None:
        self._models, self._manifest = models, manifest
        self._differing: dict[str, Verdict] = {}

    @property
    def all_differ(self) -> bool:
        """Whether nothing is left to see."""
        return len(self._differing) == len(self._models)

    def compare(
        self,
        step: int,
        loads: Sequence[Load],
        in_steps: Callable[[Resource], Rows],
        in_full: Callable[[Resource], Rows],
    ) -> None:
        """Compare the models that did not differ before."""
        for model in self._models:
            if model.id in self._differing:
                continue
            found = difference(in_steps(model), in_full(model))
            if found is not None:
                above = _with_ancestors(self._manifest, model.reads)
                self._differing[model.id] = Verdict(
                    model=model.watermark,
                    steps=step,
                    difference=found,
                    loads=[str(load) for load in loads],
                    reads=[v.model for id_, v in self._differing.items() if id_ in above],
                )

    def verdicts(self, steps: int, unsafe: Mapping[str, str]) -> list[Verdict]:
        """What became of each; ``unsafe`` says why some are built whole."""
        verdicts = [(m.id, self._differing.get(m.id) or Verdict(model=m.watermark, steps=steps)) for m in self._models]
        return [replace(verdict, whole=unsafe.get(id_, "")) for id_, verdict in verdicts]


class _Built:
    """A scratch warehouse, and dbt over it."""

    def __init__(self, project: Project, folder: Path, progress: Progress) -> None:
        progress("reading the models")
        self._project = project
        self._dbt = Dbt(scratch_workspace(project, folder))
        self._destination = open_destination(project.destination)
        self._shapers: dict[str, Shaper] = {}
        self._seen = 0
        self.unsafe: Mapping[str, str] | None = None
        """The ids of models that are built whole for their scope not being safe → why; None before the first build."""

    @property
    def manifest(self) -> Manifest:
        """What the project holds."""
        return self._dbt.manifest

    def chosen(self, select: Sequence[str]) -> frozenset[str]:
        """The ids of the models that are to be compared.

        Raises:
            UsageError: there are none.
        """
        ids, warnings = self._dbt.listed(select) if select else (frozenset(self.manifest.resources), [])
        kept = frozenset(
            id_
            for id_ in ids
            if (known := self.manifest.resources.get(id_)) is not None
            and known.kind == "model"
            and known.materialized not in _NO_ROWS
        )
        if not kept:
            raise UsageError(
                f"dbt: {'; '.join(warnings)}" if warnings else "no model that keeps rows is selected",
                where=str(self._project.directory),
                fix="write --select as dbt has it, such as --select users_dim",
            )
        return kept

    def land(self, loads: Sequence[Load]) -> None:
        """Land records, as any others are landed."""
        from penstock.land.loop import load as land
        from penstock.shape.shaper import Shaper

        self._destination.prepare()
        for load in loads:
            spec = self._project.spec(load.stream)
            if load.stream not in self._shapers:
                self._shapers[load.stream] = Shaper(spec)
            target = Target(spec=spec, source=SOURCE)
            land(RecordsSource(load), self._destination, self._shapers[load.stream], target)

    def standing(self) -> tuple[int, bool]:
        """Up to which load the models take in, and whether that has to be all anew, as rows are gone."""
        upper = int(self._destination.query("select coalesce(max(seq), 0) from penstock.loads").rows[0][0])
        shrunk = self._destination.query(ledger_sql("shrunk"), [self._seen, upper]).rows[0][0]
        first, self._seen = not self._seen, upper
        return upper, bool(shrunk) and not first

    def build(self, models: Sequence[Resource], upper: int, *, full_refresh: bool) -> None:
        """Build models, and what they read."""
        self._destination.close()
        wanted = _with_ancestors(self.manifest, [model.id for model in models])
        select = [resource.name for resource in self.manifest.in_order(wanted) if resource.kind in TABLES]
        if self.unsafe is None:
            self.unsafe = told(look_at(self._dbt, self._destination.kind))
        environment = {UPPER_SEQ: str(upper), UNSAFE_MODELS: json.dumps(self.unsafe)}
        nodes = self._dbt.tables(select=select, full_refresh=full_refresh, environment=environment)
        self._dbt.release()
        raise_for_failed(nodes, str(self._project.directory))

    def let_go(self) -> None:
        """Be connected to the warehouse no longer, until the next use."""
        self._destination.close()

    def rows(self, model: Resource) -> Rows:
        """What a model holds."""
        return self._destination.query(f"select * from {identifier(model.schema)}.{identifier(model.table)}")

    def close(self) -> None:
        """Let go of the warehouse."""
        self._dbt.release()
        self._destination.close()
        for shaper in self._shapers.values():
            shaper.close()


def _moved(project: Project, settings: Destination) -> Project:
    """The project with another warehouse, and nobody to tell of what is done there."""
    destinations = {**project.destinations, project.target: settings}
    return replace(project, destinations=destinations, lake=None, lineage=None)


def _with_ancestors(manifest: Manifest, ids: Collection[str]) -> set[str]:
    wanted: set[str] = set()
    left = list(ids)
    while left:
        id_ = left.pop()
        if id_ in manifest.resources and id_ not in wanted:
            wanted.add(id_)
            left += manifest.resources[id_].reads
    return wanted
