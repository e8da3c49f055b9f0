"""Each mode of the materialization: a step writes what a full refresh would, and again is nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.dbt.steps import Steps, Unsound
from tests.dbt.stories import START, Record
from tests.dbt.warehouse import Warehouse
from tests.support.fixtures import slow_on_postgres

Open = Callable[[str, str], Warehouse]

MODES = {
    "modes.event_log": "scope",
    "modes.organization": "scope",
    "modes.by_plan": "scope",
    "modes.by_plan_landed": "scope",
    "modes.by_user_and_plan": "scope",
    "modes.named": "scope",
    "modes.by_organization": "additive",
    "modes.plan_history": "history",
    "modes.plan_openings": "history",
    "modes.running_total": "whole",
    "modes.latest": "whole",
}


@pytest.fixture(params=["duckdb", "postgres"])
def modes(request: pytest.FixtureRequest, open_warehouse: Open) -> Warehouse:
    """An empty warehouse of each kind in turn, under a project that has each mode."""
    return open_warehouse(request.param, "modes")


def an_event(chance: random.Random, users: str) -> Record:
    """One event, of few values: states repeat, times tie, some are missing."""
    return {
        "id": chance.choice(
            [f"{users}1", f"{users}2", f"{users}3", None] if chance.random() < 0.1 else [f"{users}1", f"{users}2"]
        ),
        "event_type": chance.choice(["User Created", "User Updated", "User Updated", "User Deleted", None]),
        "username": chance.choice(["Ann", "Bob", None]),
        "plan_name": chance.choice(["Small", "small", "Large", None]),
        "organization_name": chance.choice(["Acme", "Globex", "Initech", None]),
        "received_at": None if chance.random() < 0.05 else START + timedelta(hours=6 * chance.randrange(12)),
    }


def an_organization(chance: random.Random) -> Record:
    """One of few, under a name that it may not keep."""
    return {
        "organization_key": chance.choice("123"),
        "organization_name": chance.choice(["Acme", "Globex", "Umbrella"]),
        "created_at": START + timedelta(seconds=chance.randrange(10**6)),
    }


def land_some(warehouse: Warehouse, chance: random.Random, users: str) -> None:
    """One to three loads."""
    for _ in range(chance.choice([1, 1, 2, 3])):
        if chance.random() < 0.25:
            warehouse.land(organizations=[an_organization(chance)])
        else:
            warehouse.land([an_event(chance, users) for _ in range(chance.choice([1, 1, 2, 5, 12]))])


def step(warehouse: Warehouse, steps: Steps, chance: random.Random) -> None:
    """Take every model as far as the ledger is, some of them after the others; by dbt where a step is not enough."""
    with warehouse.connected() as connection:
        if warehouse.engine == "postgres":
            connection.autocommit = True
        upper = connection.execute("select max(seq) from penstock.loads").fetchall()[0][0]
        names = [plan["model"] for plan in steps.plans]
        try:
            steps.take(connection, upper, frozenset(chance.sample(names, chance.choice([0, 0, 1, 2]))))
            steps.take(connection, upper)
            return
        except Unsound:
            pass
    warehouse.dbt("run")


def written(warehouse: Warehouse) -> dict[str, list[Any]]:
    """What changes when a row of a model, or of a feed, is written again."""
    mark = "rowid" if warehouse.engine == "duckdb" else "ctid::text || xmin::text"
    feeds = [f"penstock_changes.{name.replace('.', '__')}" for name in MODES]
    return {table: warehouse.rows(f"select {mark} from {table} order by 1") for table in [*MODES, *feeds]}


@pytest.mark.parametrize("rounds", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_steps_of_every_mode_equal_a_full_refresh(modes: Warehouse, rounds: int) -> None:
    """Late, tied and missing values, renamed organizations, models left behind: what a step leaves is what all of the
    records give. The statements are those that a model keeps of its step."""
    chance = random.Random(5)
    modes.land([an_event(chance, "a") for _ in range(4)], [an_organization(chance)])
    modes.dbt("run")
    assert dict(modes.rows("select model, mode from penstock_changes.models")) == MODES
    assert [model for model, reason in modes.rows("select model, reason from penstock_changes.models") if reason] == [
        "modes.latest"
    ]
    steps = Steps(modes)
    for number in range(rounds):
        for _ in range(3):
            land_some(modes, chance, f"u{number}_")
            step(modes, steps, chance)
            with modes.connected() as connection:
                steps.expect_exact(connection)
    before = written(modes)
    modes.dbt("run")
    assert written(modes) == before, "again is nothing"


def test_a_scope_of_the_unique_key_has_one_index_whatever_the_order(open_warehouse: Open) -> None:
    """The columns of an index that are all compared for equality find rows in any order: none is made twice."""
    modes = open_warehouse("postgres", "modes")
    modes.land([an_event(random.Random(7), "a") for _ in range(4)])
    modes.dbt("run", "-s", "event_log", "by_user_and_plan", "by_plan")
    assert modes.indexes("modes") == {
        "event_log": ["_pen_id"],
        "by_user_and_plan": ["plan_name, user_id"],
        "by_plan": ["plan_key", "plan_name"],
    }


@slow_on_postgres("modes")
def test_what_feeds_cannot_tell_is_built_whole(modes: Warehouse) -> None:
    """A feed that was lost, a model that was changed, a reader that came later, a watermark that is gone."""
    chance = random.Random(6)
    later = modes.home / "models" / "later.sql"
    changed = modes.home / "models" / "event_log.sql"
    original = changed.read_text()

    def run_exact() -> None:
        modes.dbt("run")
        with modes.connected() as connection:
            Steps(modes).expect_exact(connection)

    try:
        land_some(modes, chance, "a")
        modes.land([an_event(chance, "a") for _ in range(4)], [an_organization(chance)])
        run_exact()
        land_some(modes, chance, "b")
        modes.dbt("run", "-s", "event_log", "organization")
        modes.execute("delete from penstock_changes.modes__event_log; delete from penstock_changes.modes__organization")
        run_exact()
        modes.execute("delete from penstock.watermarks where model in ('modes.event_log', 'modes.by_organization')")
        land_some(modes, chance, "c")
        run_exact()
        later.write_text(
            "{{ config(scope='user_id', unique_key='user_id') }}"
            " select user_id, count(*) as events from {{ ref('event_log') }} where user_id is not null group by 1"
        )
        changed.write_text(original.replace("  username,", "  upper(username) as username,"))
        modes.forget()
        run_exact()
        land_some(modes, chance, "d")
        run_exact()
    finally:
        later.unlink(missing_ok=True)
        changed.write_text(original)
        modes.forget()


def test_what_dbt_does_for_its_own_materializations(modes: Warehouse) -> None:
    """A contract is kept, columns that come are added, comments and grants are written, in builds and in steps."""
    text = "text" if modes.engine == "postgres" else "varchar"
    sql, yaml = modes.home / "models" / "counted.sql", modes.home / "models" / "counted.yml"
    settings = "scope='user_id', unique_key='user_id', on_schema_change='append_new_columns'"
    settings += ", persist_docs={'relation': true, 'columns': true}"
    settings += ", grants={'select': ['modes_reader']}" if modes.engine == "postgres" else ""
    begun = f"[{{name: user_id, data_type: {text}, description: Who.}}, {{name: events, data_type: bigint}}"

    def write(added: str = "", column: str = "") -> None:
        sql.write_text(
            f"{{{{ config({settings}) }}}}\nselect user_id, count(*) as events{added}"
            " from {{ ref('event_log') }} where user_id is not null group by 1"
        )
        yaml.write_text(
            "models:\n  - name: counted\n    description: Events of users.\n    config: {contract: {enforced: true}}\n"
            f"    columns: {begun}{column}]\n"
        )
        modes.forget()

    if modes.engine == "postgres":
        modes.execute(
            "do $$ begin if not exists (select from pg_roles where rolname = 'modes_reader') then"
            " create role modes_reader; end if; end $$"
        )
    try:
        write()
        modes.land([{"id": "a", "received_at": START}, {"id": "b", "received_at": START}])
        modes.dbt("run", "-s", "event_log", "counted")
        assert modes.text_rows("select * from modes.counted") == [("a", "1"), ("b", "1")]
        write(", max(received_at) as last_at", ", {name: last_at, data_type: timestamp}")
        modes.land([{"id": "a", "received_at": START, "username": "Ann"}])
        modes.dbt("run", "-s", "event_log", "counted")
        assert modes.text_rows("select user_id, events, cast(last_at as date) from modes.counted") == [
            ("a", "2", "2024-02-26"),
            ("b", "1", "2024-02-26"),
        ]
        modes.land([{"id": "b", "received_at": START, "username": "Bob"}])
        modes.dbt("run", "-s", "event_log", "counted")
        assert modes.text_rows("select user_id, events from modes.counted") == [("a", "2"), ("b", "2")]
        if modes.engine == "postgres":
            table = "'modes.counted'::regclass"
            assert modes.rows(f"select obj_description({table}), col_description({table}, 1)") == [
                ("Events of users.", "Who.")
            ]
            assert modes.rows(f"select has_table_privilege('modes_reader', {table}, 'select')") == [(True,)]
        else:
            found = "select comment from duckdb_tables() where table_name = 'counted'"
            assert modes.rows(found) == [("Events of users.",)]
    finally:
        sql.unlink(missing_ok=True)
        yaml.unlink(missing_ok=True)
        modes.forget()
