"""How data is written. Names, types and docstrings here are the reference that users read."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from penstock.project.group import Settings


class Csv(Settings):
    """How CSV files are written."""

    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """One character between fields. By default a tab in `.tsv` files, else a comma."""
    quote: str = Field(default='"', min_length=1, max_length=1)
    """One character around fields that hold a delimiter or a line break; twice inside a field to mean itself."""
    header: bool = True
    """Whether the first row names the columns; else they are `column_1`, `column_2`, …"""
    null_values: Annotated[tuple[str, ...], BeforeValidator(lambda v: [v] if isinstance(v, str) else v)] = ("",)
    """Unquoted texts that mean null."""
