"""Parameters of a request, with names in braces that a value takes the place of: ``updated_since={cursor}``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import parse_qsl

from pydantic import AfterValidator, BeforeValidator

from penstock.jsonpath import parse_path
from penstock.project.values import Frozen

_PLACE = re.compile(r"\{([^{}]*)\}")


def _checked_path(text: str) -> str:
    parse_path(text)
    return text


def _parameters(value: Any) -> Any:
    """Parameters, also written as ``from={from}&to={to}``."""
    if not isinstance(value, str):
        return value
    pairs = parse_qsl(value, keep_blank_values=True)
    if not pairs or "=" not in value:
        raise ValueError("expected parameters such as updated_since={cursor}")
    return dict(pairs)


def places_in(value: Any) -> list[str]:
    """The names in braces in a text, or in the texts of a list or a mapping."""
    if isinstance(value, str):
        return _PLACE.findall(value)
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [name for one in inner for name in places_in(one)]


JsonPath = Annotated[str, AfterValidator(_checked_path)]
Scalar = bool | int | float | str
Parameters = Annotated[Mapping[str, Scalar | tuple[Scalar, ...]], BeforeValidator(_parameters), Frozen]
Templates = Annotated[Mapping[str, str], BeforeValidator(_parameters), Frozen]


def only_places(params: Mapping[str, str], allowed: set[str], needed: set[str], example: str) -> None:
    """Expect the needed names in the parameters, and none but those allowed.

    Raises:
        ValueError: one is missing, or stands for nothing.
    """
    named = places_in(params)
    if missing := needed - set(named):
        raise ValueError(f"params: names no {{{missing.pop()}}}: expected such as {example}")
    if unknown := [n for n in named if n not in allowed]:
        raise ValueError(f"params: {{{unknown[0]}}} stands for nothing: expected such as {example}")
