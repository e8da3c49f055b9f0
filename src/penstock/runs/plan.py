"""From a project and a request to a run, as plain data: ``explain`` prints it, ``batch.py`` performs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from penstock.errors import UsageError
from penstock.ports import Window
from penstock.project.nearest import hint
from penstock.project.project_file import LAKE
from penstock.project.steps import LoadStep
from penstock.sources.kinds import kind_of

if TYPE_CHECKING:
    from penstock.project import Project


_LAST_DAY = date(9999, 12, 30)


def day_window(day: date | None, start: date | None, end: date | None) -> Window | None:
    """The window of ``--date``, or of ``--from`` and ``--to``, which are both taken in; None without any.

    Raises:
        UsageError: both kinds given, or an end before its start.
    """
    if day is not None:
        if start is not None or end is not None:
            raise UsageError("--date stands alone", fix="give --date, or --from and --to")
        start = end = day
    if start is None and end is None:
        return None
    first = start or date(1, 1, 1)
    last = end or _LAST_DAY
    if last < first:
        raise UsageError(f"--to {last} is before --from {first}", fix="swap them")
    if last > _LAST_DAY:
        raise UsageError(f"{last} is later than any date", fix=f"give {_LAST_DAY} at most")
    midnight = datetime.min.time()
    return Window(start=datetime.combine(first, midnight), end=datetime.combine(last + timedelta(days=1), midnight))


def plan_loads(
    project: Project,
    streams: Sequence[str] = (),
    *,
    window: Window | None = None,
    fingerprint: bool = True,
    land: bool = False,
    from_lake: bool = False,
    lookback: timedelta = timedelta(),
) -> list[LoadStep]:
    """A step for each source of each stream asked for; of all streams when none is named.

    ``land`` has all of them land in the lake, ``from_lake`` takes the lake for the source of each.

    The window is for the streams that declare an ``event_time``, and for endpoints of an API that declare ``windows``;
    the others are loaded whole.

    Raises:
        UsageError: no such stream; or a window, and no stream with an event time, or one named that is a queue's.
    """
    for name in streams:
        if name not in project.streams:
            raise UsageError(
                f"no stream {name!r}{hint(name, project.streams)}", where=str(project.directory / "penstock.yml")
            )
    chosen = list(streams) or list(project.streams)
    for name in streams if window is not None and not from_lake else ():
        if all(is_queue(project, source) for source in project.streams[name].from_):
            raise UsageError(
                f"stream {name} is fed by a queue, which has no days to choose from",
                where=str(project.directory / "penstock.yml"),
                fix=f"penstock consume {name} lands what comes, of whatever day; leave {name} or the date out here",
            )
    if window is not None and not any(_has_window(project, s) for s in chosen):
        queued = [name for name in chosen if any(is_queue(project, s) for s in project.streams[name].from_)]
        others = f"; a queue, which feeds {', '.join(queued)}, has no days to choose from" if queued else ""
        raise UsageError(
            f"a date was given, and no stream{' of files or an API' if queued else ''} declares an event time{others}",
            where=str(project.directory / "penstock.yml"),
            fix="add event_time: FIELD to the stream, or windows: to the endpoint of an API",
        )
    for name in chosen:
        if window is not None and _has_window(project, name) and project.streams[name].disposition == "replace":
            raise UsageError(
                f"stream {name} is replaced as a whole, and a date would delete all other days",
                where=str(project.directory / "penstock.yml"),
                fix="leave the date out, or load the other streams by name",
            )
    return [
        LoadStep(
            stream=name,
            source=source,
            window=window if takes_days(project, name, source) else None,
            fingerprint=fingerprint,
            land=(land or project.streams[name].land) and source != LAKE,
            lookback=lookback,
        )
        for name in chosen
        for source in ((LAKE,) if from_lake else project.streams[name].from_)
    ]


def expect_end(project: Project, loads: Sequence[LoadStep], left_out: Sequence[LoadStep]) -> None:
    """Refuse to load where there is nothing but what never comes to an end: ``penstock consume`` reads it.

    Raises:
        UsageError: so it is.
    """
    if left_out and not loads:
        names = dict.fromkeys(step.stream for step in left_out)
        raise UsageError(
            f"{', '.join(names)}: fed by a queue, which has no end to load up to",
            where=str(project.directory / "penstock.yml"),
            fix=f"penstock consume {' '.join(names)}",
        )


def left_to_consume(left_out: Sequence[LoadStep], *, dated: bool) -> list[str]:
    """A sentence for each step that a run leaves out; ``dated`` when days were asked for."""
    why = "has no days to choose from" if dated else "has no end to load up to"
    return [
        f"stream {step.stream}: source {step.source} is a queue, which {why}, and is left out;"
        f" penstock consume {step.stream} lands what comes"
        for step in left_out
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """The schedule that a run belongs to: ``due`` is the moment it is for, ``manual`` says that somebody asked."""

    schedule: str
    due: datetime | None = None
    manual: bool = False

    @property
    def detail(self) -> dict[str, Any]:
        """As the ledger has it."""
        due = None if self.due is None else self.due.isoformat()
        return {"schedule": self.schedule, "due": due, "manual": self.manual}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """What a run is to do: the ``loads`` one after another, then models, of one ``layer`` or all, or those that dbt's
    selectors choose.

    ``left_out`` are the steps of sources that never end, which ``penstock consume`` reads; ``warnings`` say so in a
    sentence each of those that were asked for. What fails is tried ``retries`` times more,
    ``retry_delay`` apart.
    """

    kind: str = "run"
    loads: Sequence[LoadStep] = ()
    models: bool = False
    full_refresh: bool = False
    layer: str | None = None
    select: Sequence[str] = ()
    exclude: Sequence[str] = ()
    left_out: Sequence[LoadStep] = ()
    warnings: Sequence[str] = ()
    retries: int = 0
    retry_delay: timedelta = timedelta()
    occasion: Occasion | None = None

    @property
    def job(self) -> str:
        """The name of such runs in lineage."""
        return self.kind if self.occasion is None else f"schedule.{self.occasion.schedule.replace(' ', '.')}"


def plan_run(
    project: Project,
    streams: Sequence[str] = (),
    *,
    kind: str = "run",
    window: Window | None = None,
    fingerprint: bool = True,
    lookback: timedelta = timedelta(),
    land: bool = False,
    from_lake: bool = False,
    models: bool = True,
    full_refresh: bool = False,
) -> RunPlan:
    """What a run of these streams is to do, of all when none is named: the sources that come to an end, then models.

    Raises:
        UsageError: as :func:`plan_loads` has it.
    """
    steps = plan_loads(
        project,
        streams,
        window=window,
        fingerprint=fingerprint,
        land=land,
        from_lake=from_lake,
        lookback=lookback,
    )
    left_out = tuple(step for step in steps if is_queue(project, step.source))
    asked_for = left_out if (streams or window) and len(left_out) < len(steps) else ()
    return RunPlan(
        kind=kind,
        loads=tuple(step for step in steps if step not in left_out),
        left_out=left_out,
        models=models and project.has_models,
        full_refresh=full_refresh,
        warnings=tuple(left_to_consume(asked_for, dated=window is not None)),
    )


def _has_window(project: Project, stream: str) -> bool:
    """Whether single days of a stream can be asked for."""
    return any(takes_days(project, stream, source) for source in project.streams[stream].from_)


def is_queue(project: Project, source: str) -> bool:
    """Whether a source is a queue, which never comes to an end."""
    return not project.sources[source].ends


def overlap(project: Project, stream: str, source: str) -> timedelta:
    """How long after a day its records may come from this source, as its settings have it."""
    settings = project.sources[source]
    return kind_of(settings).overlap(settings, stream)


def takes_days(project: Project, stream: str, source: str) -> bool:
    """Whether single days of a stream can be asked for of this source."""
    settings = project.sources[source]
    if is_queue(project, source):
        return False
    return project.streams[stream].event_time is not None or kind_of(settings).picks_days(settings, stream)
