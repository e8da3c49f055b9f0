"""Models whose steps cannot be told for sure: they are right all the same, and say why they are built whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from tests.dbt.stories import START
from tests.dbt.warehouse import Warehouse

Open = Callable[[str, str], Warehouse]


@pytest.fixture(params=["duckdb", "postgres"])
def modes(request: pytest.FixtureRequest, open_warehouse: Open) -> Warehouse:
    """An empty warehouse of each kind in turn, under a project that has each mode."""
    return open_warehouse(request.param, "modes")


@contextmanager
def models(warehouse: Warehouse, files: Mapping[str, str]) -> Iterator[None]:
    """Have the project have these files too for the block, by their names in the folder of the models."""
    folder = warehouse.home / "models" / "unsure"
    folder.mkdir()
    try:
        for name, text in files.items():
            (folder / name).write_text(text)
        warehouse.forget()
        yield
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        warehouse.forget()


def reasons(warehouse: Warehouse) -> dict[str, str]:
    """Why models are built whole, of those that ask for something else."""
    rows = warehouse.rows("select model, reason from penstock_changes.models where reason <> ''")
    return {str(model).removeprefix("modes."): str(reason) for model, reason in rows}


def test_a_row_that_is_left_out_takes_no_other_away(modes: Warehouse) -> None:
    """By a `where` of the model, or of a view of what is overwritten."""
    signups = (
        "{{ config(scope='person', sources={'user_events': ['id']}, unique_key='person') }}"
        " select id as person, username from {{ source('raw', 'user_events') }} where event_type = 'User Created'"
    )
    acme = (
        "{{ config(materialized='view') }} select _pen_id, _pen_load, organization_key, organization_name"
        " from {{ source('raw', 'organizations') }} where organization_name = 'Acme'"
    )
    in_acme = (
        "{{ config(scope='_pen_id', unique_key='_pen_id') }} select _pen_id, organization_key from {{ ref('acme') }}"
    )
    files = {"signups.sql": signups, "acme.sql": acme, "in_acme.sql": in_acme}
    with models(modes, files):
        organization = {"organization_key": "1", "organization_name": "Acme", "created_at": START}
        modes.land([{"id": "a", "username": "Ann", "event_type": "User Created"}], [organization])
        modes.dbt("run", "-s", *(name.removesuffix(".sql") for name in files))
        later = START.replace(year=START.year + 1)
        modes.land(
            [{"id": "a", "event_type": "User Updated"}],
            [{**organization, "organization_name": "Globex", "created_at": later}],
        )
        modes.dbt("run", "-s", "signups", "in_acme")
        assert modes.rows("select person, username from modes.signups") == [("a", "Ann")]
        assert modes.rows("select organization_key from modes.in_acme") == []
        assert reasons(modes) == {
            "in_acme": "rows of organizations are overwritten: which of them acme gave, nothing tells"
        }


def test_inputs_of_which_nothing_tells(modes: Warehouse) -> None:
    """A table of the user's own that has changed though nothing landed; an incremental model without a watermark; two
    tables of one name; a name that is not ref()'s own; a view that asks for the time."""
    files = {
        "others.yml": "sources: [{name: others, schema: modes, tables: [{name: prices}]},"
        " {name: others_too, schema: modes, tables: [{name: user_events}]}]",
        "priced.sql": "{{ config(unique_key='plan') }} select plan, price from {{ source('others', 'prices') }}",
        "priced_again.sql": "{{ config(unique_key='plan') }} select plan, price from {{ ref('priced') }}",
        "grown.sql": "{{ config(materialized='incremental') }} select count(*) as events from {{ ref('event_log') }}",
        "of_grown.sql": "{{ config(unique_key='events') }} select events from {{ ref('grown') }}",
        "of_both.sql": "{{ config(unique_key='origin') }} select 'raw' as origin, count(*) as events"
        " from {{ source('raw', 'user_events') }} union all select 'own', count(*)"
        " from {{ source('others_too', 'user_events') }}",
        "named_short.sql": "{{ config(additive=['events'], unique_key='user_id') }} select user_id, count(*) as events"
        " from {{ ref('event_log').include(database=false) }} where user_id is not null group by 1",
        "aliased.sql": "{{ config(additive=['events'], unique_key='user_id') }} select e1.user_id, count(*) as events"
        " from {{ ref('event_log') }} as e1, (select 1 as one) as b where e1.user_id is not null group by 1",
        "timed.sql": "{{ config(materialized='view') }} select _pen_id, _pen_load, current_date as today"
        " from {{ source('raw', 'user_events') }}",
        "of_timed.sql": "{{ config(scope='_pen_id', unique_key='_pen_id') }} select _pen_id, today"
        " from {{ ref('timed') }}",
    }
    modes.execute("create schema if not exists modes")
    modes.execute("create table modes.prices as select 'Small' as plan, 1 as price")
    modes.execute("create table modes.user_events as select 1 as one")
    try:
        with models(modes, files):
            chosen = ["event_log", *(name.removesuffix(".sql") for name in files if name.endswith(".sql"))]
            modes.land([{"id": "a"}, {"id": "b"}])
            modes.dbt("run", "-s", *chosen)
            assert reasons(modes) == {
                "named_short": "its SQL names event_log in another way than ref() and source() do",
                "aliased": "a join is not a sum over rows",
                "of_timed": "which rows of timed changed is not known: it is no model of the materialization penstock,"
                " and no view that gives a row for each row of one raw table",
            }
            assert modes.rows("select * from modes.of_both order by 1") == [("own", 1), ("raw", 2)]
            modes.execute("update modes.prices set price = 2")
            modes.execute("insert into modes.user_events values (2)")
            modes.dbt("run", "-s", *chosen)
            for table in ("priced", "priced_again"):
                assert modes.rows(f"select * from modes.{table}") == [("Small", 2)]
            assert modes.rows("select * from modes.of_both order by 1") == [("own", 2), ("raw", 2)]
            modes.land([{"id": "c"}])
            modes.dbt("run", "-s", *chosen)
            assert modes.rows("select * from modes.of_grown order by 1") == [(2,), (3,)]
            assert modes.rows("select * from modes.of_both order by 1") == [("own", 2), ("raw", 3)]
            for table in ("named_short", "aliased"):
                assert modes.rows(f"select * from modes.{table} order by 1") == [("a", 1), ("b", 1), ("c", 1)]
    finally:
        modes.execute("drop table modes.prices; drop table modes.user_events")


def test_a_scope_that_nobody_has_looked_at_is_not_used(modes: Warehouse) -> None:
    """As by dbt alone, which tells nothing of the models' SQL."""
    modes.land([{"id": "a"}])
    modes.dbt("run", "-s", "event_log", environment={"PENSTOCK_UNSAFE_MODELS": ""})
    assert reasons(modes) == {"event_log": "penstock has not looked at it"}
    modes.land([{"id": "b"}])
    modes.dbt("run", "-s", "event_log")
    assert reasons(modes) == {}


def test_feeds_of_long_names_and_of_names_that_look_alike(modes: Warehouse) -> None:
    """Each model has a feed of its own, and its reader takes that in."""
    long = "_".join(["a_model_of_a_very_long_name"] * 2)
    files = {}
    for schema, name in (("modes", f"{long}_one"), ("modes", f"{long}_two"), ("modes__b", "c"), ("modes", "b__c")):
        files[f"{name}.sql"] = (
            f"{{{{ config(schema='{schema}', scope='user_id', unique_key='user_id') }}}}"
            f" select user_id, '{name}' as model, count(*) as events from {{{{ ref('event_log') }}}}"
            " where user_id is not null group by 1"
        )
        files[f"of_{name[-5:]}.sql"] = (
            "{{ config(scope='user_id', unique_key='user_id') }}"
            f" select user_id, model, events from {{{{ ref('{name}') }}}}"
        )
    with models(modes, files):
        chosen = ["event_log", *(name.removesuffix(".sql") for name in files)]
        for number in (1, 2):
            modes.land([{"id": "a", "username": str(number)}])
            modes.dbt("run", "-s", *chosen)
            for name in (f"{long}_one", f"{long}_two", "c", "b__c"):
                assert modes.rows(f"select * from modes.of_{name[-5:]}") == [("a", name, number)]
        assert reasons(modes) == {}


def test_a_column_that_an_input_has_gained(modes: Warehouse) -> None:
    """It is taken when the model says that it wants such."""
    wide = (
        "{{ config(scope='_pen_id', unique_key='_pen_id', on_schema_change='append_new_columns') }}"
        " select * from {{ source('raw', 'user_events') }}"
    )
    with models(modes, {"wide.sql": wide}):
        modes.land([{"id": "a"}])
        modes.dbt("run", "-s", "wide")
        modes.execute("alter table raw.user_events add column colour varchar(9)")
        try:
            modes.execute("update raw.user_events set colour = 'red'")
            modes.dbt("run", "-s", "wide")
            assert modes.rows("select id, colour from modes.wide") == [("a", "red")]
        finally:
            modes.execute("alter table raw.user_events drop column colour")
