"""What alerts of a project can be about: how it is called, and of which problems the project has nothing any longer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from penstock.alerts.notices import Key, Observation
from penstock.runs.plan import plan_loads
from penstock.runs.schedules import plan_schedules
from penstock.runs.tidy import TIDY

if TYPE_CHECKING:
    from penstock.alerts.notices import Problem
    from penstock.project import Project
    from penstock.project.steps import LoadStep
    from penstock.runs.schedules import ScheduledLoads

MODELS = "models"
_LOADS = ("run", "load", "backfill")


def queue_of(stream: str, source: str) -> str:
    """A queue."""
    return f"queue {source} of {stream}"


def files_of(stream: str, source: str) -> str:
    """The files of a watched folder."""
    return f"files of {stream} from {source}"


def schedule_of(name: str) -> str:
    """A schedule, and the part of ``penstock up`` that runs it."""
    return f"schedule {name}"


def warehouse_of(project: Project) -> str:
    """The warehouse."""
    return f"warehouse {project.target}"


def part_of_load(project: Project, step: LoadStep) -> str:
    """The part of ``penstock up`` that lands what comes by itself: a consumer or a watcher."""
    return f"{'watch' if project.sources[step.source].ends else 'consume'} {step.stream} {step.source}"


def part_of_schedule(loads: ScheduledLoads) -> str:
    """The part of ``penstock up`` that runs a schedule, or what is asked for."""
    return loads.name if loads.schedule is None else schedule_of(loads.name)


def vanished(project: Project, problems: Iterable[Problem]) -> list[Observation]:
    """Of these problems, those about what the project has no longer, as over."""
    known = set(_subjects(project))
    return [
        Observation(alert=problem.alert, subject=problem.subject, failing=False, gone=True)
        for problem in problems
        if (problem.key not in known if problem.alert != "run_failed" else _names_unknown(project, problem.subject))
    ]


def _subjects(project: Project) -> Iterator[Key]:
    """All that can fail in ``penstock up``."""
    yield "warehouse_unreachable", warehouse_of(project)
    yield "part_failing", "part alerts"
    if project.has_models:
        yield "models_failed", MODELS
        yield "part_failing", "part trigger"
    for name, stream in project.streams.items():
        for expectation in stream.expect:
            if expectation.severity == "error":
                yield "expectation_failed", f"stream {name}: {expectation.words}"
    planned = plan_schedules(project)
    for loads in planned:
        yield "schedule_failed", schedule_of(loads.name)
        yield "part_failing", f"part {part_of_schedule(loads)}"
    if project.destination.tidied is not None:
        yield "schedule_failed", schedule_of(TIDY)
        yield "part_failing", f"part {schedule_of(TIDY)}"
    scheduled = {step for loads in planned for step in loads.steps}
    for step in plan_loads(project):
        if step not in scheduled:
            yield "part_failing", f"part {part_of_load(project, step)}"
            yield "queue_unreachable", queue_of(step.stream, step.source)
            yield "landing_stopped", queue_of(step.stream, step.source)
            yield "files_refused", files_of(step.stream, step.source)


def _names_unknown(project: Project, command: str) -> bool:
    """Whether a command names a stream that the project has no longer; of one of all streams nobody can tell."""
    _, kind, *streams = command.split(" ")
    return kind in _LOADS and any(name not in project.streams for name in streams)
