"""What all groups of settings share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr


class Settings(BaseModel):
    """A group of settings: frozen, no unknown names, no input echoed in errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        coerce_numbers_to_str=True,
        hide_input_in_errors=True,
        defer_build=True,
    )


def from_url(data: Any, parts: set[str], read: Callable[[str], dict[str, Any]]) -> Any:
    """Settings in which ``url`` may stand for all of ``parts``: what ``read`` makes of it, and the others as they are.

    Raises:
        ValueError: there is a url, and one of the parts too.
    """
    if not isinstance(data, dict) or data.get("url") is None:
        return data
    url = data["url"].get_secret_value() if isinstance(data["url"], SecretStr) else str(data["url"])
    both = sorted(set(data) & parts)
    if both:
        raise ValueError(f"url says all of the connection; leave out {', '.join(both)}")
    return {**read(url), **{k: v for k, v in data.items() if k != "url"}}


def none() -> Mapping[str, Any]:
    """No settings: the default of a mapping."""
    return MappingProxyType({})
