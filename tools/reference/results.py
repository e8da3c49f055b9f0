"""Pages of results as data: their tables, row by row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

_FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
_CELLS = re.compile(r"(?<!\\)\|")


def text_of(page: str) -> str:
    """A page of ``benchmarks/``."""
    return (_FOLDER / page).read_text(encoding="utf-8")


def rows_of(page: str, heading: str) -> list[Mapping[str, str]]:
    """The rows of the first table under a heading of ``benchmarks/`` + ``page``, each cell by the head of its column.

    Raises:
        KeyError: the page has no such heading, or no table under it.
    """
    section = re.split(rf"^#+ {re.escape(heading)}$", text_of(page), maxsplit=1, flags=re.MULTILINE)
    if len(section) < 2:
        raise KeyError(f"{page} has no heading {heading!r}")
    lines = list(_first_table(section[1]))
    if not lines:
        raise KeyError(f"{page} has no table under {heading!r}")
    head = _cells(lines[0])
    return [dict(zip(head, _cells(line), strict=True)) for line in lines[2:]]


def found_in(page: str, pattern: str) -> str:
    """What the first group of a pattern matches in ``benchmarks/`` + ``page``.

    Raises:
        KeyError: nothing.
    """
    match = re.search(pattern, text_of(page))
    if match is None:
        raise KeyError(f"{page} has nothing like {pattern!r}")
    return match[1]


def _first_table(section: str) -> Iterator[str]:
    begun = False
    for line in section.splitlines():
        if line.startswith("|"):
            begun = True
            yield line
        elif begun or line.startswith("#"):
            return


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in _CELLS.split(line)[1:-1]]
