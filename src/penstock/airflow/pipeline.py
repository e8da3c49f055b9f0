"""A project as two pipelines for a scheduler, extract-load and transform: which commands, in which order.

It is told from the project's files as they stand, by YAML alone: a scheduler reads it every few seconds, in an
environment that may have neither dbt nor a warehouse's driver. Whether the files are right, the commands say.
"""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from penstock.errors import ProjectError, UsageError
from penstock.spans import span_of_words, time_span
from penstock.transform.layers import PROJECT_FILE, layers_of

FILE_NAME = "penstock.yml"
PROJECTS = "project"
"""The schedule that the project itself says."""
DAILY = "@daily"
"""The schedule of a project that says none."""
RETRIES = 3
RETRY_DELAY = timedelta(minutes=3)

OVERLAP = timedelta(minutes=10)
"""The ``overlap`` of an endpoint that says none."""

_LOCK_TIMEOUT = "PENSTOCK__DESTINATIONS__{}__LOCK_TIMEOUT_SECONDS"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_OFF = (False, "false", "no", "off")


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
        ProjectError: ``penstock.yml`` is unreadable, or has no name or no stream.
        UsageError: ``dbt_project.yml`` is unreadable, or what is asked for makes no sense.
    """
    settings = _settings(directory)
    name = settings["name"]
    named = ("--target", target) if target else ()
    transforms: list[Task] = []
    if settings.get("transform") not in _OFF and (directory / PROJECT_FILE).is_file():
        found = layers_of(directory) if layers else ()
        transforms = [
            Task(id=f"transform_{layer.name}", words=("transform", "--layer", layer.name, "--nodes", *named))
            for layer in found
        ] or [Task(id="transform", words=("transform", "--nodes", *named))]
    warehouses = _warehouses(directory, settings, target)
    timing = _timing(settings.get("schedule"), asked, directory, settings)
    return Pipeline(
        name=name,
        timing=timing,
        loads=tuple(_loads(settings, named, timing, asked, directory)),
        loaded=Task(id="loaded", words=("status", *named)),
        transforms=tuple(transforms),
        one_at_a_time="duckdb" in warehouses.values(),
        # one process at a time has a DuckDB file: whoever comes second waits, instead of failing
        environment={
            _LOCK_TIMEOUT.format(name).upper(): "1800"
            for name, kind in warehouses.items()
            if kind == "duckdb" and _alike(directory, settings, name)
        },
    )


def _timing(said: Any, asked: Asked, directory: Path, settings: Mapping[str, Any]) -> Timing:
    """When a project or stream runs that says ``said``, by what is asked for over it."""
    if asked.schedule != PROJECTS:
        try:
            timing = _when(asked.schedule)
        except ValueError as e:
            raise UsageError(f"schedule: {e}", fix='say it so: @daily, "0 6 * * *", or every 5m') from None
    else:
        try:
            timing = _said(said)
        except (ValueError, TypeError) as e:
            raise ProjectError(
                f"schedule: {e}",
                where=str(directory / FILE_NAME),
                fix='mend it, or say when to run, over the project: schedule="@daily", or --schedule of the export',
            ) from None
    over: dict[str, Any] = {"timezone": asked.timezone, "retries": asked.retries, "retry_delay": asked.retry_delay}
    over["lookback_days"] = asked.lookback_days
    if asked.lookback_days is None:
        own = _mapping(said).get("lookback")
        over["lookback_days"] = (
            _overlap_days(settings, directory) if own is None else _days(own, "schedule.lookback", directory)
        )
    return replace(timing, **{k: v for k, v in over.items() if v is not None})


def _overlap_days(settings: Mapping[str, Any], directory: Path) -> int:
    """How late the records of endpoints with windows come, the longest of them, in whole days."""
    days = 0
    for name, source in _mapping(settings.get("sources")).items():
        for called, endpoint in _mapping(_mapping(source).get("endpoints")).items():
            incremental = _mapping(_mapping(endpoint).get("incremental"))
            if incremental and _mapping(endpoint).get("windows"):
                where = f"sources.{name}.endpoints.{called}.incremental.overlap"
                days = max(days, _days(incremental.get("overlap", OVERLAP), where, directory))
    return days


def _days(span: Any, setting: str, directory: Path) -> int:
    try:
        return math.ceil(time_span(span) / timedelta(days=1))
    except ValueError as e:
        raise ProjectError(
            f"{setting}: {'what variables say of it is not known here' if '${' in str(span) else e}",
            where=str(directory / FILE_NAME),
            fix="mend it, or say how many days, over the project: lookback_days=4, or --lookback-days of the export",
        ) from None


def _said(value: Any) -> Timing:
    """The timing that the project's ``schedule:`` means, which the commands check in full."""
    if "${" in str(value):
        raise ValueError("what variables say of it is not known here")
    group = _mapping(value)
    if not group:
        return _when(value if isinstance(value, str) else DAILY)
    timing = _when(group.get("cron") or (time_span(group["every"]) if "every" in group else DAILY))
    return replace(
        timing,
        timezone=str(group.get("timezone", "UTC")),
        retries=int(group.get("retries", RETRIES)),
        retry_delay=time_span(group.get("retry_delay", RETRY_DELAY)),
    )


def _when(schedule: str | timedelta | None) -> Timing:
    if schedule is None or isinstance(schedule, timedelta):
        timing = Timing(every=schedule)
    elif schedule.lower().startswith("every "):
        timing = Timing(every=span_of_words(schedule))
    else:
        timing = Timing(cron=schedule)
    if timing.every is not None and timing.every < timedelta(seconds=1):
        raise ValueError("every: is less than a second")
    return timing


def _warehouses(directory: Path, settings: Mapping[str, Any], target: str | None) -> dict[str, str]:
    """The destination that the commands use, with its type: one in ``PENSTOCK_ENV``; without, one in any environment.
    A destination that has another type elsewhere comes once more."""
    found: dict[str, str] = {}
    own = _mapping(settings.get("destinations"))
    for layer in _layers(directory):
        over = _mapping(layer.get("destinations"))
        names = {**own, **over}
        chosen = str(target or layer.get("target") or settings.get("target") or next(iter(names), ""))
        kind = str({**_mapping(own.get(chosen)), **_mapping(over.get(chosen))}.get("type"))
        if found.setdefault(chosen, kind) != kind:
            found[f"{chosen} as {kind}"] = kind
    return found


def _alike(directory: Path, settings: Mapping[str, Any], name: str) -> bool:
    """Whether every environment knows the destination as a DuckDB, so that a variable may set what only that has."""
    known = [_mapping(layer.get("destinations")) for layer in _layers(directory)]
    return name in _mapping(settings.get("destinations")) and all(
        _mapping(names.get(name)).get("type", "duckdb") == "duckdb" for names in known
    )


def _layers(directory: Path) -> list[Mapping[str, Any]]:
    """What the environments put over the settings: nothing, or one of these. In ``PENSTOCK_ENV`` it is done."""
    files = [] if _environment() else sorted(directory.glob("penstock.*.yml"))
    return [{}, *map(_read, files)]


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return _mapping(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}  # the command that is to use it will say what is wrong with it


def _loads(
    settings: Mapping[str, Any], named: Sequence[str], timing: Timing, asked: Asked, directory: Path
) -> Iterator[Loads]:
    """The loads by their schedules, the project's first. What is asked for goes for all streams."""
    together: list[Task] = []
    apart: list[Loads] = []
    for name, stream in _mapping(settings.get("streams")).items():
        own = _mapping(stream).get("schedule")
        tasks = _stream_loads(name, settings, named)
        if asked.schedule != PROJECTS or own is None:
            together += tasks
        elif own not in _OFF:
            apart.append(Loads(suffix=f"_{name}", timing=_timing(own, asked, directory, settings), tasks=tuple(tasks)))
    if together:
        yield Loads(suffix="", timing=timing, tasks=tuple(together))
    yield from apart
    if not together and not apart:
        raise ProjectError(
            "every stream has schedule: false, so there is nothing to schedule",
            where=str(directory / FILE_NAME),
            fix="say when to run, over the project: penstock airflow export --schedule @daily",
        )


def _stream_loads(name: str, settings: Mapping[str, Any], named: Sequence[str]) -> list[Task]:
    """The tasks of a stream; a queue, which has no end, is drained by one of its own."""
    stream = _mapping(settings["streams"][name])
    sources = _mapping(settings.get("sources"))
    found = []
    given = stream.get("from")
    feeding = [_mapping(sources.get(s)) for s in ([given] if isinstance(given, str) else given or ())]
    queued = [source.get("type") == "rabbitmq" for source in feeding]
    if not all(queued) or not queued:
        by_day = stream.get("event_time") or any(
            _mapping(_mapping(source.get("endpoints")).get(name)).get("windows") for source in feeding
        )
        # a date would delete all other days of a stream that is replaced
        dated = bool(by_day) and stream.get("disposition") != "replace"
        found.append(Task(id=f"load_{name}", words=("load", name, *named), dated=dated))
    if any(queued):
        found.append(Task(id=f"consume_{name}", words=("consume", name, "--until-empty", *named)))
    return found


def _settings(directory: Path) -> Mapping[str, Any]:
    path = directory / FILE_NAME
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise ProjectError(
            f"cannot be read: {e.strerror}",
            where=str(path),
            fix="give the folder of a penstock.yml, as this machine sees it",
        ) from None
    except (UnicodeDecodeError, yaml.YAMLError) as e:
        raise ProjectError(f"is no YAML: {e}", where=str(path), fix="see penstock doctor") from None
    settings = _put_over(_mapping(settings), _read(directory / f"penstock.{_environment()}.yml"))
    if not isinstance(settings.get("name"), str) or not _NAME.fullmatch(settings["name"]):
        raise ProjectError(
            "has no name that a pipeline could have", where=str(path), fix="add a line: name: my_project"
        )
    if not _mapping(settings.get("streams")):
        raise ProjectError(
            "has no stream, so there is nothing to schedule", where=str(path), fix="add one under streams:"
        )
    return settings


def _environment() -> str:
    return os.environ.get("PENSTOCK_ENV", "").strip()


def _put_over(under: Mapping[str, Any], over: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings with those of an environment's file over them."""
    merged = dict(under)
    for name, value in over.items():
        both = isinstance(under.get(name), Mapping) and isinstance(value, Mapping)
        merged[name] = _put_over(under[name], value) if both else value
    return merged


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
