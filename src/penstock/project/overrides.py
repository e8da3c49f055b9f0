"""Settings from variables: ``PENSTOCK__STREAMS__USER_EVENTS__MAX_RECORD_BYTES=1000``.

``__`` stands for a step into a group; upper and lower case, and ``-`` and ``_``, are the same. A variable
sets any setting of a destination, source or stream that the file names; new ones are named in the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from penstock.project.kinds import KindsOfSettings
from penstock.project.nearest import nearest
from penstock.project.settings import ProjectFile
from penstock.project.values import WrongName
from penstock.project.yaml_document import Document, Path, Problem, parse

PREFIX = "PENSTOCK__"


def override(document: Document, variables: Mapping[str, str], place: str) -> None:
    """Set in ``document`` what the ``PENSTOCK__`` variables say; what they get wrong joins its problems."""
    for name in sorted(variables):
        if name.upper().startswith(PREFIX):
            where = f"{name} ({place})"
            path = _path(name[len(PREFIX) :], document, where)
            if path is not None:
                _set(document, path, variables[name], where)


def _path(name: str, document: Document, where: str) -> Path | None:
    """The setting a variable means, step by step through the types and the data."""
    kind: Any = ProjectFile
    data: Any = document.data
    path: tuple[str, ...] = ()
    steps = name.split("__")
    while steps:
        choices = choices_in(kind, data)
        if not choices:
            document.problems.append(
                Problem(where, 0, "", f"`{'.'.join(path)}` is one value; there is nothing inside it to set")
            )
            return None
        taken = next((n for n in range(len(steps), 0, -1) if _same("__".join(steps[:n]), choices)), None)
        if taken is None:
            fix = _suggestion(steps, name, choices)
            document.problems.append(
                Problem(where, 0, "", f"`{'.'.join((*path, '__'.join(steps).lower()))}` is no setting", fix)
            )
            return None
        key = _same("__".join(steps[:taken]), choices)
        assert key is not None
        steps = steps[taken:]
        path = (*path, key)
        kind = choices[key]
        data = data.get(key) if isinstance(data, dict) else None
    return path


def _suggestion(steps: list[str], name: str, choices: Iterable[str]) -> str:
    near = nearest(steps[0], choices)
    if near is None:
        return f"there are {', '.join(sorted(choices))}"
    head = name[: len(name) - len("__".join(steps))]
    rest = "".join(f"__{s}" for s in steps[1:])
    return f"did you mean {PREFIX}{head}{near.upper().replace('-', '_')}{rest}?"


def _same(step: str, choices: Iterable[str]) -> str | None:
    wanted = step.lower().replace("-", "_")
    return next((c for c in choices if c.lower().replace("-", "_") == wanted), None)


def _group(kind: Any, data: Any) -> Any:
    """The model or mapping type that ``kind`` stands for, unions told apart by the data's ``type``."""
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        options = [o for o in get_args(kind) if o is not type(None)]
        type_ = data.get("type") if isinstance(data, dict) else None
        for option in options:
            if isinstance(option, type) and issubclass(option, BaseModel):
                only = get_args(option.model_fields["type"].annotation) if "type" in option.model_fields else ()
                if len(options) == 1 or type_ in only:
                    return option
        return None
    if origin is not None and hasattr(kind, "__metadata__"):
        for kinds in kind.__metadata__:
            if isinstance(kinds, KindsOfSettings):
                type_ = data.get("type") if isinstance(data, dict) else None
                with suppress(WrongName):  # which is told where the settings are read
                    return None if type_ is None else kinds.settings(str(type_))
                return None
        return _group(get_args(kind)[0], data)
    return kind


def choices_in(kind: Any, data: Any) -> dict[str, Any]:
    """The names that can stand in a setting of type ``kind``, each with its type; none when it is one value."""
    group = _group(kind, data)
    if isinstance(group, type) and issubclass(group, BaseModel):
        return {f.alias or name: f.annotation for name, f in group.model_fields.items()}
    if get_origin(group) is tuple and isinstance(data, dict):
        return choices_in(parts_of_list(group), data)
    if get_origin(group) is not None and issubclass(get_origin(group), Mapping) and isinstance(data, dict):
        inner = get_args(group)[1]
        return dict.fromkeys(data, inner)
    return {}


def parts_of_list(kind: Any) -> Any:
    """The type of what stands in a list of type ``kind``, or in the list that may stand for a group of it."""
    group = _group(kind, [])
    if isinstance(group, type) and issubclass(group, BaseModel):
        group = group.model_fields["to"].annotation if "to" in group.model_fields else None
    return get_args(group)[0] if get_origin(group) is tuple else None


def _set(document: Document, path: Path, text: str, where: str) -> None:
    value: Any = text
    if text[:1] in ("[", "{"):
        inner = parse(f"value: {text}", where, {})
        if inner.problems or inner.unset:
            document.problems.append(Problem(where, 0, "", "is neither a plain value nor a YAML list or mapping"))
            return
        value = inner.data["value"]
    data = document.data
    for step in path[:-1]:
        if isinstance(data.get(step), list):
            data[step] = {"to": data[step]}
        elif not isinstance(data.get(step), dict):
            data[step] = {"columns": data[step], "types": data[step]} if isinstance(data.get(step), str) else {}
        data = data[step]
    data[path[-1]] = value
    document.forget(path)
    document.marks[path] = (where, 0)
