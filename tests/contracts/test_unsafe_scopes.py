"""A model whose scope is not safe is built whole, whoever builds it, and everybody says so."""

from __future__ import annotations

import json
from pathlib import Path

from penstock import api
from tests.support.commands import penstock

DAILY = """{{ config(materialized='penstock', additive='visits', unique_key='day', schema='reports') }}
select day, count(*) as visits from {{ source('raw', 'visits') }} where day is not null group by day
"""
RUNNING = """{{ config(materialized='penstock', scope='day', unique_key='day', schema='reports') }}
select day, visits, cast(sum(visits) over (order by day) as bigint) as running from {{ ref('daily') }}
"""
SAFE = """{{ config(materialized='penstock', scope='day', unique_key='day', schema='reports') }}
select day, max(visits) as visits from {{ ref('daily') }} group by day
"""


def a_project(folder: Path) -> Path:
    """Visits, counted by day, and added up over the days by a model that says its scope is a day."""
    settings = {
        "name": "visits",
        "destinations": {"local": {"type": "duckdb", "path": "warehouse.duckdb"}},
        "sources": {"files": {"type": "files", "path": "data/**"}},
        "streams": {"visits": {"from": "files", "columns": {"person": "text", "day": "date"}}},
        "transform": {},
    }
    (folder / "penstock.yml").write_text(json.dumps(settings))
    (folder / "dbt_project.yml").write_text("{name: visits, version: '1.0', profile: penstock}")
    (folder / "data").mkdir()
    (folder / "models").mkdir()
    (folder / "models" / "sources.yml").write_text("sources: [{name: raw, tables: [{name: visits}]}]\n")
    for name, sql in (("daily", DAILY), ("running", RUNNING), ("safe", SAFE)):
        (folder / "models" / f"{name}.sql").write_text(sql)
    return folder


def visits(folder: Path, name: str, *days: str) -> None:
    """A file with a visit on each of these days."""
    lines = [json.dumps({"person": f"{name} {n}", "day": day}) for n, day in enumerate(days)]
    (folder / "data" / f"{name}.ndjson").write_text("\n".join(lines))


def test_an_unsafe_scope_is_built_whole_and_told(tmp_path: Path) -> None:
    """A running total with a scope by day is right after a late record; run, explain and doctor name the part."""
    project = a_project(tmp_path)
    visits(project, "first", "2024-03-01", "2024-03-03")
    done = penstock(project, "run")
    assert done.returncode == 0, done.stderr
    assert "running is built whole with each step: SUM(" in done.stdout
    assert "is not partitioned by day" in done.stdout
    assert "safe is built whole" not in done.stdout
    visits(project, "late", "2024-03-02", "2024-03-01")
    assert penstock(project, "run").returncode == 0
    schema = api.query(project, "select table_schema from information_schema.tables where table_name = 'running'").rows
    rows = api.query(project, f"select running from {schema[0][0]}.running order by day").rows
    assert [running for (running,) in rows] == [2, 3, 4]
    assert "running is built whole with each step" in penstock(project, "doctor").stdout
    visits(project, "more", "2024-03-04")
    explained = json.loads(penstock(project, "explain", "--json").stdout)
    assert any("running is built whole" in note for note in explained["notes"])
