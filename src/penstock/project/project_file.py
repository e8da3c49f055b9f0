"""Finds, reads and checks ``penstock.yml``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from penstock.errors import ProjectError
from penstock.project.checks import cross_checks
from penstock.project.environments import layer_file, put_over
from penstock.project.lake import Lake
from penstock.project.metabase_settings import Metabase
from penstock.project.notify import Notify
from penstock.project.overrides import override
from penstock.project.plain import masked
from penstock.project.privacy_settings import Privacy
from penstock.project.problems import problems_of, raise_problems
from penstock.project.schedule import Schedule
from penstock.project.settings import Destination, Load, ProjectFile, Stream, Transform, Up
from penstock.project.sources import SourceSettings
from penstock.project.stream_spec import spec_of
from penstock.project.telemetry import Lineage, Logging
from penstock.project.yaml_document import Document, parse
from penstock.project.yaml_document import Path as SettingPath
from penstock.spec import StreamSpec

FILE_NAME = "penstock.yml"
LAKE = "lake"
"""The name of the lake among the sources."""

_GROUPS = (
    "streams",
    "lake",
    "load",
    "transform",
    "up",
    "privacy",
    "schedule",
    "notify",
    "logging",
    "lineage",
    "metabase",
)
_PLANNED = ("name", "target", "streams", "schedule", "transform", "privacy")
"""The groups that a plan is made of; and of privacy, keys are left to whom needs them."""
_STAND_INS = {"base_url": "http://unset", "path": "unset", "queue": "unset"}
"""What stands for an address that a source cannot do without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project as loaded: its settings, the folder it stands in, and the destination chosen.

    ``destinations`` has those whose variables are all set; the chosen one always is. ``sources`` has the lake, too, as
    ``lake``.
    """

    name: str
    directory: Path
    target: str
    destinations: Mapping[str, Destination]
    sources: Mapping[str, SourceSettings]
    streams: Mapping[str, Stream]
    load: Load
    transform: Transform | None
    up: Up
    privacy: Privacy
    metabase: Metabase
    lake: Lake | None = None
    schedule: Schedule | None = None
    notify: Notify = field(default_factory=Notify)
    logging: Logging = field(default_factory=Logging)
    lineage: Lineage | None = None

    @property
    def destination(self) -> Destination:
        """The destination that ``target`` names."""
        return self.destinations[self.target]

    @property
    def file(self) -> Path:
        """The project file."""
        return self.directory / FILE_NAME

    @property
    def has_models(self) -> bool:
        """Whether there is a dbt project beside the project file, and it is wanted."""
        return self.transform is not None and (self.directory / "dbt_project.yml").is_file()

    def spec(self, stream: str) -> StreamSpec:
        """What a stream is, for shaping and for landing.

        Raises:
            UsageError: it has personal data, and the key of its pseudonyms is not set.
        """
        return spec_of(stream, self.streams[stream], self.privacy)

    def masked(self) -> dict[str, Any]:
        """The settings in the file's own words, all of them, with passwords as ``*****``."""
        return {
            "name": self.name,
            "target": self.target,
            "destinations": masked(self.destinations),
            "sources": {name: masked(s) for name, s in self.sources.items() if not isinstance(s, Lake)},
            **{key: masked(getattr(self, key)) for key in _GROUPS},
        }

    def with_lake(self, lake: Lake) -> Project:
        """The same project with another lake."""
        return replace(self, lake=lake, sources={**self.sources, LAKE: lake})


def find_project(start: Path) -> Path:
    """The nearest folder, from ``start`` upwards, that has a ``penstock.yml``.

    Raises:
        ProjectError: there is none.
    """
    start = start.absolute()
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder
    raise ProjectError(
        f"no {FILE_NAME} here or in a folder above",
        where=str(start),
        fix="go into a project's folder, or make one: penstock init my_project",
    )


def load_project(
    directory: Path, *, target: str | None = None, environ: Mapping[str, str] | None = None, connects: bool = True
) -> Project:
    """Read the project in ``directory``.

    Args:
        directory: the folder of ``penstock.yml``; relative paths in the file start from it.
        target: the destination to use, over what file and variables say.
        environ: the environment; the process's own when left out.
        connects: without, variables that say how sources and destinations are reached, and what only runs need, may be
            not set: the project can be planned, not run.

    Raises:
        ProjectError: all that is wrong with the file and the variables, each with file, line, setting and fix.
    """
    directory = directory.absolute()
    path = directory / FILE_NAME
    document = _read(path, os.environ if environ is None else environ)
    problems = list(document.problems)
    if not isinstance(document.data, dict):
        raise_problems(problems, path)
    if target is not None:
        document.data["target"] = target
        document.marks[("target",)] = ("--target", 0)
    if not connects:
        _leave_out_unset(document)
    chosen = _chosen(document.data)
    document.data, unneeded = _without_unneeded(document, chosen)
    problems += [p for at, p in document.unset.items() if at[:2] not in unneeded and not _is_key(at)]
    file: ProjectFile | None = None
    try:
        file = ProjectFile.model_validate(document.data, context={"directory": directory})
    except ValidationError as e:
        broken = {p.path for p in problems}
        problems += [p for p in problems_of(e, document) if p.path not in broken]
    if file is not None:
        problems += cross_checks(file, document, unneeded={name for _, name in unneeded})
    if problems or file is None:
        raise_problems(problems, path)
    project = Project(
        name=file.name,
        directory=directory,
        target=chosen if chosen is not None else next(iter(file.destinations)),
        destinations={name: d.completed(file.destinations) for name, d in file.destinations.items()},
        sources=file.sources,
        streams=file.streams,
        load=file.load,
        transform=file.transform,
        up=file.up,
        privacy=file.privacy,
        metabase=file.metabase,
        schedule=file.schedule,
        notify=file.notify,
        logging=file.logging,
        lineage=file.lineage,
    )
    return project if file.lake is None else project.with_lake(file.lake)


def variables_of(directory: Path, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of a project: its ``.env``, and over it the environment, the process's own when left out."""
    return {**_env_file(directory / ".env"), **(os.environ if environ is None else environ)}


def _read(path: Path, environ: Mapping[str, str]) -> Document:
    """The document with variables filled in, the environment's file put over it, and overrides set."""
    text = _text(path)
    beside = _env_file(path.parent / ".env")
    variables = {**beside, **environ}
    document = parse(text, FILE_NAME, variables)
    layer = layer_file(path, variables)
    if layer is not None:
        put_over(document, parse(_text(layer), layer.name, variables))
    if isinstance(document.data, dict):
        stronger = {name.upper() for name in environ}
        override(document, {k: v for k, v in beside.items() if k.upper() not in stronger}, ".env")
        override(document, environ, "environment")
    return document


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ProjectError(f"there is no {FILE_NAME}", where=str(path.parent), fix="make one: penstock init") from None
    except UnicodeDecodeError as e:
        raise ProjectError(f"is not UTF-8 (byte {e.start})", where=str(path), fix="save it as UTF-8") from None
    except OSError as e:
        raise ProjectError(f"cannot be read: {e.strerror}", where=str(path)) from None


def _env_file(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        return {k: v for k, v in dotenv_values(path, interpolate=False, encoding="utf-8-sig").items() if v is not None}
    except (OSError, UnicodeDecodeError) as e:
        raise ProjectError(
            f"cannot be read: {e}", where=str(path), fix="save it as UTF-8, one NAME=value a line"
        ) from None


def _chosen(data: dict[str, Any]) -> str | None:
    target = data.get("target")
    if target is not None:
        return str(target)
    destinations = data.get("destinations")
    return str(next(iter(destinations))) if isinstance(destinations, dict) and len(destinations) == 1 else None


def _without_unneeded(document: Document, chosen: str | None) -> tuple[Any, set[SettingPath]]:
    """The data without what lacks a variable and is perhaps not needed now: destinations that are not chosen and that
    the chosen one does not name, and privacy keys."""
    data = document.data
    if keys := {at[2] for at in document.unset if _is_key(at)}:
        kept = {k: v for k, v in data["privacy"]["keys"].items() if k not in keys}
        data = {**data, "privacy": {**data["privacy"], "keys": kept}}
    of_chosen = data["destinations"].get(chosen) if isinstance(data.get("destinations"), dict) else None
    needed = (chosen, of_chosen.get("ledger") if isinstance(of_chosen, dict) else None)
    unneeded = {at[:2] for at in document.unset if at[0] == "destinations" and len(at) > 1 and at[1] not in needed}
    if not unneeded:
        return data, unneeded
    names = {name for _, name in unneeded}
    kept = {k: v for k, v in data["destinations"].items() if k not in names}
    return {**data, "destinations": kept}, unneeded


def _leave_out_unset(document: Document) -> None:
    """Take what lacks a variable for no plan: a setting of a source or a destination, a whole group of what only runs
    need."""
    for at in [at for at in document.unset if at[0] not in _PLANNED]:
        within = document.data
        for step in (path := at if at[0] in ("sources", "destinations") else at[:1])[:-1]:
            within = within[step]
        if path[-1] in _STAND_INS:
            within[path[-1]] = _STAND_INS[str(path[-1])]
        elif isinstance(within, dict):
            within.pop(path[-1], None)
        del document.unset[at]


def _is_key(path: SettingPath) -> bool:
    """Whether a setting is a privacy key, which only some commands need."""
    return path[:2] == ("privacy", "keys") and len(path) == 3
