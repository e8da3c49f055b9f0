"""Reads ``penstock.yml``: variables, overrides, and errors that name the line."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values
from pydantic import BaseModel, ValidationError

from penstock.errors import ProjectError
from penstock.project.models import Project

PROJECT_FILE = "penstock.yml"
OVERRIDE = "PENSTOCK__"

_VARIABLE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
Path_ = tuple[str, ...]


@dataclass(slots=True)
class _Document:
    """The file's data, and the line of each of its parts."""

    data: Any
    lines: dict[Path_, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def find_project(start: Path) -> Path:
    """The nearest folder with a ``penstock.yml``, from ``start`` upwards.

    Raises:
        ProjectError: there is none.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder
    raise ProjectError(
        f"no {PROJECT_FILE} here or in any folder above",
        where=str(start),
        fix="penstock init my_project, or name the folder: --project-dir FOLDER",
    )


def load_project(
    directory: Path, *, target: str | None = None, environ: Mapping[str, str] | None = None
) -> Project:
    """Read, fill in and check the project in ``directory``.

    Variables come from ``environ`` (the process's own by default), then from ``.env`` beside the file;
    ``PENSTOCK__…`` variables override the file.

    Raises:
        ProjectError: names file, line and field of everything that is wrong, with what was expected.
    """
    path = directory / PROJECT_FILE
    document = _parse(path)
    dotenv = {k: v for k, v in dotenv_values(directory / ".env", interpolate=False).items() if v is not None}
    variables = {**dotenv, **(os.environ if environ is None else environ)}
    _override(document, variables)
    document.data = _fill(document.data, (), document, variables)
    if target is not None and isinstance(document.data, dict):
        document.data["target"] = target
    if document.problems:
        raise _error(path, document.problems)
    try:
        project = Project.model_validate(document.data)
    except ValidationError as e:
        raise _error(path, list(_explain(e, document))) from None
    problems = list(_cross_check(project, document))
    if problems:
        raise _error(path, problems)
    project._directory = directory.resolve()  # noqa: SLF001 - the model is frozen; this is its one late part
    return project


def _error(path: Path, problems: Sequence[str]) -> ProjectError:
    what = problems[0] if len(problems) == 1 else f"{len(problems)} problems:\n" + "\n".join(f"  {p}" for p in problems)
    return ProjectError(what, where=str(path), fix="docs/configuration.md lists every field")


def _parse(path: Path) -> _Document:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ProjectError("no such file", where=str(path), fix="penstock init my_project") from None
    except (OSError, UnicodeDecodeError) as e:
        raise ProjectError(f"cannot be read: {e}", where=str(path), fix="save it as UTF-8 text") from None
    document = _Document(data=None)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:
            loader = yaml.SafeLoader("")
            document.data = _construct(node, (), document, loader)
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        what = getattr(e, "problem", None) or str(e)
        raise ProjectError(f"{line}no YAML: {what}", where=str(path), fix="indent with spaces, quote odd texts") from None
    if not isinstance(document.data, dict):
        raise ProjectError(
            "the file is empty" if document.data is None else "expected fields and values at the top",
            where=str(path),
            fix="penstock init writes one to start from",
        )
    return document


def _construct(node: yaml.Node, path: Path_, document: _Document, loader: yaml.SafeLoader) -> Any:
    """Like YAML's own, but remembers lines and finds doubled keys."""
    document.lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in found:
                document.problems.append(f"line {key_node.start_mark.line + 1}: {_dotted((*path, key))}: given twice")
            found[key] = _construct(value_node, (*path, key), document, loader)
            document.lines[(*path, key)] = key_node.start_mark.line + 1
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_construct(n, (*path, str(i)), document, loader) for i, n in enumerate(node.value)]
    return loader.construct_object(node)


def _fill(value: Any, path: Path_, document: _Document, variables: Mapping[str, str]) -> Any:
    """Replace ``${VAR}``, ``${VAR:-default}`` and ``$$`` in every text."""
    if isinstance(value, dict):
        return {k: _fill(v, (*path, k), document, variables) for k, v in value.items()}
    if isinstance(value, list):
        return [_fill(v, (*path, str(i)), document, variables) for i, v in enumerate(value)]
    if not isinstance(value, str) or "$" not in value:
        return value

    def replaced(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        name, default = match[1], match[2]
        if variables.get(name):
            return variables[name]
        if default is not None:
            return default
        if name in variables:
            return ""
        document.problems.append(
            f"{_line(document, path)}{_dotted(path)}: variable {name} is not set;"
            f" set it, put it in .env, or give a default: ${{{name}:-default}}"
        )
        return ""

    return _VARIABLE.sub(replaced, value)


def _override(document: _Document, variables: Mapping[str, str]) -> None:
    """Apply ``PENSTOCK__STREAMS__USERS__IDENTITY=…``."""
    for name in sorted(variables):
        if not name.upper().startswith(OVERRIDE):
            continue
        parts = [p.lower() for p in name[len(OVERRIDE) :].split("__")]
        place = document.data
        path: Path_ = ()
        for i, part in enumerate(parts):
            if not isinstance(place, dict):
                document.problems.append(f"environment variable {name}: {_dotted(path)} has no fields")
                break
            key = next((k for k in place if k.lower() == part), part)
            path = (*path, key)
            if i == len(parts) - 1:
                text = variables[name]
                try:
                    place[key] = yaml.safe_load(text) if text else text
                except yaml.YAMLError:
                    place[key] = text
                document.lines.pop(path, None)
            else:
                place = place.setdefault(key, {})


def _explain(error: ValidationError, document: _Document) -> Iterator[str]:
    seen: set[Path_] = set()
    for problem in error.errors(include_url=False, include_context=True):
        path = _known_path(tuple(str(p) for p in problem["loc"]), document.data)
        if path in seen:
            continue
        seen.add(path)
        message = str(problem["msg"]).removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = "no such field" + _nearest(path[-1], _fields_at(path[:-1], document.data))
        elif problem["type"] == "missing":
            message = "is missing"
        elif problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
            tag = str(problem.get("ctx", {}).get("tag", ""))
            expected = str(problem.get("ctx", {}).get("expected_tags", "'duckdb', 'postgres'"))
            message = f"type: expected one of {expected}" + _nearest(tag, re.findall(r"'([^']+)'", expected))
        elif problem["type"] == "literal_error":
            expected = str(problem.get("ctx", {}).get("expected", ""))
            given = _at(path, document.data)
            message = f"expected {expected}" + _nearest(str(given), re.findall(r"'([^']+)'", expected))
        yield f"{_line(document, path)}{_dotted(path)}: {message}"


def _cross_check(project: Project, document: _Document) -> Iterator[str]:
    def at(*path: str) -> str:
        return f"{_line(document, path)}{_dotted(path)}: "

    if project.target is not None and project.target not in project.destinations:
        yield at("target") + f"no destination {project.target!r}" + _nearest(project.target, project.destinations)
    for kind, names in (
        ("destinations", project.destinations),
        ("sources", project.sources),
        ("streams", project.streams),
    ):
        for name in names:
            if not _NAME.fullmatch(name) or name.endswith("__delta"):
                yield at(kind, name) + "a name has lower-case letters, digits and underscores, 48 at most"
    for name, stream in project.streams.items():
        for source in stream.from_:
            if source not in project.sources:
                yield at("streams", name, "from") + f"no source {source!r}" + _nearest(source, project.sources)


def _nearest(name: str, names: Any) -> str:
    found = difflib.get_close_matches(name, list(names), n=1)
    if found:
        return f"; did you mean {found[0]!r}?"
    listed = ", ".join(sorted(map(str, names)))
    return f"; there is {listed}" if listed else ""


def _fields_at(path: Path_, data: Any) -> list[str]:
    """The fields that may stand at ``path``."""
    models: list[type[BaseModel]] = [Project]
    for i, part in enumerate(path):
        step: list[type[BaseModel]] = []
        for model in models:
            info = next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
            if info is not None:
                step.extend(_models_in(info.annotation))
        if not step and i and models:
            step = models
        models = step
    given = _at((*path, "type"), data)
    chosen = [m for m in models if given is None or _takes(m, given)]
    return sorted({f.alias or n for m in chosen or models for n, f in m.model_fields.items()})


def _takes(model: type[BaseModel], tag: Any) -> bool:
    info = model.model_fields.get("type")
    return info is None or tag in getattr(info.annotation, "__args__", ())


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for a in getattr(annotation, "__args__", ()) for m in _models_in(a)]


def _known_path(path: Path_, data: Any) -> Path_:
    """``path`` without the parts that pydantic puts in for unions, which the file does not have."""
    kept: list[str] = []
    place = data
    for i, part in enumerate(path):
        if isinstance(place, dict) and part not in place and i < len(path) - 1 and part in ("duckdb", "postgres", "files"):
            continue
        if part.endswith(("]", ")")) or part in ("TransformOptions", "literal[False]"):
            continue
        kept.append(part)
        if isinstance(place, dict):
            place = place.get(part)
        elif isinstance(place, list) and part.isdigit() and int(part) < len(place):
            place = place[int(part)]
        else:
            place = None
    return tuple(kept)


def _at(path: Path_, data: Any) -> Any:
    for part in path:
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and part.isdigit() and int(part) < len(data):
            data = data[int(part)]
        else:
            return None
    return data


def _line(document: _Document, path: Path_) -> str:
    while path and path not in document.lines:
        path = path[:-1]
    return f"line {document.lines[path]}: " if path else ""


def _dotted(path: Path_) -> str:
    return ".".join(path) or "the file"
