"""``penstock verify models`` lets a right model pass, finds each wrong one, and touches nothing of the user's."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import psycopg
import pytest

from penstock import api
from tests.support.commands import penstock

INCREMENTAL = (
    "{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='day', schema='reports') }}"
)
TOUCHED = """
where day is not null
{% if is_incremental() %}
and day in (
  select day from {{ source('raw', 'visits') }} where _pen_load > (select coalesce(max(last_load), 0) from {{ this }})
)
{% endif %}
"""
FROM = "{{ source('raw', 'visits') }}"
MODELS = {
    "right": f"select day, count(*) as visits, max(_pen_load) as last_load from {FROM} {TOUCHED} group by day",
    "only_what_is_new": f"""
        select day, count(*) as visits, max(_pen_load) as last_load from {FROM}
        {{% if is_incremental() %}} where _pen_load > (select max(last_load) from {{{{ this }}}}) {{% endif %}}
        group by day""",
    "without_a_day": f"""
        select day, count(*) as visits, max(_pen_load) as last_load from {FROM}
        {TOUCHED.replace("day is not null", "true")} group by day""",
    "running_total": f"""
        select day, sum(count(*)) over (order by day) as visits, max(_pen_load) as last_load from {FROM} {TOUCHED}
        group by day""",
    "window_over_everything": f"""
        select day, count(*) as visits, row_number() over (order by count(*), day) as place, max(_pen_load) as last_load
        from {FROM} {TOUCHED} group by day""",
    "limited": f"""
        select day, count(*) as visits, max(_pen_load) as last_load from {FROM} {TOUCHED}
        group by day order by count(*) desc, day limit 2""",
    "by_chance": f"""
        select day, count(*) as visits, random() as chance, max(_pen_load) as last_load from {FROM} {TOUCHED}
        group by day""",
}
DAYS = [f"2024-03-{day:02}" for day in range(1, 9)]


@pytest.fixture
def project(warehouse: dict[str, Any], tmp_path: Path) -> Path:
    """Visits that landed, and models that count them by day: one is right."""
    settings = {
        "name": "visits",
        "destinations": {"local": warehouse},
        "target": "local",
        "sources": {"files": {"type": "files", "path": "data/**"}},
        "streams": {"visits": {"from": "files", "columns": {"person": "text", "day": "date"}}},
        "transform": {},
    }
    (tmp_path / "penstock.yml").write_text(json.dumps(settings))
    (tmp_path / "dbt_project.yml").write_text("{name: visits, version: '1.0', profile: penstock}")
    (tmp_path / "data").mkdir()
    records = [{"person": f"secret {n}", "day": DAYS[n % 8]} for n in range(40)]
    (tmp_path / "data" / "visits.ndjson").write_text("\n".join(map(json.dumps, records)))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "sources.yml").write_text("sources: [{name: raw, tables: [{name: visits}]}]\n")
    for name, sql in MODELS.items():
        (tmp_path / "models" / f"{name}.sql").write_text(f"{INCREMENTAL}\n{sql}\n")
    done = penstock(tmp_path, "load")
    assert done.returncode == 0, done.stderr
    return tmp_path


def left_over(warehouse: dict[str, Any]) -> list[Any]:
    """Scratch warehouses that are there."""
    if warehouse["type"] == "duckdb":
        return list(Path(tempfile.gettempdir()).glob("penstock-verify-*"))
    with psycopg.connect(warehouse["url"]) as connection:
        return connection.execute("select datname from pg_database where datname like 'penstock_scratch%'").fetchall()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("warehouse", ["duckdb", "postgres"], indirect=True)
def test_a_right_model_is_equal_and_wrong_ones_differ(project: Path, warehouse: dict[str, Any]) -> None:
    """Each wrong model is found, with rows, the loads and the seed; the warehouse holds what it held before."""
    before = api.query(project, "select table_schema, table_name from information_schema.tables order by 1, 2").rows
    landed = api.query(project, "select * from raw.visits order by _pen_id").rows
    done = penstock(project, "verify", "models", "--steps", "8", "--seed", "7", "--json", timeout=800)
    assert done.returncode == 3, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["seed"] == 7
    models = {model["model"].rpartition(".")[2]: model for model in outcome["models"]}
    assert {name for name, model in models.items() if model["equal"]} == {"right"}
    assert models["right"]["steps"] == 8
    for name in MODELS.keys() - {"right"}:
        assert models[name]["loads"], name
        assert models[name]["only_in_steps"] or models[name]["only_in_full"], name
    days = {row["day"] for model in models.values() for row in (*model["only_in_steps"], *model["only_in_full"])}
    assert days <= {*DAYS, "null"}, "records are made of values that the stream has"
    assert api.query(project, "select * from raw.visits order by _pen_id").rows == landed
    after = api.query(project, "select table_schema, table_name from information_schema.tables order by 1, 2").rows
    assert after == before
    assert left_over(warehouse) == []


@pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)
def test_a_difference_is_told_with_what_repeats_it(project: Path) -> None:
    """A person reads which model, after which loads, which rows, and the command that does the same again."""
    done = penstock(project, "verify", "models", "--select", "only_what_is_new right", "--steps", "3", "--seed", "7")
    assert done.returncode == 3, done.stderr
    assert "reports.right: equal to a full refresh after each of 3 change sets" in done.stdout
    assert "reports.only_what_is_new: differs from a full refresh after change set" in done.stdout
    assert "into visits" in done.stdout
    assert "only in steps" in done.stdout
    assert "only in a full refresh" in done.stdout
    assert "built step by step, 1 model is not what a full refresh makes:" in done.stderr
    assert "penstock verify models --select only_what_is_new --steps" in done.stderr
    assert "--seed 7" in done.stderr
    alone = penstock(project, "verify", "models", "--select", "right", "--steps", "2", "--quiet")
    assert (alone.returncode, alone.stdout, alone.stderr) == (0, "", "")


@pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)
def test_what_cannot_be_verified_is_refused(project: Path) -> None:
    """A selector that chooses nothing, and a project without models, are wrong calls."""
    done = penstock(project, "verify", "models", "--select", "nothing_like_it")
    assert done.returncode == 2
    assert "nothing_like_it" in done.stderr
    (project / "dbt_project.yml").unlink()
    done = penstock(project, "verify", "models")
    assert done.returncode == 2
    assert "the project has no models" in done.stderr
