"""Which files of a project are dbt's."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.transform.plain_dbt import PACKAGE, link_package
from penstock.transform.workspace import dbt_sources, package_folder

FILES = (
    "models/a.sql", "models/deep/b.yml", "seeds/s.csv", "macros/m.sql", "dbt_project.yml", "packages.yml",
    "incoming/2020.csv", "data/d.csv", "README.md", "penstock.yml", ".penstock/dbt/c.sql", "sql/own.sql", "run.py",
)  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("name: p", {"models/a.sql", "models/deep/b.yml", "seeds/s.csv", "macros/m.sql"}),
        ("model-paths: [sql]", {"sql/own.sql", "seeds/s.csv", "macros/m.sql"}),
        ("model-paths: [models, models/deep]", {"models/a.sql", "models/deep/b.yml", "seeds/s.csv", "macros/m.sql"}),
        ("model-paths: ['{{ x }}']", {f for f in FILES[:-1] if f[0] not in ".pd"} | {"run.py"}),
        ("model-paths: 1", {f for f in FILES[:-1] if f[0] not in ".pd"} | {"run.py"}),
    ],
)
def test_only_what_dbt_reads(tmp_path: Path, settings: str, expected: set[str]) -> None:
    """Data that lie in the project's folder are not read to find out whether models changed, however large they are."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(settings if name == "dbt_project.yml" else "")
    found = [str(path.relative_to(tmp_path)) for path in dbt_sources(tmp_path, None)]
    assert sorted(found) == sorted(expected | {"dbt_project.yml", "packages.yml"})


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ("name: p", "dbt_packages"),
        ("packages-install-path: .penstock/dbt_packages", ".penstock/dbt_packages"),
        ("packages-install-path: \"{{ env_var('ANY', 'any') }}\"", None),
    ],
)
def test_the_package_is_where_the_project_has_packages(tmp_path: Path, settings: str, place: str | None) -> None:
    """dbt finds as many packages there as ``packages.yml`` names; where only dbt can tell, none is named."""
    (tmp_path / "dbt_project.yml").write_text(settings)
    link_package(tmp_path, package_folder())
    named = tmp_path / "packages.yml"
    assert (PACKAGE in named.read_text() if named.exists() else False) == (place is not None)
    if place is not None:
        assert (tmp_path / place / "penstock" / "dbt_project.yml").is_file()
