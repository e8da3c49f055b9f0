"""What is wrong with a project file, in its own words: each setting with its line, what was expected, and the fix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from penstock.errors import ProjectError, redact
from penstock.project.nearest import nearest
from penstock.project.overrides import choices_in, parts_of_list
from penstock.project.settings import ProjectFile
from penstock.project.values import WrongName
from penstock.project.yaml_document import Document, Problem
from penstock.project.yaml_document import Path as SettingPath

_WORDS = {
    "name": "small letters, digits and _, a letter first",
    "memory_limit": "a size such as 2GB",
    "model_type": "settings as `name: value`",
    "mapping_type": "settings as `name: value`",
    "dict_type": "settings as `name: value`",
    "too_short": "at least one",
    "tuple_type": "a list",
}


def problems_of(error: ValidationError, document: Document) -> Iterator[Problem]:
    """What pydantic found wrong, each at its line and in the words of the project file."""
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
            if isinstance(wrong, WrongName):
                yield document.problem((*path, wrong.name), str(wrong), wrong.fix)
            else:
                yield document.problem(path, str(wrong))
        else:
            message = detail["msg"].removeprefix("Input should be ").partition(", unable")[0]
            message = _WORDS.get(str(path[-1]) if kind == "string_pattern_mismatch" else kind, message)
            shown = f", not {data!r}" if isinstance(data, str | int | float) and not _is_secret(path) else ""
            yield document.problem(path, f"expected {_decapitalised(message)}{shown}")


def _choice(document: Document, path: SettingPath, value: Any, expected: list[str]) -> Problem:
    near = nearest(str(value), expected)
    return document.problem(
        path, f"expected {_either(expected)}, not {value!r}", f"did you mean {near}?" if near else ""
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


def raise_problems(problems: list[Problem], path: Path) -> NoReturn:
    """Raise all that is wrong as one error; ``path`` is the project file.

    Raises:
        ProjectError: always.
    """
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
    return f"{path}:{problem.line}" if problem.place == path.name else problem.where
