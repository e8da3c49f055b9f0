"""The look at a model goes by how it asks to be built, and by what was seen of the models that it reads."""

from __future__ import annotations

import pytest

from penstock.transform.manifest import Manifest, Resource
from penstock.transform.unsafe_models import look


def a_model(name: str, **settings: object) -> Resource:
    """A model of schema ``reports``."""
    return Resource(id=f"model.shop.{name}", name=name, kind="model", schema="reports", table=name, **settings)  # type: ignore[arg-type]  # any setting


DAILY = a_model("daily", materialized="penstock", additive=("records",))
MIXED = a_model("mixed", materialized="ephemeral", reads=(DAILY.id,))
MANIFEST = Manifest({DAILY.id: DAILY, MIXED.id: MIXED})


def test_a_count_of_an_unsafe_model_is_none() -> None:
    """The first of the additive columns counts rows where the look at its model says so."""
    weekly = a_model("weekly", reads=(DAILY.id,), additive=("records",))
    sql = "select week, cast(sum(records) as bigint) as records from reports.daily group by week"
    assert look(weekly, sql, MANIFEST, "duckdb") is None
    assert "casts a sum" in (look(weekly, sql, MANIFEST, "duckdb", {DAILY.id}) or "")


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ('select max(records) as most from "w"."reports"."daily"', None),
        ("with daily as (select * from reports.daily) select * from daily, (values (1)) as v (x)", None),
        ("select * from reports.daily where x not in (select x from other.t)", "other.t is read by its name"),
        ("select * from reports.daily union all select * from daily", "daily is read by its name"),
        ("/*_pen_history {}*/ select * from other.t /*_pen_history*/", None),
    ],
)
@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
def test_a_table_that_is_read_by_its_name_is_told_of(sql: str, words: str | None, dialect: str) -> None:
    """A model that is built whole is so when what it reads by ref() or source() changed, and for nothing else."""
    model = a_model("most", reads=(MIXED.id,), whole=True)
    reason = look(model, sql, MANIFEST, dialect)
    if words is None:
        assert reason is None
    else:
        assert reason is not None and words in reason and "read it by ref() or source()" in reason


@pytest.mark.parametrize(
    ("config", "asked"),
    [
        ({}, (False, (), True)),
        ({"scope": "day"}, (True, (), False)),
        ({"additive": ["n"]}, (False, ("n",), False)),
        ({"scope": "day", "additive": "n"}, (True, (), False)),
        ({"scope": "day", "mode": "whole"}, (False, (), True)),
        ({"mode": "history"}, (False, (), False)),
        ({"materialized": "table", "scope": "day"}, (False, (), False)),
    ],
)
def test_a_model_is_looked_at_by_the_mode_it_asks_for(config: dict[str, object], asked: tuple[object, ...]) -> None:
    """The configuration says which, as it does to the materialization."""
    node = {
        "unique_id": "model.shop.a",
        "name": "a",
        "resource_type": "model",
        "package_name": "shop",
        "original_file_path": "a.sql",
        "config": {"materialized": "penstock", **config},
    }
    document = {"nodes": {"model.shop.a": node}, "sources": {}, "metadata": {}}
    model = Manifest.of(document).resources["model.shop.a"]
    assert (model.scope is not None, tuple(model.additive), model.whole) == asked
