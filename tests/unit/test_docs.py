"""The documentation says what the code does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.shape.schema import name_columns, normal_name

ROOT = Path(__file__).parents[2]
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


@pytest.fixture(scope="module")
def naming() -> str:
    """The page on names."""
    return (ROOT / "docs" / "naming.md").read_text(encoding="utf-8")


def test_names(naming: str) -> None:
    """Each example of a name is what the code makes of it."""
    rows = [(codes(field)[0], codes(column)[0]) for field, column in rows_under(naming, "## Examples")]
    assert len(rows) > 20
    assert [(field, normal_name(field)) for field, _ in rows] == rows
    assert normal_name("") in naming


def test_names_that_meet(naming: str) -> None:
    """So is each example of names that meet."""
    rows = list(rows_under(naming, "## When two fields meet"))
    assert rows
    for fields, columns in rows:
        named = name_columns(codes(fields), ())
        assert [named[f] for f in codes(fields)] == codes(columns)
    assert name_columns(["name"], ["name"])["name"] in naming
