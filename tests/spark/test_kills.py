"""Killed anywhere before the ledger's commit, nothing of a load can be seen; the next one completes the table."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.destinations.spark.destination import SparkDestination
from penstock.project import load_project
from tests.support import commands
from tests.support.warehouse import ledger, table

PROJECT = """
name: killed
target: lake
destinations:
  lake: {{ type: spark, ledger: books, warehouse: lake }}
  books: {{ type: postgres, url: "{url}" }}
sources: {{ files: {{ type: files, path: "data/**" }} }}
streams:
  s: {{ from: files, {rules} }}
"""
RULES = {
    "append": "identity: content, event_time: at",
    "merge": "identity: [id], disposition: merge, version: v",
    "replace": "identity: [id], disposition: replace",
}
FIRST = b'{"id": 1, "v": 1, "at": "2026-01-01"}\n{"id": 2, "v": 1, "at": "2026-01-02"}\n{"id": 5, "v": 1}\n'
SECOND = b'{"id": 1, "v": 2, "at": "2026-01-03"}\n{"id": 3, "v": 1, "at": "2026-01-02", "new": {"x": 1}}\nno\n'
BEFORE = ["before_stage", "after_stage", "files_written", "before_commit", "rows_committed"]


@pytest.fixture(params=list(RULES))
def project(request: pytest.FixtureRequest, prepared_postgres_url: str, tmp_path: Path) -> Path:
    """A project that lands into Iceberg tables, with a load behind it and more to come."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "1.ndjson").write_bytes(FIRST)
    text = PROJECT.format(url=prepared_postgres_url, rules=RULES[request.param])
    (tmp_path / "penstock.yml").write_text(text)
    assert load(tmp_path) == 0
    (tmp_path / "data" / "2.ndjson").write_bytes(SECOND)
    return tmp_path


def load(project: Path, fault: str = "") -> int:
    """Run a load; how it ended."""
    return commands.Started(project, "load", "--quiet", environ={"PENSTOCK_FAULT": fault}).wait(120)


@pytest.fixture
def lake(project: Path) -> Iterator[SparkDestination]:
    """The project's warehouse."""
    settings: Any = load_project(project).destination
    opened = SparkDestination(settings)
    yield opened
    opened.close()


def test_killed_before_the_commit(project: Path, lake: SparkDestination) -> None:
    """Wherever it was: table, catalog and ledger are as before, and files that nobody names are all that is left."""
    rows, books = table(lake, "s"), ledger(lake, "s")
    current = lake.catalog.load_table("raw.s").metadata_location
    for step in BEFORE:
        assert load(project, f"{step}:kill") == -signal.SIGKILL, step
        assert lake.catalog.load_table("raw.s").metadata_location == current, step
        assert (table(lake, "s"), ledger(lake, "s")) == (rows, books), step
        assert lake.ledger.query("select count(*) from penstock.positions where key like '%2.ndjson'").rows == [(0,)]
    assert load(project) == 0
    after = table(lake, "s")
    assert len(after) == {"append": 5, "merge": 4, "replace": 4}[_disposition(lake)]
    assert len({row["_pen_id"] for row in after}) == len(after)
    assert load(project) == 0
    assert table(lake, "s") == after


def test_killed_after_the_commit(project: Path, lake: SparkDestination) -> None:
    """All of it is there, and the next load has nothing to do."""
    assert load(project, "after_commit:kill") == -signal.SIGKILL
    rows, books = table(lake, "s"), ledger(lake, "s")
    assert len(books) == 2
    assert load(project) == 0
    assert (table(lake, "s"), ledger(lake, "s")) == (rows, books)


def _disposition(lake: SparkDestination) -> str:
    return str(lake.ledger.query("select disposition from penstock.streams").rows[0][0])
