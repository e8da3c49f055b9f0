"""A project as two pipelines for a scheduler, extract-load and transform: which commands, in which order.

The project is read as all commands read it, but nothing is connected: how sources and destinations are reached may be
known where the tasks run only.
"""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

from penstock.airflow.dags import PROJECTS
from penstock.destinations.kinds import kind_of
from penstock.errors import ProjectError, UsageError
from penstock.project import DestinationSettings, Project, Schedule, load_project, variables_of
from penstock.runs.plan import is_queue, overlap, takes_days
from penstock.spans import span_of_words
from penstock.transform.layers import layers_of

DAILY = "@daily"
"""The schedule of a project that says none."""
RETRIES = 3
RETRY_DELAY = timedelta(minutes=3)

_LOCK_TIMEOUT = "PENSTOCK__DESTINATIONS__{}__LOCK_TIMEOUT_SECONDS"
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One command: the words after ``penstock``. With ``dated`` it takes ``--from`` and ``--to``."""

    id: str
    words: tuple[str, ...]
    dated: bool = False

    @property
    def command(self) -> str:
        """The words as a shell takes them."""
        return shlex.join(self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When runs begin: by ``cron`` in a time zone, or once in ``every``; with neither, by hand. A task that failed is
    tried again ``retries`` times, ``retry_delay`` later each time. So many days before its own a run loads again."""

    cron: str | None = None
    every: timedelta | None = None
    timezone: str = "UTC"
    retries: int = RETRIES
    retry_delay: timedelta = RETRY_DELAY
    lookback_days: int = 0

    @property
    def by_hand(self) -> bool:
        """Whether no clock begins runs."""
        return self.cron is None and self.every is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loads:
    """Loads that share a schedule. ``suffix`` tells those of a stream with a schedule of its own from the project's."""

    suffix: str
    timing: Timing
    tasks: tuple[Task, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the caller wants over what the project says; None leaves it to the project, and so does :data:`PROJECTS`.

    ``schedule`` is a cron expression, a preset, ``every 5m`` or a period; None is by hand.
    """

    schedule: str | timedelta | None = PROJECTS
    timezone: str | None = None
    retries: int | None = None
    retry_delay: timedelta | None = None
    lookback_days: int | None = None


_NOTHING = Asked()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """What a project does on a schedule.

    The tasks of ``loads`` may be performed side by side, unless ``one_at_a_time``, and ``loaded`` follows them;
    ``transforms`` follow each other in order, at the times of ``timing`` and after loads, and there are none in a
    project without models. ``environment`` is for all of them.
    """

    name: str
    timing: Timing
    loads: tuple[Loads, ...]
    loaded: Task
    transforms: tuple[Task, ...]
    one_at_a_time: bool
    environment: Mapping[str, str]


def read_pipeline(
    directory: Path, *, target: str | None = None, layers: bool = True, asked: Asked = _NOTHING
) -> Pipeline:
    """The pipelines of the project in ``directory``.

    Args:
        directory: the folder of ``penstock.yml``.
        target: the destination that the commands name; none by default, so that they use the project's own.
        layers: transform by one command for each layer of models; else by one for all.
        asked: when to run, where that is not the project's to say.

    Raises:
        ProjectError: what is wrong with the project, or it has nothing to schedule.
        UsageError: ``dbt_project.yml`` is unreadable, or what is asked for makes no sense.
    """
    project = load_project(directory, target=target, connects=False)
    if not project.streams:
        raise ProjectError(
            "has no stream, so there is nothing to schedule", where=str(project.file), fix="add one under streams:"
        )
    named = ("--target", target) if target else ()
    transforms: list[Task] = []
    if project.has_models:
        transforms = [
            Task(id=f"transform_{layer.name}", words=("transform", "--layer", layer.name, "--nodes", *named))
            for layer in (layers_of(directory) if layers else ())
        ] or [Task(id="transform", words=("transform", "--nodes", *named))]
    everywhere = [project, *_elsewhere(project, target)]
    held = {p.target for p in everywhere if _is_held(p.destination)}
    timing = _timing(project, project.schedule, asked)
    return Pipeline(
        name=project.name,
        timing=timing,
        loads=tuple(_loads(project, named, timing, asked)),
        loaded=Task(id="loaded", words=("status", *named)),
        transforms=tuple(transforms),
        one_at_a_time=bool(held),
        # one process at a time has such a warehouse: whoever comes second waits, instead of failing; a variable may set
        # what only that has where every environment knows the destination as one
        environment={
            _LOCK_TIMEOUT.format(name).upper(): "1800"
            for name in sorted(held)
            if all(name in p.destinations and _is_held(p.destinations[name]) for p in everywhere)
        },
    )


def _is_held(destination: DestinationSettings) -> bool:
    """Whether one process at a time has it."""
    return kind_of(destination).capabilities.one_process


def _elsewhere(project: Project, target: str | None) -> Iterator[Project]:
    """The project as other environments have it, where none is chosen: the tasks may run in any."""
    if variables_of(project.directory).get("PENSTOCK_ENV"):
        return
    for layer in sorted(project.directory.glob("penstock.*.yml")):
        environ = {**os.environ, "PENSTOCK_ENV": layer.name.split(".")[1]}
        with suppress(ProjectError):  # the command that is to use it will say what is wrong with it
            yield load_project(project.directory, target=target, environ=environ, connects=False)


def _timing(project: Project, schedule: Schedule | Literal[False] | None, asked: Asked) -> Timing:
    """When a project or stream of this ``schedule`` runs, by what is asked for over it."""
    if asked.schedule != PROJECTS:
        timing = _when(asked.schedule)
    elif not schedule:
        timing = Timing(cron=DAILY)
    else:
        retries = schedule.retries if "retries" in schedule.model_fields_set else RETRIES
        timing = Timing(
            cron=schedule.cron,
            every=schedule.every,
            timezone=schedule.timezone,
            retries=retries,
            retry_delay=schedule.retry_delay,
        )
    late = schedule.lookback if schedule and schedule.lookback is not None else _longest_overlap(project)
    return replace(
        timing,
        timezone=asked.timezone or timing.timezone,
        retries=timing.retries if asked.retries is None else asked.retries,
        retry_delay=timing.retry_delay if asked.retry_delay is None else asked.retry_delay,
        lookback_days=math.ceil(late / _DAY) if asked.lookback_days is None else asked.lookback_days,
    )


def _longest_overlap(project: Project) -> timedelta:
    """How late the records of sources that pick days come, the longest of them."""
    feeds = [(name, source) for name, stream in project.streams.items() for source in stream.from_]
    return max((overlap(project, stream, source) for stream, source in feeds), default=timedelta())


def _when(schedule: str | timedelta | None) -> Timing:
    """The timing that is asked for.

    Raises:
        UsageError: it is none.
    """
    try:
        if isinstance(schedule, str) and not schedule.lower().startswith("every "):
            return Timing(cron=schedule)
        every = span_of_words(schedule) if isinstance(schedule, str) else schedule
        if every is not None and every < timedelta(seconds=1):
            raise ValueError("every: is less than a second")
    except ValueError as e:
        raise UsageError(f"schedule: {e}", fix='say it so: @daily, "0 6 * * *", or every 5m') from None
    return Timing(every=every)


def _loads(project: Project, named: Sequence[str], timing: Timing, asked: Asked) -> Iterator[Loads]:
    """The loads by their schedules, the project's first. What is asked for goes for all streams."""
    together: list[Task] = []
    apart: list[Loads] = []
    for name, stream in project.streams.items():
        tasks = _stream_loads(project, name, named)
        if asked.schedule != PROJECTS or stream.schedule is None:
            together += tasks
        elif stream.schedule:
            timing_of = _timing(project, stream.schedule, asked)
            apart.append(Loads(suffix=f"_{name}", timing=timing_of, tasks=tuple(tasks)))
    if together:
        yield Loads(suffix="", timing=timing, tasks=tuple(together))
    yield from apart
    if not together and not apart:
        raise ProjectError(
            "every stream has schedule: false, so there is nothing to schedule",
            where=str(project.file),
            fix="say when to run, over the project: penstock airflow export --schedule @daily",
        )


def _stream_loads(project: Project, name: str, named: Sequence[str]) -> Iterator[Task]:
    """The tasks of a stream; a queue, which has no end, is drained by one of its own."""
    stream = project.streams[name]
    ending = [source for source in stream.from_ if not is_queue(project, source)]
    if ending:
        # a date would delete all other days of a stream that is replaced
        by_day = stream.disposition != "replace" and any(takes_days(project, name, source) for source in ending)
        yield Task(id=f"load_{name}", words=("load", name, *named), dated=by_day)
    if len(ending) < len(stream.from_):
        yield Task(id=f"consume_{name}", words=("consume", name, "--until-empty", *named))
