"""The settings of Iceberg tables: what they name has to be there, and nothing that is secret is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from penstock.alerts.notices import Problem
from penstock.alerts.subjects import vanished
from penstock.destinations.kinds import kind_of
from penstock.errors import ProjectError
from penstock.project import Project, Spark, load_project
from penstock.up.parts import plan_up

PROJECT = """
name: p
target: lake
destinations:
  lake: { type: spark, ledger: LEDGER, warehouse: WAREHOUSE, MORE }
  books: { type: postgres, url: "${BOOKS}" }
  other: { type: postgres, url: "${NOT_SET}" }
  local: { type: duckdb, path: w.duckdb }
sources: { files: { type: files, path: data } }
streams: { s: { from: files } }
"""
NOW = datetime(2026, 1, 1, tzinfo=UTC)
BOOKS = "postgresql://user:secret@db.example:5433/books"


def load(folder: Path, ledger: str = "books", warehouse: str = "tables", more: str = "") -> Project:
    text = PROJECT.replace("LEDGER", ledger).replace("WAREHOUSE", warehouse).replace("MORE", more)
    (folder / "penstock.yml").write_text(text)
    return load_project(folder, environ={"BOOKS": BOOKS})


def test_the_ledger_is_another_destination(tmp_path: Path) -> None:
    """Its settings come with those that name it, also where a target's variables are all that is set."""
    settings = load(tmp_path).destination
    assert isinstance(settings, Spark)
    assert settings.ledger_settings.address == "db.example:5433/books"
    assert settings.location == (tmp_path / "tables").as_uri()
    assert settings.catalog.in_ledger
    assert kind_of(settings).namespace(settings) == (settings.location, "penstock")
    assert "tables with db.example" in settings.address


def test_a_store(tmp_path: Path) -> None:
    """An address of a store stays as it is; what reaches it is never shown."""
    more = 'store: {s3.endpoint: "http://s", s3.secret-access-key: hidden}, catalog: {type: rest, uri: "http://c"}'
    project = load(tmp_path, warehouse='"s3://bucket/path"', more=more)
    assert isinstance(project.destination, Spark)
    assert project.destination.location == "s3://bucket/path"
    assert not project.destination.catalog.in_ledger
    assert "hidden" not in str(project.masked()) and "hidden" not in repr(project.destination)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"ledger": "book"}, "did you mean books?"),
        ({"ledger": "local"}, "is no PostgreSQL database, which the ledger needs"),
        ({"ledger": "lake"}, "is no PostgreSQL database, which the ledger needs"),
        ({"warehouse": '"ftp://x"'}, "no store is known under ftp://"),
        ({"more": "catalog: rest"}, "a rest catalog needs its uri"),
        ({"more": 'catalog: {uri: "http://c"}'}, "leave uri out"),
        ({"more": "spark: {remote: host}"}, "spark.remote"),
        ({"more": "tidy: {schedule: hourly}"}, "`destinations.lake.tidy.schedule`: expected cron's five fields"),
        ({"more": "tidy: {schedule: {every: 1h, missed: all}}"}, "expected once or skip"),
        ({"more": "tidy: {schedule: {timezone: UTC}}"}, "expected cron: or every:, one of them"),
        ({"more": "tidy: {schedule: {every: 1h, lookback: 1d}}"}, "tidy.schedule.lookback`: is no setting"),
        ({"more": "tidy: {every: 1h}"}, "tidy.every`: is no setting"),
    ],
)
def test_what_is_wrong(tmp_path: Path, settings: dict[str, str], what: str) -> None:
    """It is told where the file says it."""
    with pytest.raises(ProjectError) as caught:
        load(tmp_path, **settings)
    assert what in str(caught.value)
    assert "penstock.yml:5" in str(caught.value)


@pytest.mark.parametrize(
    ("more", "when"),
    [
        ("", "@daily UTC"),
        ("tidy: {max_snapshot_age: 1d}", "@daily UTC"),
        ("tidy: {schedule: every 6h}", "every 6h"),
        ('tidy: {schedule: {cron: "0 3 * * *", timezone: Europe/Berlin, retries: 2}}', "0 3 * * * Europe/Berlin"),
        ("tidy: {schedule: false}", None),
    ],
)
def test_tables_are_looked_after(tmp_path: Path, more: str, when: str | None) -> None:
    """Each day unless told otherwise, by a part of ``penstock up`` of its own, which is one that alerts can be about;
    where it is switched off there is none."""
    project = load(tmp_path, more=more)
    clock = project.destination.tidied
    assert (None if clock is None else clock.words) == when
    parts = {part.name: part.as_dict() for part in plan_up(project)}
    if when is None:
        assert "schedule tidy" not in parts
    else:
        assert parts["schedule tidy"]["kind"] == "tidy" and parts["schedule tidy"]["schedule"] == when
        assert when in parts["schedule tidy"]["what"]
    open_ = Problem(
        alert="schedule_failed",
        subject="schedule tidy",
        first_failed_at=NOW,
        last_failed_at=NOW,
        updated_at=NOW,
    )
    assert [seen.subject for seen in vanished(project, [open_])] == ([] if when else ["schedule tidy"])


def test_other_warehouses_have_nothing_to_look_after(tmp_path: Path) -> None:
    """A word about it there is an error that says so, at its line."""
    text = PROJECT.replace("path: w.duckdb", "path: w.duckdb, tidy: {schedule: every 1h}")
    text = text.replace("LEDGER", "books").replace("WAREHOUSE", "w").replace("MORE", "")
    (tmp_path / "penstock.yml").write_text(text)
    with pytest.raises(ProjectError) as caught:
        load_project(tmp_path, environ={"BOOKS": BOOKS})
    assert caught.value.what == "`destinations.local.tidy`: such a warehouse has no files and snapshots to look after"
    assert caught.value.where.endswith("penstock.yml:8")
    assert caught.value.fix == "leave it out: it frees space by itself"
