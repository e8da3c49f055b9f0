"""New projects from templates."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from penstock.cli.app import app
from penstock.editor import COPY, keep_schema
from penstock.errors import UsageError
from penstock.project import load_project
from penstock.scaffold import RESIDUE, create_project, project_name, templates
from tools.reference.configuration import project_schema

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("template", ["minimal", "car_subscriptions", "random_users", "user_events"])
def test_a_new_project_loads(tmp_path: Path, template: str) -> None:
    """A project from a template loads as it is, under the folder's name, with its data and a .gitignore."""
    made = create_project(tmp_path / "My Project", template)
    found = load_project(tmp_path / "My Project", environ={})
    assert found.name == "my_project"
    assert found.destination.type == "duckdb"
    names = {p.relative_to(tmp_path / "My Project").as_posix() for p in made}
    assert {"penstock.yml", "README.md", ".gitignore"} <= names
    assert any(n.startswith("data/") for n in names) == (template in ("minimal", "user_events"))
    assert all(p.is_file() for p in made)


@pytest.mark.parametrize("template", ["minimal", pytest.param("user_events", marks=pytest.mark.slow)])
def test_the_schema_is_for_editors(tmp_path: Path, template: str) -> None:
    """The first line of a new project's file names a schema that is there, as this version has it, and that the
    project does not hold: git ignores it, and after a clone or an upgrade commands write it."""
    project = tmp_path / "p"
    written = create_project(project, template)
    head = (project / "penstock.yml").read_text().splitlines()[0]
    assert head == f"# yaml-language-server: $schema={COPY}"
    copy = project / COPY
    assert json.loads(copy.read_text()) == project_schema()
    assert copy not in written
    assert ".penstock/" in (project / ".gitignore").read_text().split()
    for old in ("{}", None):
        copy.unlink() if old is None else copy.write_text(old)
        assert CliRunner().invoke(app, ["explain", "--project-dir", str(project)]).exit_code == 0
        assert json.loads(copy.read_text()) == project_schema()
    assert [path.name for path in copy.parent.glob("schema*")] == ["schema.json"]


def test_no_schema_where_none_is_named(tmp_path: Path) -> None:
    """A project file that names another schema, or a folder that cannot be written, is left as it is."""
    (tmp_path / "penstock.yml").write_text("name: p\n")
    keep_schema(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["penstock.yml"]
    (tmp_path / "penstock.yml").write_text(f"# $schema={COPY}\n")
    (tmp_path / ".penstock").write_text("a file")
    keep_schema(tmp_path)
    assert (tmp_path / ".penstock").read_text() == "a file"


def test_the_example_is_the_template() -> None:
    """In a source tree the templates ``user_events`` and ``car_subscriptions`` are the examples themselves."""
    for name in ("user_events", "car_subscriptions"):
        assert templates()[name] == ROOT / "examples" / name


def test_all_but_the_project_file_is_copied_as_it_is(tmp_path: Path) -> None:
    """Only the project's name is changed, in penstock.yml and the DAG files, and where the schema is."""
    create_project(tmp_path / "p", "user_events", name="other")
    source = ROOT / "examples" / "user_events"
    for path in (tmp_path / "p").rglob("*"):
        if path.is_file() and path.name not in ("penstock.yml", "schema.json"):
            original = (source / path.relative_to(tmp_path / "p")).read_bytes()
            if path.parent.name == "dags":
                assert b'NAME = "user_events"\n' in original
                original = original.replace(b'NAME = "user_events"\n', b'NAME = "other"\n')
            assert path.read_bytes() == original
    assert "name: other\n" in (tmp_path / "p" / "penstock.yml").read_text()


def test_what_running_leaves_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Warehouses, logs, secrets and caches in a template's folder stay there."""
    template = tmp_path / "examples" / "used"
    for name in (".penstock", "target", "logs", "dbt_packages", "models/__pycache__"):
        (template / name).mkdir(parents=True)
        (template / name / "file").write_text("x")
    for name in ("warehouse.duckdb", "warehouse.duckdb.wal", ".env", ".user.yml", "models/m.sql", ".env.example"):
        (template / name).write_text("x")
    (template / "penstock.yml").write_text("name: used\n")
    monkeypatch.setattr("penstock.scaffold._EXAMPLES", tmp_path / "examples")
    made = create_project(tmp_path / "p", "used")
    names = {p.relative_to(tmp_path / "p").as_posix() for p in made}
    assert names == {".env.example", "models/m.sql", "penstock.yml"}
    assert ".env" in RESIDUE


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    """Nothing is written over without ``force``; with it, other files stay."""
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(UsageError, match="--force"):
        create_project(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"notes.txt", "README.md"}
    create_project(tmp_path, force=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "README.md").read_text() != "mine"


def test_an_empty_folder_is_fine(tmp_path: Path) -> None:
    """A folder that is there and empty is used."""
    (tmp_path / "p").mkdir()
    assert create_project(tmp_path / "p")


def test_a_file_in_the_way(tmp_path: Path) -> None:
    """A file where the folder should be is told, with and without force."""
    (tmp_path / "p").write_text("")
    for force in (False, True):
        with pytest.raises(UsageError, match="is a file"):
            create_project(tmp_path / "p", force=force)
    with pytest.raises(UsageError, match="cannot be written"):
        create_project(tmp_path / "p" / "q")


def test_an_unknown_template_names_the_nearest(tmp_path: Path) -> None:
    """A template that does not exist is told with the one that was probably meant."""
    with pytest.raises(UsageError, match="did you mean user_events"):
        create_project(tmp_path / "p", "user_event")
    with pytest.raises(UsageError, match="there are car_subscriptions, minimal, random_users, user_events"):
        create_project(tmp_path / "p", "zzz")
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    ("folder", "name"),
    [("My Project", "my_project"), ("2024-data", "project_2024_data"), ("---", "project"), ("Ä", "project")],
)
def test_names_come_from_folders(folder: str, name: str) -> None:
    """Any folder's name gives a name that a project can have."""
    assert project_name(folder) == name


def test_a_wrong_name_is_refused(tmp_path: Path) -> None:
    """A name that a project cannot have is refused with one that it can."""
    with pytest.raises(UsageError, match="my_project"):
        create_project(tmp_path / "p", name="My Project")


def test_a_folder_above_that_is_missing_is_made(tmp_path: Path) -> None:
    """Folders on the way are made, relative paths are taken from the current folder."""
    os.chdir(tmp_path)
    create_project(Path("a/b/c"))
    assert load_project(tmp_path / "a" / "b" / "c", environ={}).name == "c"


def test_the_sample_holds_what_its_readme_says() -> None:
    """59 events, one of them twice, one cut off and one late, about the organisations that are there."""
    data = ROOT / "examples" / "user_events" / "data"
    lines = [(p.name, line) for p in sorted(data.glob("user_events/*.ndjson")) for line in p.read_text().splitlines()]
    whole, broken = [], []
    for number, (name, line) in enumerate(lines):
        try:
            whole.append(json.loads(line))
        except json.JSONDecodeError:
            broken.append((name, number - [n for n, _ in lines].index(name) + 1))
    weekend = json.loads((data / "user_events" / "2025-03-08.json").read_text())
    events = whole + weekend
    assert (len(lines) + len(weekend), len(events)) == (59, 58)
    assert broken == [("2025-03-05.ndjson", 15)]
    assert len({json.dumps(e) for e in events}) == 57
    assert weekend[2]["received_at"] < max(e["received_at"] for e in whole)
    organizations = json.loads((data / "organizations" / "organizations.json").read_text())
    assert {e["organization_name"] for e in events} - {""} == {o["organization_name"] for o in organizations}
