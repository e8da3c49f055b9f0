"""From a project and a request to a list of steps, as plain data: ``explain`` prints it, a session performs it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from penstock.errors import UsageError
from penstock.ports import Window
from penstock.project.loading import LAKE
from penstock.project.nearest import hint
from penstock.project.steps import LoadStep
from penstock.sources.kinds import kind_of

if TYPE_CHECKING:
    from penstock.project import Project, Schedule


ON_REQUEST = "on request"
"""The name of the loads that nothing but a request starts, in ``penstock up``."""
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


def ending(project: Project, steps: Sequence[LoadStep]) -> list[LoadStep]:
    """The steps whose sources come to an end. A queue has none: ``penstock consume`` reads it.

    Raises:
        UsageError: none of them does.
    """
    found = [step for step in steps if not is_queue(project, step.source)]
    if steps and not found:
        names = dict.fromkeys(step.stream for step in steps)
        raise UsageError(
            f"{', '.join(names)}: fed by a queue, which has no end to load up to",
            where=str(project.directory / "penstock.yml"),
            fix=f"penstock consume {' '.join(names)}",
        )
    return found


def left_to_consume(project: Project, steps: Sequence[LoadStep], *, dated: bool) -> list[str]:
    """A sentence for each step that :func:`ending` leaves out; ``dated`` when days were asked for."""
    why = "has no days to choose from" if dated else "has no end to load up to"
    return [
        f"stream {step.stream}: source {step.source} is a queue, which {why}, and is left out;"
        f" penstock consume {step.stream} lands what comes"
        for step in steps
        if is_queue(project, step.source)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledLoads:
    """What a schedule loads. Without one, what is loaded when somebody asks for it alone."""

    name: str
    schedule: Schedule | None
    steps: tuple[LoadStep, ...]

    @property
    def claim(self) -> str:
        """What the destination's ``claim`` takes, so that one process at a time runs it."""
        return f"schedule {self.name}"


def plan_schedules(project: Project) -> list[ScheduledLoads]:
    """What ``penstock up`` loads by the clock, the project's schedule first, and what only on request.

    A queue is in none of them, nor are files without a schedule, which are watched.
    """
    found: dict[str, tuple[Schedule | None, list[LoadStep]]] = {}
    if project.schedule is not None:
        found["project"] = (project.schedule, [])
    for step in plan_loads(project):
        settings = project.sources[step.source]
        own = project.streams[step.stream].schedule
        if not settings.ends:
            continue
        if own:
            found.setdefault(f"stream {step.stream}", (own, []))[1].append(step)
        elif own is None and project.schedule is not None:
            found["project"][1].append(step)
        elif kind_of(settings).watched(settings) is None:
            found.setdefault(ON_REQUEST, (None, []))[1].append(step)
    return [
        ScheduledLoads(name=name, schedule=schedule, steps=tuple(steps))
        for name, (schedule, steps) in found.items()
        if steps
    ]


def of_interval(
    project: Project, steps: Iterable[LoadStep], start: datetime, end: datetime, lookback: timedelta | None = None
) -> list[LoadStep]:
    """The steps for the days of a data interval, times with zone: ``[start, end)``, and for those within ``lookback``
    before it; by default within the ``overlap`` of an endpoint with windows.

    Streams without days to ask for, and those that are replaced, are loaded whole.
    """
    last = max(start, end - timedelta(microseconds=1)).astimezone(UTC).date()

    def of_days(step: LoadStep) -> LoadStep:
        back = _overlap(project, step) if lookback is None else lookback
        return replace(step, window=day_window(None, (start - back).astimezone(UTC).date(), last), lookback=back)

    return [
        of_days(step)
        if takes_days(project, step.stream, step.source) and project.streams[step.stream].disposition != "replace"
        else step
        for step in steps
    ]


def _overlap(project: Project, step: LoadStep) -> timedelta:
    """How late records of an endpoint with windows come, as its settings have it."""
    settings = project.sources[step.source]
    return kind_of(settings).overlap(settings, step.stream)


def named_streams(
    project: Project, planned: Sequence[ScheduledLoads], streams: Sequence[str], *, up: bool = False
) -> list[ScheduledLoads]:
    """Of what is planned, the loads of these streams; all of them when none is named. ``up`` says that ``penstock up``
    is at work, which lands what has no schedule as it comes.

    Raises:
        UsageError: one of them, or everything, is loaded by no schedule.
    """
    known = {step.stream for loads in planned for step in loads.steps}
    where = str(project.file)
    lands = "penstock up lands what comes as it comes, and has nothing to be asked for"
    for name in streams:
        if name not in project.streams:
            names = ", ".join(sorted(known)) or "no schedule loads anything"
            raise UsageError(f"there is no stream {name!r}{hint(name, project.streams)}", where=where, fix=names)
        if name not in known:
            fix = lands if up else f"penstock run {name}"
            raise UsageError(
                f"no schedule loads the stream {name}",
                where=where,
                fix=f"{fix}; or give it a schedule: in penstock.yml",
            )
    if not known:
        fix = lands if up else "penstock run"
        raise UsageError("nothing has a schedule", where=where, fix=f'{fix}; or add schedule: "@daily"')
    narrowed = [
        replace(loads, steps=tuple(s for s in loads.steps if not streams or s.stream in streams)) for loads in planned
    ]
    return [loads for loads in narrowed if loads.steps]


def _has_window(project: Project, stream: str) -> bool:
    """Whether single days of a stream can be asked for."""
    return any(takes_days(project, stream, source) for source in project.streams[stream].from_)


def is_queue(project: Project, source: str) -> bool:
    """Whether a source has no end."""
    return not project.sources[source].ends


def takes_days(project: Project, stream: str, source: str) -> bool:
    """Whether single days of a stream can be asked for of this source."""
    settings = project.sources[source]
    if is_queue(project, source):
        return False
    return project.streams[stream].event_time is not None or kind_of(settings).picks_days(settings, stream)
