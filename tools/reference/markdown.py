"""Pieces of Markdown that the pages are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

MADE = "<!-- Made from {source} by `make reference`; a test keeps it so. -->"

_OPTION = re.compile(r"(?<![`\w-])(--[a-z][a-z-]+)(?![`\w])")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table's lines."""
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(cell(text) for text in row)} |".replace("|  |", "| |").replace("|  |", "| |")


def cell(text: str) -> str:
    """Text on one line, with nothing that would end a cell."""
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))


def code(text: str) -> str:
    """Text in backticks, also when it has some."""
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"


def plain(text: str) -> str:
    """Words that were written for a terminal: options and masks as code, nothing taken for Markdown."""
    text = _OPTION.sub(r"`\1`", text).replace("*****", "`*****`")
    return text.replace("<", "&lt;") if "`" not in text else text


def from_rst(text: str) -> str:
    """A docstring's roles and double backticks as Markdown's code."""
    text = re.sub(r":(?:func|class|meth|mod|data|attr):`~?([^`]*)`", r"`\1`", text)
    return text.replace("``", "`")
