"""What all groups of settings share."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A group of settings: frozen, no unknown names, no input echoed in errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        coerce_numbers_to_str=True,
        hide_input_in_errors=True,
    )


def none() -> Mapping[str, Any]:
    """No settings: the default of a mapping."""
    return MappingProxyType({})
