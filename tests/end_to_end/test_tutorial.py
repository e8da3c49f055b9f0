"""The tutorial and the how-to guides, followed to the letter: files made, commands run, output compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.documents import DOCS, Reader, agrees


def test_tutorial(tmp_path: Path) -> None:
    """From an empty folder to a chart that follows what lands."""
    home = tmp_path / "home"
    home.mkdir()
    with Reader(home) as reader:
        reader.follow(DOCS / "tutorial.md")
    report = (home / "shop" / "report.html").read_text(encoding="utf-8")
    assert report.count("<svg") >= 3, "two charts and the lineage"


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        (["orders: 4 read (0.4 s, 9 rows/s)"], "orders: 4 read (12.0 s, 1,400 rows/s)\n", True),
        (["orders: 4 read"], "orders: 5 read\n", False),
        (["first", "…", "last"], "first\nbetween\nlast\n", True),
        (["first", "last"], "first\nbetween\nlast\n", False),
        (["", " a    b", " ──────"], " a      b\n ────────\n\n", True),
        (["at …/report.html"], "at /tmp/report.html\n", True),
    ],
)
def test_what_a_page_shows_is_compared(shown: list[str], printed: str, same: bool) -> None:
    """Numbers count, durations and widths do not."""
    assert agrees(shown, printed) is same
