"""``dbt`` itself, called by hand in a project: its packages, its profile, and what Penstock makes of it afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.project import load_project
from penstock.transform.plain_dbt import PACKAGE, link_package, write_profile
from penstock.transform.workspace import package_folder, prepare_workspace, project_fingerprint
from tests.support import commands
from tests.support.fixtures import EMBEDDED
from tests.support.modelled import a_modelled_project

ENTRY = f"- local: {PACKAGE}"


def run(folder: Path, *words: str, environ: dict[str, str] | None = None) -> str:
    """A command of Penstock's or of dbt's; gives what it printed."""
    if words[0] == "penstock":
        done = commands.penstock(folder, *words[1:], environ=environ)
    else:
        command = [str(Path(sys.executable).parent / words[0]), *words[1:]]
        own = {k: v for k, v in os.environ.items() if not k.startswith(("DBT_", "PG"))}
        done = subprocess.run(
            command,
            cwd=folder,
            env={**own, **(environ or {})},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(600)  # eight processes, each of which imports dbt
@pytest.mark.slow
@pytest.mark.parametrize("target", ["local", "production"])
def test_a_new_user_calls_dbt(target: str, tmp_path: Path, postgres_url: str) -> None:
    """In a new project ``dbt deps``, ``dbt parse`` and ``dbt build`` work after the first run, and the next run finds
    everything as it was. The password is in no file."""
    host, _, rest = postgres_url.removeprefix("postgresql://").partition("@")[2].partition(":")
    port, _, database = rest.partition("/")
    environ = {
        "PENSTOCK__TARGET": target,
        "PGHOST": host,
        "PGPORT": port,
        "PGUSER": "postgres",
        "PGPASSWORD": "not-a-secret",
        "PGDATABASE": database,
    }
    run(tmp_path, "penstock", "init", "shop", "--template", "user_events")
    folder = tmp_path / "shop"
    for layer in ("snapshots", "dimensional", "crm", "reports"):  # two of six layers tell as much
        shutil.rmtree(folder / "models" / layer)
    shutil.rmtree(folder / "tests")
    assert "4 models built" in run(folder, "penstock", "run", environ=environ)
    run(folder, "dbt", "deps")
    run(folder, "dbt", "parse", environ=environ)
    assert "ERROR=0" in run(folder, "dbt", "build", environ=environ)
    assert "nothing has landed since the last run" in run(folder, "penstock", "run", environ=environ)
    assert (folder / ".penstock" / "dbt_packages" / "penstock" / "dbt_project.yml").is_file()
    assert "not-a-secret" not in (folder / "profiles.yml").read_text()


def test_what_people_wrote_stays(tmp_path: Path) -> None:
    """A package is added to those that people name; a profile of their own is used and left alone; neither makes
    models look changed."""
    directory = a_modelled_project(tmp_path, EMBEDDED)
    project = load_project(directory)
    before = project_fingerprint(project)
    prepare_workspace(project)
    assert project_fingerprint(project) == before
    (directory / "packages.yml").unlink()
    for name, text in (
        ("packages.yml", "# ours\npackages:\n\n- local: ../mine # why\n- git: elsewhere\n"),
        ("dependencies.yml", "projects: []\npackages:  # ours\n    - local: ../mine\n"),
    ):
        (directory / name).write_text(text)
        before = project_fingerprint(project)
        for _ in range(2):
            link_package(directory, package_folder())
        merged = (directory / name).read_text()
        assert merged.count(ENTRY) == 1
        assert "".join(line for line in merged.splitlines(keepends=True) if ENTRY not in line) == text
        assert merged.index(ENTRY) < merged.index("- local: ../mine") and project_fingerprint(project) == before
        (directory / name).unlink()

    own = "penstock: {target: local, outputs: {local: {type: duckdb, path: mine.duckdb}}}\n"
    (directory / "profiles.yml").write_text(own)
    assert prepare_workspace(project).profiles == directory
    assert (directory / "profiles.yml").read_text() == own


def test_each_target_has_its_output(tmp_path: Path) -> None:
    """The profile knows the targets that were used, and plain dbt builds in the first of them unless told otherwise."""
    for target in ("local", "production", "local"):
        write_profile(tmp_path, "penstock", target, {"type": "duckdb", "path": f"{target}.duckdb"})
    text = (tmp_path / "profiles.yml").read_text()
    assert "target: local" in text and "local.duckdb" in text and "production.duckdb" in text
