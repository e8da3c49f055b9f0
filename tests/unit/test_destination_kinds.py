"""Kinds of destination: those built in, and one that an installed distribution adds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.destinations import expect_warehouse, open_destination
from penstock.destinations.kinds import kind_of
from penstock.errors import DestinationError, ProjectError
from penstock.lineage.naming import table
from penstock.project import load_project
from penstock.project.kinds import installed_kind

KIND = '''
from typing import Literal

from penstock.destinations.duckdb.kind import DuckDBKind
from penstock.project import DuckDB


class Marked(DuckDB):
    """A DuckDB file of another name."""

    type: Literal["marked"]
    mark: str


class MarkedKind(DuckDBKind):
    settings = Marked

    def namespace(self, settings):
        return f"marked://{settings.mark}", "main"


KIND = MarkedKind()
'''
PROJECT = """
name: p
destinations: { d: { type: TYPE, path: w.duckdb, mark: here } }
sources: { files: { type: files, path: data } }
streams: { s: { from: files } }
"""


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A distribution that adds a kind ``marked``."""
    site = tmp_path / "site"
    info = site / "penstock_marked-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "penstock_marked.py").write_text(KIND)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: penstock-marked\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[penstock.destinations]\nmarked = penstock_marked:KIND\n")
    monkeypatch.syspath_prepend(str(site))
    installed_kind.cache_clear()
    yield info
    installed_kind.cache_clear()
    sys.modules.pop("penstock_marked", None)


def write(folder: Path, type_: str) -> Path:
    """A project whose destination is of this type."""
    (folder / "penstock.yml").write_text(PROJECT.replace("TYPE", type_))
    return folder


def test_an_added_kind_is_one_like_those_built_in(added: Path, tmp_path: Path) -> None:
    """Its settings are read from the project file, it is opened, and its own words are asked for."""
    project = load_project(write(tmp_path, "marked"))
    kind = kind_of(project.destination)
    assert kind.capabilities.one_process and kind.login(project.destination) is None
    with pytest.raises(DestinationError):
        expect_warehouse(project.destination)
    destination = open_destination(project.destination)
    destination.prepare()
    assert destination.query("select 1").rows == [(1,)]
    destination.close()
    assert table(project.destination, "raw", "s").namespace == "marked://here"


def test_a_kind_that_cannot_be_loaded(added: Path, tmp_path: Path) -> None:
    """The project file's error says which distribution it comes from."""
    (added / "entry_points.txt").write_text("[penstock.destinations]\nmarked = penstock_marked:GONE\n")
    with pytest.raises(ProjectError, match=r"'marked' comes from penstock-marked 1\.0, which cannot be loaded"):
        load_project(write(tmp_path, "marked"))


def test_a_kind_that_nobody_adds(added: Path, tmp_path: Path) -> None:
    """The nearest that there is, is named."""
    with pytest.raises(ProjectError, match="did you mean marked"):
        load_project(write(tmp_path, "markd"))


def test_what_the_kinds_built_in_are(tmp_path: Path) -> None:
    """A file is one process's; a server is reached from elsewhere, and its password stays out of dbt's profile."""
    text = PROJECT.replace("TYPE", "duckdb").replace(", mark: here", "")
    text = text.replace("destinations: {", "destinations: { pg: { type: postgres, host: h, password: hidden },")
    (tmp_path / "penstock.yml").write_text(text)
    project = load_project(tmp_path, target="d")
    file, server = project.destinations["d"], project.destinations["pg"]
    assert kind_of(file).capabilities.one_process and not kind_of(file).capabilities.served
    assert [path.name for path in kind_of(file).files(file)] == ["w.duckdb", "w.duckdb.wal"]
    login = kind_of(server).login(server)
    assert login is not None and login.password == "hidden" and "hidden" not in repr(login)
    output, variables = kind_of(server).dbt_output(server, 3)
    assert output["threads"] == 3 and "hidden" not in str(output) and "hidden" in variables.values()
