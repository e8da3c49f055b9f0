"""The settings of Iceberg tables: what they name has to be there, and nothing that is secret is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.destinations.kinds import kind_of
from penstock.errors import ProjectError
from penstock.project import Project, Spark, load_project

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
    ],
)
def test_what_is_wrong(tmp_path: Path, settings: dict[str, str], what: str) -> None:
    """It is told where the file says it."""
    with pytest.raises(ProjectError) as caught:
        load(tmp_path, **settings)
    assert what in str(caught.value)
    assert "penstock.yml:5" in str(caught.value)
