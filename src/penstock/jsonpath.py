"""Where something stands in a JSON document: ``results``, ``data.items``, ``$.data[*].items``, ``["a.b"]``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

Step = str | int | None
"""A key, a place in a list, or None for every element of a list."""

_STEP = re.compile(
    r"""\.?(?P<key>[^.\[\]"'\s][^.\[\]]*)
    | \[(?P<all>\*)\] | \[(?P<place>\d+)\] | \[(?P<q>["'])(?P<quoted>.*?)(?P=q)\]""",
    re.VERBOSE,
)

POINTER_SQL = "'/' || replace(replace(x, '~', '~0'), '/', '~1')"
"""SQL of the JSON pointer of the field that the column ``x`` names."""


def parse_path(text: str) -> tuple[Step, ...]:
    """The steps of a path; none for ``$``, the whole document.

    Raises:
        ValueError: it is no path.
    """
    rest = text.strip()
    rest = rest[1:] if rest.startswith("$") else rest
    steps: list[Step] = []
    at = 0
    while at < len(rest):
        match = _STEP.match(rest, at)
        if match is None or (at == 0 and text.startswith("$") and rest[0] not in ".["):
            raise ValueError(f"{text!r} is no path: expected such as results, data.items or $.data[*].items")
        if match["all"]:
            steps.append(None)
        elif match["place"]:
            steps.append(int(match["place"]))
        else:
            steps.append(match["key"] if match["quoted"] is None else match["quoted"])
        at = match.end()
    if not text.strip():
        raise ValueError("expected a path such as results, data.items or $.data[*].items; $ is the whole answer")
    return tuple(steps)


def pointer(path: Sequence[Step]) -> str:
    """The JSON pointer (RFC 6901) of a value; unlike a ``$.`` path it works for every name.

    DuckDB's JSON functions take it; :data:`POINTER_SQL` is the same of one name.
    """
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def values_at(value: Any, path: Sequence[Step]) -> Iterator[Any]:
    """What stands at ``path`` in a parsed document."""
    if not path:
        yield value
    elif path[0] is None:
        for element in value if isinstance(value, list) else ():
            yield from values_at(element, path[1:])
    elif isinstance(path[0], int):
        if isinstance(value, list) and path[0] < len(value):
            yield from values_at(value[path[0]], path[1:])
    elif isinstance(value, dict) and path[0] in value:
        yield from values_at(value[path[0]], path[1:])


def value_at(value: Any, path: Sequence[Step]) -> Any:
    """The first value at ``path``; None when there is none."""
    return next(values_at(value, path), None)
