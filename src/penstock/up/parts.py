"""What ``penstock up`` runs, as data: the supervisor performs this list, and ``penstock explain --up`` prints it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from penstock.alerts.subjects import part_of_load, part_of_schedule, schedule_of
from penstock.runs.plan import is_queue, plan_loads
from penstock.runs.schedules import plan_schedules
from penstock.runs.tidy import TIDY

if TYPE_CHECKING:
    from penstock.project import Clock, Project
    from penstock.project.steps import LoadStep
    from penstock.runs.schedules import ScheduledLoads

Kind = Literal["consumer", "watcher", "trigger", "schedule", "tidy", "alerts", "server"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPart:
    """One part, which has a thread of its own.

    A ``consumer`` and a ``watcher`` land what comes, by queue or file, for their one step of ``steps``; a ``schedule``
    lands its ``steps`` by the clock, or, without a clock, on request; the ``trigger`` has models built after loads;
    ``tidy`` looks after the warehouse's tables by its ``clock``; ``alerts`` tells of what fails; the ``server`` answers
    at ``address``.
    """

    kind: Kind
    name: str
    steps: tuple[LoadStep, ...] = ()
    loads: ScheduledLoads | None = None
    clock: Clock | None = None
    address: tuple[str, int] | None = None

    @property
    def what(self) -> str:
        """What it does, in words."""
        streams = ", ".join(f"{step.stream} from {step.source}" for step in self.steps)
        match self.kind:
            case "consumer":
                return f"lands each message as it comes: {streams}"
            case "watcher":
                return f"lands each file as it comes: {streams}"
            case "schedule" if self.loads is not None and self.loads.schedule is not None:
                return f"lands {self.loads.schedule.words}: {streams}"
            case "schedule":
                return f"lands when penstock run --now asks for it: {streams}"
            case "trigger":
                return "has dbt build what the loads touch"
            case "tidy":
                when = "" if self.clock is None else f" {self.clock.words}"
                return f"looks after the tables{when}: small files, old snapshots, files that nothing names"
            case "alerts":
                return "watches the others, judges what is expected, and tells whom notify: names"
            case "server":
                host, port = self.address or ("", 0)
                return f"answers at {host}, port {port or 'any that is free'}"

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        clock = self.clock if self.loads is None else self.loads.schedule
        host, port = self.address or (None, None)
        return {
            "part": self.name,
            "kind": self.kind,
            "what": self.what,
            "loads": [{"stream": step.stream, "source": step.source} for step in self.steps],
            "schedule": None if clock is None else clock.words,
            "host": host,
            "port": port,
        }


def plan_up(
    project: Project, *, models: bool | None = None, host: str | None = None, port: int | None = None
) -> list[PlannedPart]:
    """The parts of ``penstock up``, in the order in which they are started.

    Args:
        models: whether models follow loads; by default where the project has any.
        host, port: where it answers, over the project's own settings; port 0 is a free one.
    """
    schedules = plan_schedules(project)
    scheduled = {step for loads in schedules for step in loads.steps}
    address = (project.up.host if host is None else host, project.up.port if port is None else port)
    parts = [PlannedPart(kind="server", name="server", address=address)]
    for step in plan_loads(project):
        if step not in scheduled:
            kind: Kind = "consumer" if is_queue(project, step.source) else "watcher"
            parts.append(PlannedPart(kind=kind, name=part_of_load(project, step), steps=(step,)))
    if project.has_models if models is None else models:
        parts.append(PlannedPart(kind="trigger", name="trigger"))
    for loads in schedules:
        parts.append(PlannedPart(kind="schedule", name=part_of_schedule(loads), steps=loads.steps, loads=loads))
    if (clock := project.destination.tidied) is not None:
        parts.append(PlannedPart(kind="tidy", name=schedule_of(TIDY), clock=clock))
    return [*parts, PlannedPart(kind="alerts", name="alerts")]
