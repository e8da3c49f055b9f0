"""What a transform is to do, as plain data made of what the ledger and dbt's manifest say: ``explain`` prints it, and
``perform`` does it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from penstock.errors import UsageError
from penstock.transform.layer_part import Part
from penstock.transform.manifest import TABLES, TESTS, WHOLE_TABLE, Manifest, Resource

_UP_TO_DATE = "nothing has landed since the last run, and no model was changed"
ALWAYS_NEW = ("view", "ephemeral")
"""Materializations that have no rows of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for: ``select`` and ``exclude`` are selectors of dbt's, and with either of them the run is no full
    one. ``lean`` wants models and snapshots built at once and tested when tests are due, as after a load; ``views``
    says whether those are built then too."""

    full_refresh: bool = False
    layer: str | None = None
    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    lean: bool = False
    views: bool = True

    @property
    def selected(self) -> bool:
        """Whether somebody chose among the models."""
        return bool(self.select or self.exclude)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the ledger says: all loads up to ``upper_seq`` can be taken in, and were by the last good run up to
    ``seen_seq``, None when there was none; ``same_models`` says that it was of these very models, and ``tested`` that
    whole tables were tested of late. The raw tables had so many ``columns`` then, None when that is not known.

    Since then the streams ``changed`` have had rows landed or deleted, and ``shrunk`` says that rows went which no
    model can tell from what is left. The streams ``not_landed`` have no table yet. To explain what a run would do,
    ``coming`` are the streams that it would land first.
    """

    upper_seq: int = 0
    seen_seq: int | None = None
    same_models: bool = False
    tested: bool = False
    columns: int | None = None
    shrunk: bool = False
    changed: frozenset[str] = frozenset()
    not_landed: frozenset[str] = frozenset()
    coming: frozenset[str] = frozenset()

    def nothing_to_do(self, request: Request) -> str:
        """Why dbt need not even be asked; empty when it must be."""
        news = self.seen_seq is None or not self.same_models or self.seen_seq < self.upper_seq or self.coming
        return "" if news or request.full_refresh or request.selected else _UP_TO_DATE


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStep:
    """A model, seed, snapshot or test that dbt is to build or to ask, and why."""

    id: str
    name: str
    kind: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformPlan:
    """``steps`` are what is to be built, in an order that can be; ``select`` and ``exclude`` are the same to dbt, which
    takes all when ``select`` is empty. With ``reason``, which says why, nothing is.

    ``whole`` asks for the tests that read whole tables and for unit tests too, ``lean`` for no test at all. ``current``
    are watermarks that go along to ``upper_seq``: nothing has landed of what those models read. ``waiting`` are streams
    that have not landed yet, so that what reads them is left out; ``notes`` say what else is not as one would think.
    """

    upper_seq: int
    steps: Sequence[ModelStep] = ()
    select: Sequence[str] = ()
    exclude: Sequence[str] = ()
    reason: str = ""
    full_refresh: bool = False
    whole: bool = True
    lean: bool = False
    views: bool = True
    current: Sequence[str] = ()
    waiting: Sequence[str] = ()
    tests_left_out: bool = False
    notes: Sequence[str] = ()


def plan_transform(
    request: Request,
    facts: Facts,
    manifest: Manifest,
    part: Part | None = None,
    chosen: Collection[str] | None = None,
    notes: Sequence[str] = (),
) -> TransformPlan:
    """From what is asked for and what is known to what is done.

    Args:
        part: the layer that is asked for; all of the project by default.
        chosen: the ids that dbt says the request's selectors take, of ``part``; needed when there are selectors.
        notes: what dbt said about them.

    Raises:
        UsageError: what is selected reads a table that is not, and that no run is known to have built.
    """
    part = part or Part()
    if reason := facts.nothing_to_do(request):
        return TransformPlan(upper_seq=facts.upper_seq, reason=reason)
    selectors = manifest.selectors()
    waiting = sorted(s for s in selectors if s in facts.not_landed - facts.coming)
    news = facts.changed | facts.coming
    whole = request.full_refresh or request.selected or not facts.same_models or not facts.tested
    # what was deleted cannot be told from what is left: build anew what reads it
    full_refresh = request.full_refresh or facts.shrunk
    upper, reason = facts.upper_seq, ""
    since_last = facts.same_models and not request.full_refresh and not request.selected
    if request.selected:
        ids = frozenset(chosen or ())
        select = part.of([word for words in request.select for word in words.split()]) or list(part.selectors)
        behind = _tables_behind(manifest, ids, facts, part)
        if behind and facts.seen_seq is None:
            raise UsageError(
                f"what is selected reads {_names(behind)}, which is not selected and was built by no full run",
                fix="penstock transform, or put a + before what is selected: dbt then takes what it reads along",
            )
        if behind:
            upper = facts.seen_seq or 0
            notes = [
                *notes,
                f"{_names(behind)} is not selected, and has taken in loads up to {upper} only: nothing goes further",
            ]
    elif since_last:
        ids = manifest.reading(news)
        select = part.of([f"{selector}+" for s in sorted(news) for selector in selectors.get(s, ())])
        reason = "" if select else "no model reads what has landed"
    else:
        ids = frozenset(manifest.resources)
        select = list(part.selectors)
    left_out = manifest.reading(waiting)
    lean = request.lean and not whole and not full_refresh
    steps = [
        ModelStep(id=r.id, name=r.name, kind=r.kind, why=_why(manifest, r, request, facts))
        for r in manifest.in_order(id_ for id_ in ids if part.holds(id_) and id_ not in left_out)
        if _is_built(manifest, r, whole=whole, lean=lean, views=request.views)
    ]
    known = facts.seen_seq is not None and facts.same_models and not request.full_refresh
    return TransformPlan(
        upper_seq=upper,
        steps=() if reason else tuple(steps),
        select=tuple(select),
        exclude=(
            *part.later,
            *(word for words in request.exclude for word in words.split()),
            *(f"{selector}+" for s in waiting for selector in selectors[s]),
        ),
        reason=reason,
        full_refresh=full_refresh,
        whole=whole,
        lean=lean,
        views=request.views,
        current=_current(manifest, facts, ids if request.selected else None) if known else (),
        waiting=tuple(waiting),
        tests_left_out=not whole and bool(manifest.of_kinds(["test"])),
        notes=tuple(notes),
    )


def _why(manifest: Manifest, resource: Resource, request: Request, facts: Facts) -> str:
    if request.selected:
        return "it is selected"
    if request.full_refresh:
        return "all is built anew"
    if facts.seen_seq is None:
        return "no run has built these models yet"
    if not facts.same_models:
        return "the models were changed since the last run"
    streams = manifest.streams_of(resource.id)
    if landed := sorted(streams & facts.changed):
        return f"rows of {', '.join(landed)} have landed"
    return f"{', '.join(sorted(streams & facts.coming))} would land first"


def _is_built(manifest: Manifest, resource: Resource, *, whole: bool, lean: bool, views: bool) -> bool:
    """Whether dbt has something to do for it, in a run of this kind."""
    if resource.kind in TABLES:
        if lean:
            return resource.kind != "seed" and (views or resource.materialized != "view")
        return resource.materialized != "ephemeral"
    if resource.kind not in TESTS or lean:
        return False
    if whole:
        return True
    tagged = [resource, *(manifest.resources[r] for r in resource.reads if r in manifest.resources)]
    return resource.kind == "test" and not any(WHOLE_TABLE in r.tags for r in tagged)


def _current(manifest: Manifest, facts: Facts, chosen: Collection[str] | None) -> tuple[str, ...]:
    """Watermarks of models that read nothing of what has landed since the last run; of ``chosen``, only of what those
    read, since what reads them goes no further than they."""
    models = [r for r in manifest.of_kinds(["model"]) if manifest.streams_of(r.id).isdisjoint(facts.changed)]
    if chosen is not None:
        above = _ancestors(manifest, chosen)
        models = [r for r in models if r.id in above]
    return tuple(r.watermark for r in models)


def _ancestors(manifest: Manifest, ids: Collection[str]) -> set[str]:
    above: set[str] = set()
    left = list(ids)
    while left:
        resource = manifest.resources.get(left.pop())
        new = [] if resource is None else [r for r in resource.reads if r not in above]
        above.update(new)
        left += new
    return above


def _tables_behind(manifest: Manifest, chosen: Collection[str], facts: Facts, part: Part) -> list[Resource]:
    """The tables without a watermark that chosen models keep theirs by, and which are not built along with them though
    rows for them have landed since the last run."""
    behind: dict[str, Resource] = {}
    left = [id_ for id_ in chosen if id_ in manifest.resources and manifest.resources[id_].keeps_watermark]
    known = set(left)
    while left:
        for id_ in manifest.resources[left.pop()].reads:
            resource = manifest.resources.get(id_)
            if resource is None or resource.kind not in TABLES or resource.keeps_watermark or id_ in known:
                continue
            known.add(id_)
            if resource.materialized in ALWAYS_NEW or id_ in chosen:
                left.append(id_)
            elif part.holds(id_) and manifest.streams_of(id_) & facts.changed:
                behind[id_] = resource
    return list(behind.values())


def _names(resources: Sequence[Resource]) -> str:
    return ", ".join(sorted(resource.name for resource in resources))
