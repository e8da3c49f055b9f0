"""Settings per environment: ``penstock.<name>.yml`` over ``penstock.yml``."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import ProjectError
from penstock.project import Postgres, load_project
from penstock.transform.workspace import project_fingerprint

BASE = """
name: rides
destinations:
  warehouse: {type: duckdb, path: warehouse.duckdb, threads: 2}
sources:
  drop: {type: files, path: data}
streams:
  rides: {from: drop, columns: {id: bigint, at: timestamp}}
load: {batch_bytes: 1MB}
"""
PRODUCTION = """
destinations:
  warehouse: {type: postgres, host: db.example, password: "${DB_PASSWORD}"}
streams:
  rides: {columns: {at: timestamptz}}
load: {commit_bytes: 9MB}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with an environment."""
    (tmp_path / "penstock.yml").write_text(BASE)
    (tmp_path / "penstock.production.yml").write_text(PRODUCTION)
    return tmp_path


def test_without_a_name_the_file_holds_alone(folder: Path) -> None:
    """So it does with an empty one; a secret of another environment is not asked for."""
    for environ in ({}, {"PENSTOCK_ENV": ""}):
        project = load_project(folder, environ=environ)
        assert project.destination.type == "duckdb"
        assert project.load.commit_bytes is None


def test_an_environment_says_what_is_different(folder: Path) -> None:
    """Groups are merged, single values replaced, and a group of another type replaced whole; variables win."""
    environ = {"PENSTOCK_ENV": "production", "DB_PASSWORD": "x", "PENSTOCK__DESTINATIONS__WAREHOUSE__PORT": "5433"}
    project = load_project(folder, environ=environ)
    destination = project.destination
    assert isinstance(destination, Postgres)
    assert (destination.host, destination.port) == ("db.example", 5433)
    assert {k: str(v) for k, v in project.streams["rides"].columns.items()} == {"id": "bigint", "at": "timestamptz"}
    assert (project.load.batch_bytes, project.load.commit_bytes) == (1_000_000, 9_000_000)
    (folder / ".env").write_text("PENSTOCK_ENV=production\nDB_PASSWORD=y\n")
    assert load_project(folder, environ={}).destination.type == "postgres"
    assert load_project(folder, environ={"PENSTOCK_ENV": ""}).destination.type == "duckdb"


def test_models_do_not_change_with_settings(folder: Path) -> None:
    """An environment's file is no part of what dbt reads."""
    project = load_project(folder, environ={})
    before = project_fingerprint(project)
    (folder / "penstock.production.yml").write_text(PRODUCTION + "up: {port: 9000}\n")
    assert project_fingerprint(project) == before


def test_models_change_with_packages(folder: Path) -> None:
    """With a file of one that people have beside the project, and with the versions that dbt has locked; Penstock's own
    package among those is no change."""
    project = load_project(folder, environ={})
    own = "packages:\n  - local: .penstock/package\n    name: penstock\n"
    before = project_fingerprint(project)
    (folder / "package-lock.yml").write_text(own + "sha1_hash: a1\n")
    assert project_fingerprint(project) == before
    prints = [before]
    (folder / "package-lock.yml").write_text(own + "  - package: dbt-labs/dbt_utils\n    version: 1.3.0\n")
    prints.append(project_fingerprint(project))
    macros = folder / "ours" / "macros"
    macros.mkdir(parents=True)
    (folder / "ours" / "dbt_project.yml").write_text("name: ours\n")
    (folder / "packages.yml").write_text("packages:\n  - local: ours\n")
    prints.append(project_fingerprint(project))
    for text in ("one", "two"):
        (macros / "ours.sql").write_text(text)
        prints.append(project_fingerprint(project))
    assert len(set(prints)) == len(prints)


@pytest.mark.parametrize(
    ("environ", "said", "fix"),
    [
        ({"PENSTOCK_ENV": "prodution"}, "there is no penstock.prodution.yml", "did you mean production?"),
        ({"PENSTOCK_ENV": "moon"}, "there is no penstock.moon.yml", "there are production"),
        ({"PENSTOCK_ENV": "../x"}, "there is no", "there are production"),
        ({"PENSTOCK_ENV": "production"}, "penstock.production.yml:3: `destinations.warehouse.password`", "DB_PASSWORD"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(folder: Path, environ: dict[str, str], said: str, fix: str) -> None:
    """An environment that is not there, and a mistake in its file."""
    with pytest.raises(ProjectError) as caught:
        load_project(folder, environ=environ)
    assert said in str(caught.value)
    assert fix in caught.value.fix


def test_mistakes_in_both_files(folder: Path) -> None:
    """Each is named with its own file and line."""
    (folder / "penstock.yml").write_text(BASE + "nmae: x\n")
    (folder / "penstock.production.yml").write_text("load:\n  batch: 1\n")
    with pytest.raises(ProjectError) as caught:
        load_project(folder, environ={"PENSTOCK_ENV": "production"})
    assert "penstock.yml:10: `nmae`" in str(caught.value)
    assert "penstock.production.yml:2: `load.batch`" in str(caught.value)
