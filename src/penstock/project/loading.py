"""Finds, reads and checks ``penstock.yml``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from pydantic import BaseModel, SecretStr, ValidationError

from penstock.errors import MASK, ProjectError, redact
from penstock.project.checks import cross_checks
from penstock.project.document import Document, Problem, parse
from penstock.project.document import Path as SettingPath
from penstock.project.lake import Lake
from penstock.project.layers import layer_file, put_over
from penstock.project.metabase import Metabase
from penstock.project.nearest import nearest
from penstock.project.notify import Notify
from penstock.project.observing import Lineage, Logging
from penstock.project.overrides import choices_in, override, parts_of_list
from penstock.project.privacy import Privacy
from penstock.project.schedule import Schedule
from penstock.project.settings import Destination, Load, Postgres, ProjectFile, Source, Stream, Transform, Up
from penstock.project.values import Identity, WrongName
from penstock.spans import span_text

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
_WORDS = {
    "name": "small letters, digits and _, a letter first",
    "memory_limit": "a size such as 2GB",
    "model_type": "settings as `name: value`",
    "mapping_type": "settings as `name: value`",
    "dict_type": "settings as `name: value`",
    "too_short": "at least one",
    "tuple_type": "a list",
}


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
    sources: Mapping[str, Source | Lake]
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

    def masked(self) -> dict[str, Any]:
        """The settings in the file's own words, all of them, with passwords as ``*****``."""
        return {
            "name": self.name,
            "target": self.target,
            "destinations": _plain(self.destinations),
            "sources": {name: _plain(s) for name, s in self.sources.items() if s.type != "lake"},
            **{key: _plain(getattr(self, key)) for key in _GROUPS},
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
        _raise(problems, path)
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
        problems += [p for p in _problems(e, document) if p.path not in broken]
    if file is not None:
        problems += cross_checks(file, document, unneeded={name for _, name in unneeded})
    if problems or file is None:
        _raise(problems, path)
    project = Project(
        name=file.name,
        directory=directory,
        target=chosen if chosen is not None else next(iter(file.destinations)),
        destinations=file.destinations,
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
    said = data.get("target")
    if said is not None:
        return str(said)
    destinations = data.get("destinations")
    return str(next(iter(destinations))) if isinstance(destinations, dict) and len(destinations) == 1 else None


def _without_unneeded(document: Document, chosen: str | None) -> tuple[Any, set[SettingPath]]:
    """The data without what lacks a variable and is perhaps not needed now: destinations that are not chosen, and
    privacy keys."""
    data = document.data
    if keys := {at[2] for at in document.unset if _is_key(at)}:
        kept = {k: v for k, v in data["privacy"]["keys"].items() if k not in keys}
        data = {**data, "privacy": {**data["privacy"], "keys": kept}}
    unneeded = {at[:2] for at in document.unset if at[0] == "destinations" and len(at) > 1 and at[1] != chosen}
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


def _problems(error: ValidationError, document: Document) -> Iterator[Problem]:
    for detail in error.errors(include_url=False, include_input=False):
        path, data = _located(detail["loc"], document.data)
        kind, context = detail["type"], detail.get("ctx", {})
        if kind == "missing":
            yield document.problem(path, "is missing", _missing_fix(path))
        elif kind == "extra_forbidden":
            names = _names_at(path[:-1], document.data)
            near = nearest(str(path[-1]), names)
            fix = f"did you mean `{near}`?" if near else f"there are {', '.join(names)}"
            yield document.problem(path, "is no setting", fix)
        elif kind in ("union_tag_invalid", "union_tag_not_found"):
            expected = [t.strip(" '") for t in str(context.get("expected_tags", "duckdb, postgres")).split(",")]
            at = (*path, "type")
            if kind == "union_tag_not_found":
                yield document.problem(at, f"is missing: expected {_either(expected)}")
            else:
                yield _choice(document, at, str(context.get("tag")), expected)
        elif kind == "literal_error":
            expected = [t.strip(" '") for t in str(context["expected"]).replace(" or ", ",").split(",")]
            yield _choice(document, path, data, expected)
        elif kind == "value_error":
            wrong = context["error"]
            yield document.problem((*path, wrong.name) if isinstance(wrong, WrongName) else path, str(wrong))
        else:
            message = detail["msg"].removeprefix("Input should be ").partition(", unable")[0]
            message = _WORDS.get(str(path[-1]) if kind == "string_pattern_mismatch" else kind, message)
            shown = f", not {data!r}" if isinstance(data, str | int | float) and not _is_secret(path) else ""
            yield document.problem(path, f"expected {_decapitalised(message)}{shown}")


def _choice(document: Document, path: SettingPath, said: Any, expected: list[str]) -> Problem:
    near = nearest(str(said), expected)
    return document.problem(
        path, f"expected {_either(expected)}, not {said!r}", f"did you mean {near}?" if near else ""
    )


def _either(names: list[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _decapitalised(text: str) -> str:
    return text[:1].lower() + text[1:]


def _is_secret(path: SettingPath) -> bool:
    names = ("password", "url", "parameters", "keys", "api_key", "webhook", "headers", "secret")
    return any(str(p) in names for p in path)


def _located(loc: tuple[int | str, ...], data: Any) -> tuple[SettingPath, Any]:
    """The setting an error is about: pydantic's path without the steps that are types and not names."""
    path: SettingPath = ()
    for i, step in enumerate(loc):
        if isinstance(data, dict):
            if step in data:
                data = data[step]
            elif i < len(loc) - 1 or step == data.get("type"):
                continue
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            continue
        path = (*path, step)
    return path, data


def _missing_fix(path: SettingPath) -> str:
    if path[0] == "streams" and len(path) == 3 and path[2] == "from":
        return "name the source that the records come from"
    if path[-2:] == ("email", "from"):
        return "from: penstock@example.com"
    fixes: dict[SettingPath, str] = {
        ("name",): "name: my_project",
        ("destinations",): "destinations: {local: {type: duckdb, path: warehouse.duckdb}}",
    }
    return fixes.get(path, "")


def _names_at(path: SettingPath, data: Any) -> list[str]:
    """The settings there are in the group at ``path``."""
    kind: Any = ProjectFile
    for step in path:
        if isinstance(data, list) and isinstance(step, int):
            kind, data = parts_of_list(kind), data[step]
            continue
        kind = choices_in(kind, data).get(str(step))
        data = data.get(step) if isinstance(data, dict) else None
    return list(choices_in(kind, data))


def _raise(problems: list[Problem], path: Path) -> NoReturn:
    first = sorted(set(problems))
    if len(first) == 1:
        only = first[0]
        named = f"`{only.path}`: " if only.path else ""
        raise ProjectError(named + only.what, where=_shown(only, path), fix=only.fix)
    lines = []
    for problem in first:
        named = f"`{problem.path}`: " if problem.path else ""
        fix = f" ({problem.fix})" if problem.fix else ""
        lines.append(f"  {_shown(problem, path)}: {named}{redact(problem.what)}{redact(fix)}")
    raise ProjectError(f"{len(first)} things are wrong\n" + "\n".join(lines), where=str(path))


def _shown(problem: Problem, path: Path) -> str:
    return f"{path}:{problem.line}" if problem.place == FILE_NAME else problem.where


def _plain(value: Any) -> Any:
    if isinstance(value, Postgres) and value.parameters:
        safe = {k: MASK if "pass" in k else v for k, v in value.parameters.items()}
        return {**_fields(value), "parameters": safe}
    if isinstance(value, BaseModel):
        return _fields(value)
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, timedelta):
        return span_text(value)
    if isinstance(value, Identity):
        return list(value.fields) or value.kind
    return str(value)


def _fields(model: BaseModel) -> dict[str, Any]:
    return {
        f.alias or name: _plain(getattr(model, name)) for name, f in type(model).model_fields.items() if not f.exclude
    }
