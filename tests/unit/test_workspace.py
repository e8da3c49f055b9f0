"""Which files of a project are dbt's."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.transform.workspace import dbt_sources

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
