"""The tutorial and the how-to guides, followed to the letter: files made, commands run, output compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.documents import DOCS, Reader, agrees, free_port, libpq_environment


@pytest.mark.slow
def test_tutorial(tmp_path: Path) -> None:
    """From an empty folder to a chart that follows what lands."""
    home = tmp_path / "home"
    home.mkdir()
    with Reader(home) as reader:
        reader.follow(DOCS / "tutorial.md")
    report = (home / "shop" / "report.html").read_text(encoding="utf-8")
    assert report.count("<svg") >= 3, "two charts and the lineage"


@pytest.mark.parametrize(
    "guide",
    [
        pytest.param("backfill", marks=pytest.mark.slow),
        "change-a-contract",
        "fix-and-replay-quarantine",
    ],
)
def test_guide(tmp_path: Path, guide: str) -> None:
    """What a guide says to do does what it says."""
    _follow(tmp_path, guide)


def test_guide_to_a_source(tmp_path: Path) -> None:
    """An API is added, with the sample on a port that is free."""
    _follow(tmp_path, "add-a-source", instead={"8000": str(free_port())})


@pytest.mark.slow
def test_guide_to_postgresql(tmp_path: Path, postgres_url: str) -> None:
    """The same project on a server holds the same tables. The environment says where it is, and wins over ``.env``."""
    _follow(tmp_path, "from-duckdb-to-postgresql", environment=libpq_environment(postgres_url))


def test_every_guide_is_followed_or_needs_another_platform() -> None:
    """A new guide is followed by a test: by one of its own, or where Airflow, Metabase, Spark, a package or a wrong
    model is needed."""
    guides = {page.stem for page in (DOCS / "how-to").glob("*.md")}
    followed = {
        "add-a-source",
        "backfill",
        "change-a-contract",
        "fix-and-replay-quarantine",
        "from-duckdb-to-postgresql",
    }
    assert guides == followed | {"airflow", "from-postgresql-to-spark", "metabase", "verify-models", "write-a-source"}


def _follow(
    folder: Path, guide: str, *, instead: dict[str, str] | None = None, environment: dict[str, str] | None = None
) -> None:
    home = folder / "home"
    home.mkdir()
    with Reader(home, environment) as reader:
        reader.follow(DOCS / "how-to" / f"{guide}.md", instead)


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
