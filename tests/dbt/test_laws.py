"""Any order, again is nothing, incremental is full, same on every engine: of every model of the example."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.dbt.stories import START, TEXTS, Record, event, lives, organizations, split
from tests.dbt.warehouse import Warehouse
from tests.support.fixtures import slow_on_postgres

Open = Callable[[str, str], Warehouse]


def all_at_once(warehouse: Warehouse, events: list[Record], seed: int) -> dict[str, list[tuple[str, ...]]]:
    """What the models hold when everything was landed before the first build."""
    warehouse.reset()
    warehouse.land(events)
    for load in organizations(seed):
        warehouse.land(organizations=load)
    warehouse.dbt("run")
    return warehouse.content()


@pytest.mark.parametrize(("seed", "steps", "tested"), [(1, 2, False), pytest.param(2, 3, True, marks=pytest.mark.slow)])
def test_every_order_and_split_gives_the_same_tables(warehouse: Warehouse, seed: int, steps: int, tested: bool) -> None:
    """Law 4 and law 6: steps in any order, whose load ids need not rise, equal one build and a full refresh. What dbt
    tests holds of what was built so, too, and takes as long."""
    events = lives(seed=7, users=40)
    expected = all_at_once(warehouse, events, seed=0)
    chance = random.Random(seed)
    shuffled = chance.sample(events, len(events))
    names = organizations(seed)
    warehouse.reset()
    for number, part in enumerate(split(chance, shuffled, steps)):
        warehouse.land(part, load_id=9000 - 100 * number)
        for load in names[number::steps]:
            warehouse.land(organizations=load, load_id=9000 - 100 * number)
        warehouse.dbt("run")
    assert warehouse.content() == expected
    before = warehouse.written()
    warehouse.dbt("run")
    assert warehouse.written() == before, "again is nothing"
    warehouse.dbt("run", "--full-refresh")
    assert warehouse.content() == expected
    if tested:
        warehouse.dbt("test")


@pytest.mark.parametrize(
    ("warehouse", "at_once"),
    [
        pytest.param("duckdb", 3, marks=pytest.mark.slow),
        pytest.param("duckdb", 1, marks=pytest.mark.slow),
        pytest.param("postgres", 1, marks=pytest.mark.slow),
    ],
    indirect=["warehouse"],
)
def test_events_one_by_one_equal_all_at_once(warehouse: Warehouse, at_once: int) -> None:
    """Ties, repeats and deletions of one user, an event a load or a few, latest first."""
    events = [
        event("a", "Created", START, username="Ann"),
        event("a", "Updated", START, username="Bob"),
        event("a", "Deleted", START.replace(day=27), username="Bob"),
        event("a", "Updated", START.replace(day=27), username="Ann"),
        event("a", "Updated", START.replace(day=29), username="Ann"),
        event("a", "Updated", START.replace(day=29, hour=13), username="Ann"),
        event("b", "Created", START.replace(day=28), username="Cyd"),
        event("b", "Deleted", START.replace(day=28), username="Cyd"),
    ]
    expected = all_at_once(warehouse, events, seed=0)
    warehouse.reset()
    for load in organizations(0):
        warehouse.land(organizations=load)
    latest_first = events[::-1]
    for start in range(0, len(events), at_once):
        warehouse.land(latest_first[start : start + at_once])
        warehouse.dbt("run")
    assert warehouse.content() == expected
    assert warehouse.rows("select count(*) from snapshots.user_snapshot where user_id = 'b'") == [(0,)]


def test_both_engines_hold_the_same_rows(open_warehouse: Open) -> None:
    """Law 7: the same loads give the same rows, surrogate keys and all, also of texts that engines read differently."""
    events = lives(seed=11, users=60)
    for number, text in enumerate(TEXTS):
        events.append(event(text, "Updated", START, username=text, organization_name=text, plan_name=text))
        events.append(event("a", "Updated", START.replace(minute=number), username=text, user_type=text))
    found = [all_at_once(open_warehouse(engine, "example"), events, seed=3) for engine in ("duckdb", "postgres")]
    assert found[0] == found[1]


@slow_on_postgres("warehouse")
def test_a_step_writes_only_what_changed(warehouse: Warehouse) -> None:
    """A new event of one user leaves every row of the others, and of the user's other days, as written before."""
    warehouse.land(lives(seed=5, users=40), organizations(0)[0])
    warehouse.dbt("run")
    before = warehouse.written()
    rows = {table: len(found) for table, found in before.items()}
    warehouse.land([event("new", "Created", START.replace(hour=20), username="New")])
    warehouse.dbt("run")
    after = warehouse.written()
    kept = {table: len(set(before[table]) & set(after[table])) for table in before}
    for table in ("historical.user_event", "snapshots.user_snapshot", "dimensional.dim_user", "crm.users_dim"):
        assert kept[table] == rows[table], table
        assert len(after[table]) == rows[table] + 1, table
    for table in ("reports.events_by_date", "reports.events_by_user_type", "reports.user_events_daily"):
        assert kept[table] >= rows[table] - 1, table
    assert kept["dimensional.dim_date"] == rows["dimensional.dim_date"]


@pytest.mark.parametrize(
    ("warehouse", "mode"),
    [
        ("duckdb", ["--full-refresh"]),
        pytest.param("duckdb", [], marks=pytest.mark.slow),
        pytest.param("postgres", ["--full-refresh"], marks=pytest.mark.slow),
        pytest.param("postgres", [], marks=pytest.mark.slow),
    ],
    indirect=["warehouse"],
)
def test_the_upper_seq_holds_for_the_whole_graph(warehouse: Warehouse, mode: list[str]) -> None:
    """What landed beyond it is left for the next run, in a full refresh too, and then taken in."""
    events = lives(seed=9, users=30)
    first = warehouse.land(events[:60])
    warehouse.dbt("run", upto=first)
    expected = warehouse.content()
    last = warehouse.land(events[60:])
    warehouse.dbt("run", *mode, upto=first)
    assert warehouse.content() == expected
    assert warehouse.rows("select distinct seq from penstock.watermarks") == [(first,)]
    warehouse.dbt("run", upto=last)
    assert warehouse.content() != expected
    assert warehouse.rows("select distinct seq from penstock.watermarks") == [(last,)]
    stepwise = warehouse.content()
    warehouse.dbt("run", "--full-refresh", upto=last)
    assert warehouse.content() == stepwise


@pytest.mark.slow
def test_many_loads_at_once(warehouse: Warehouse) -> None:
    """More new loads than an SQL list is good for are taken in as well."""
    warehouse.land([event("a", "Created", START, username="Ann")])
    warehouse.dbt("run")
    warehouse.land([event(f"u{n}", "Created", START, username="Bob") for n in range(20)])
    filler = ", ".join(f"({n}, {n}, 'user_events', 1, 1)" for n in range(5000, 6200))
    warehouse.execute(f"insert into penstock.loads (load_id, seq, stream, read, landed) values {filler}")
    warehouse.dbt("run")
    assert warehouse.rows("select count(*) from dimensional.dim_user") == [(21,)]
    assert warehouse.rows("select distinct seq from penstock.watermarks") == [(6199,)]
