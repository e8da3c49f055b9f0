"""What stands on pages of the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator

_CODE = re.compile(r"`([^`]*)`")


def rows_under(page: str, heading: str) -> Iterator[list[str]]:
    """The cells of the tables under a heading of a page, without their header rows."""
    section = page.split(f"\n{heading}\n")[1].split("\n## ")[0]
    body = False
    for line in section.splitlines():
        if not line.startswith("|"):
            body = False
        elif set(line) <= set("|-: "):
            body = True
        elif body:
            yield [cell.strip() for cell in line.strip("|").split("|")]


def codes(cell: str) -> list[str]:
    """The texts in backticks."""
    return _CODE.findall(cell)
