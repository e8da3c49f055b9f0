"""What is loaded by the clock: from a project to the loads of each schedule, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from penstock.errors import UsageError
from penstock.project.nearest import hint
from penstock.runs.plan import day_window, overlap, plan_loads, takes_days
from penstock.sources.kinds import kind_of

if TYPE_CHECKING:
    from penstock.project import Project, Schedule
    from penstock.project.steps import LoadStep

ON_REQUEST = "on request"
"""The name of the loads that nothing but a request starts, in ``penstock up``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledLoads:
    """What a schedule loads. Without one, what is loaded when somebody asks for it alone."""

    name: str
    schedule: Schedule | None
    steps: tuple[LoadStep, ...]

    @property
    def claim(self) -> str:
        """What the destination's ``claim`` takes, so that one process at a time runs it."""
        return claim_of(self.name)


def claim_of(schedule: str) -> str:
    """What one process at a time has that runs a schedule of this name."""
    return f"schedule {schedule}"


def plan_schedules(project: Project) -> list[ScheduledLoads]:
    """What ``penstock up`` loads by the clock, the project's schedule first, and what only on request.

    A queue is in none of them, nor are files without a schedule, which are watched.
    """
    by_name: dict[str, tuple[Schedule | None, list[LoadStep]]] = {}
    if project.schedule is not None:
        by_name["project"] = (project.schedule, [])
    for step in plan_loads(project):
        settings = project.sources[step.source]
        own = project.streams[step.stream].schedule
        if not settings.ends:
            continue
        if own:
            by_name.setdefault(f"stream {step.stream}", (own, []))[1].append(step)
        elif own is None and project.schedule is not None:
            by_name["project"][1].append(step)
        elif kind_of(settings).watched(settings) is None:
            by_name.setdefault(ON_REQUEST, (None, []))[1].append(step)
    return [
        ScheduledLoads(name=name, schedule=schedule, steps=tuple(steps))
        for name, (schedule, steps) in by_name.items()
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
        back = overlap(project, step.stream, step.source) if lookback is None else lookback
        return replace(step, window=day_window(None, (start - back).astimezone(UTC).date(), last), lookback=back)

    return [
        of_days(step)
        if takes_days(project, step.stream, step.source) and project.streams[step.stream].disposition != "replace"
        else step
        for step in steps
    ]


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
