"""How data is written. Names, types and docstrings here are the reference that users read."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from penstock.project.group import Settings


def _one_byte(character: str) -> str:
    if not character.isascii() or character in "\r\n\0":
        raise ValueError("expected a character of ASCII that ends no line")
    return character


_Character = Annotated[str, Field(min_length=1, max_length=1), AfterValidator(_one_byte)]


class Csv(Settings):
    """How CSV files are written."""

    delimiter: _Character | None = None
    """One character between fields. By default a tab in `.tsv` files, else a comma."""
    quote: _Character = '"'
    """One character around fields that hold a delimiter or a line break; twice inside a field to mean itself."""
    header: bool = True
    """Whether the first row names the columns; else they are `column_1`, `column_2`, …"""
    null_values: Annotated[tuple[str, ...], BeforeValidator(lambda v: [v] if isinstance(v, str) else v)] = ("",)
    """Unquoted texts that mean null."""

    @model_validator(mode="after")
    def _tells_them_apart(self) -> Self:
        if (self.delimiter or ",") == self.quote:
            raise ValueError("the delimiter and the quote are the same character")
        return self
