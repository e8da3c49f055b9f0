"""A project as two pipelines for a scheduler, extract-load and transform: which commands, in which order.

It is told from the project's files as they stand, by YAML alone: a scheduler reads it every few seconds, in an
environment that may have neither dbt nor a warehouse's driver. Whether the files are right, the commands say.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from penstock.errors import ProjectError
from penstock.transform.layers import PROJECT_FILE, layers_of

FILE_NAME = "penstock.yml"

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
class Pipeline:
    """What a project does on a schedule.

    ``loads`` may be performed side by side, unless ``one_at_a_time``, and ``loaded`` follows them; ``transforms``
    follow each other in order, and there are none in a project without models. ``environment`` is for all of them.
    """

    name: str
    loads: tuple[Task, ...]
    loaded: Task
    transforms: tuple[Task, ...]
    one_at_a_time: bool
    environment: Mapping[str, str]


def read_pipeline(directory: Path, *, target: str | None = None, layers: bool = True) -> Pipeline:
    """The pipelines of the project in ``directory``.

    Args:
        directory: the folder of ``penstock.yml``.
        target: the destination that the commands name; none by default, so that they use the project's own.
        layers: transform by one command for each layer of models; else by one for all.

    Raises:
        ProjectError: ``penstock.yml`` is unreadable, or has no name or no stream.
        UsageError: ``dbt_project.yml`` is unreadable.
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
    waits = len(warehouses) == 1 and "duckdb" in warehouses.values()
    return Pipeline(
        name=name,
        loads=tuple(_loads(settings, named)),
        loaded=Task(id="loaded", words=("status", *named)),
        transforms=tuple(transforms),
        one_at_a_time="duckdb" in warehouses.values(),
        # one process at a time has a DuckDB file: whoever comes second waits, instead of failing
        environment={_LOCK_TIMEOUT.format(*warehouses).upper(): "1800"} if waits else {},
    )


def _warehouses(directory: Path, settings: Mapping[str, Any], target: str | None) -> dict[str, str]:
    """The destination that the commands use, with its type: one in ``PENSTOCK_ENV``; without, one in any environment.
    A destination that has another type elsewhere comes once more."""
    named = os.environ.get("PENSTOCK_ENV", "").strip()
    layers: list[Mapping[str, Any]] = [{}]
    layers += [_read(path) for path in sorted(directory.glob("penstock.*.yml"))]
    if named:
        path = directory / f"penstock.{named}.yml"
        layers = [_read(path) if path.is_file() else {}]
    found: dict[str, str] = {}
    own = _mapping(settings.get("destinations"))
    for layer in layers:
        over = _mapping(layer.get("destinations"))
        names = {**own, **over}
        chosen = str(target or layer.get("target") or settings.get("target") or next(iter(names), ""))
        kind = str({**_mapping(own.get(chosen)), **_mapping(over.get(chosen))}.get("type"))
        if found.setdefault(chosen, kind) != kind:
            found[f"{chosen} as {kind}"] = kind
    return found


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return _mapping(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}  # the command that is to use it will say what is wrong with it


def _loads(settings: Mapping[str, Any], named: Sequence[str]) -> list[Task]:
    """A task for each stream; a queue, which has no end, is drained by one of its own."""
    sources = _mapping(settings.get("sources"))
    found = []
    for name, stream in _mapping(settings.get("streams")).items():
        stream = _mapping(stream)
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
    settings = _mapping(settings)
    if not isinstance(settings.get("name"), str) or not _NAME.fullmatch(settings["name"]):
        raise ProjectError(
            "has no name that a pipeline could have", where=str(path), fix="add a line: name: my_project"
        )
    if not _mapping(settings.get("streams")):
        raise ProjectError(
            "has no stream, so there is nothing to schedule", where=str(path), fix="add one under streams:"
        )
    return settings


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
