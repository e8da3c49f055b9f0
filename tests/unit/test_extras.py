"""What a backend needs is an extra of the distribution; where it is missing, the error says which."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from penstock.alerts.delivery import send
from penstock.alerts.wording import Message
from penstock.destinations import open_destination
from penstock.extras import DISTRIBUTION, EXTRAS, MissingLibrary, explained_import, require
from penstock.project import load_project
from penstock.runs.plan import plan_loads
from penstock.sources.kinds import open_source

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
OPTIONAL = PROJECT["optional-dependencies"]
MODULES = sorted({module for modules in EXTRAS.values() for module in modules})

SETTINGS = """
name: shop
destinations:
  here: { type: duckdb, path: w.duckdb }
  there: { type: postgres, host: localhost, database: d, user: u }
target: here
sources:
  queue: { type: rabbitmq, queue: q }
  api: { type: http, base_url: "http://127.0.0.1:1", endpoints: { pages: { path: /pages } } }
streams:
  messages: { from: queue }
  pages: { from: api }
notify:
  - webhook: "http://127.0.0.1:1/hook"
"""


def distributions(requirements: list[str]) -> set[str]:
    return {Requirement(text).name for text in requirements}


def test_each_extra_brings_its_modules_and_all_brings_each() -> None:
    """Every optional library of the distribution is in the table, and nothing of the base installation is."""
    assert PROJECT["name"] == DISTRIBUTION
    assert OPTIONAL["all"] == [f"{DISTRIBUTION}[{','.join(n for n in OPTIONAL if n != 'all')}]"]
    assert set(EXTRAS) == set(OPTIONAL) - {"all"}
    homes = packages_distributions()
    for extra, modules in EXTRAS.items():
        named = distributions(OPTIONAL[extra])
        for module in modules:
            # psycopg2 comes by dbt's adapter
            home = {"psycopg2-binary": "dbt-postgres"}.get(homes[module][0], homes[module][0])
            assert home in named, (extra, module)
        assert not named & distributions(PROJECT["dependencies"])


@pytest.mark.parametrize(("extra", "module"), [(e, m) for e, modules in EXTRAS.items() for m in modules])
def test_a_missing_library_is_told_with_its_extra(extra: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of an extra's libraries it is, and however it is noticed."""
    require(extra)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingLibrary, match=module) as caught:
        require(extra)
    assert caught.value.fix == f'pip install "penstock-elt[{extra}]"'
    explained = explained_import(ModuleNotFoundError(name=f"{module}.inside"))
    assert explained is not None and explained.fix == caught.value.fix
    assert explained_import(ModuleNotFoundError(name="of_nobody")) is None


def test_each_backend_says_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the place where it is opened."""
    (tmp_path / "penstock.yml").write_text(SETTINGS)
    project = load_project(tmp_path)
    steps = {step.stream: step for step in plan_loads(project)}
    for module in MODULES:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingLibrary, match=r"penstock-elt\[postgres\]"):
        open_destination(project.destinations["there"])
    with pytest.raises(MissingLibrary, match=r"penstock-elt\[rabbitmq\]"):
        open_source(project, steps["messages"])
    with pytest.raises(MissingLibrary, match=r"penstock-elt\[http\]"):
        open_source(project, steps["pages"])
    assert project.notify is not None
    message = Message(project="shop", target="here", problems=[], sent_at=datetime.now(UTC))
    with pytest.raises(MissingLibrary, match=r"penstock-elt\[http\]"):
        send(project.notify.to[0], message)


def penstock(folder: Path, *calls: list[str]) -> subprocess.CompletedProcess[str]:
    """Commands one after the other in one process that has none of the extras' libraries."""
    code = f"""
import sys
for module in {MODULES!r}:
    sys.modules[module] = None
from penstock.cli import main
for words in {calls!r}:
    sys.argv = ["penstock", *words]
    try:
        main()
    except SystemExit as e:
        if e.code:
            raise
"""
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


def test_files_and_duckdb_need_no_extra(tmp_path: Path) -> None:
    """A new project runs, and can be looked at, with the base installation alone."""
    here = ["--project-dir", "p"]
    done = penstock(tmp_path, ["init", "p"], ["run", *here, "--quiet"], ["doctor", *here], ["status", *here, "--json"])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout[done.stdout.index("\n{") :])["streams"]


def test_a_command_that_needs_an_extra_names_it(tmp_path: Path) -> None:
    """Not with a traceback."""
    (tmp_path / "penstock.yml").write_text(SETTINGS)
    (tmp_path / "in.ndjson").write_text("{}\n")
    done = penstock(tmp_path, ["publish", "messages", "in.ndjson"])
    assert done.returncode == 2
    assert 'pip install "penstock-elt[rabbitmq]"' in done.stderr and "Traceback" not in done.stderr
