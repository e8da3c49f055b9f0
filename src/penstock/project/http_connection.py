"""How an HTTP API is reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from penstock.project.group import Settings, none
from penstock.project.values import Frozen


class HttpConnection(Settings):
    """How an HTTP API is reached."""

    base_url: str = Field(pattern=r"^https?://")
    """The address that paths start from."""
    headers: Annotated[Mapping[str, str], Frozen] = Field(default_factory=none)
    """Headers of every request."""
    params: Annotated[Mapping[str, str], Frozen] = Field(default_factory=none)
    """Parameters of every request."""
