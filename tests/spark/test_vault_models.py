"""The example of car subscriptions on Spark: a vault and its marts, with the rows that DuckDB has."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import pytest

from penstock.destinations.spark.session import open_session
from penstock.errors import TransformError
from penstock.project import Spark
from tests.support.car_marts import Record, lines, parsed
from tests.support.servers import a_database
from tests.support.spark_models import Both, car_subscriptions, vault

pytestmark = pytest.mark.timeout(1500)

News = Mapping[str, Sequence[Record]]
LOADS = 8


@pytest.fixture(scope="module")
def customers(postgres_server: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """A vault; the tests of this module go on where the one before ended."""
    project = vault(tmp_path_factory.mktemp("customers"))
    with a_database(postgres_server, ledger_template) as url, closing(Both(project, url)) as opened:
        yield opened


@pytest.fixture(scope="module")
def news() -> Iterator[News]:
    """What lands in it, a load at a time."""
    return iter(told())


def told() -> list[News]:
    """All that there is, in any order and some of it twice, as loads."""
    chance = random.Random(5)
    loads: list[dict[str, list[Record]]] = [{} for _ in range(LOADS)]
    for stream, text in lines(60, 7, 40).items():
        records = parsed(text)
        for record in [*records, *chance.sample(records, 15)]:
            loads[chance.randrange(LOADS)].setdefault(stream, []).append(record)
    return list(loads)


def spark(both: Both, sql: str) -> None:
    """Have somebody else run a statement in Spark."""
    settings = both.lake.project.destination
    assert isinstance(settings, Spark)
    open_session(settings).sql(sql)


def gone(before: Mapping[str, Counter[str]], after: Mapping[str, Counter[str]]) -> list[str]:
    """The tables of the vault that have lost a row."""
    kinds = ("core.hub_", "core.link_", "core.sat_")
    return [table for table in before if table.startswith(kinds) and before[table] - after[table]]


def test_steps_equal_a_full_refresh(customers: Both, news: Iterator[News]) -> None:
    """Late, repeated and tied records, several loads a step: a step leaves what all of the records give, down to the
    load that a key came by first, and nothing is changed or taken away. Killed after its snapshots and before the
    ledger had them, a step is done again, and writes nothing."""
    customers.land(next(news))
    customers.models.run()
    known: Mapping[str, list[tuple[Any, ...]]] = {}
    for loads in (1, 2):
        known, before = customers.kept(), customers.content()
        for _ in range(loads):
            customers.land(next(news))
        customers.models.run()
        assert gone(before, customers.content()) == []
    after, stepwise = customers.snapshots(), customers.content()
    customers.forget(known)
    assert not customers.models.run().reason
    assert customers.snapshots() == after
    customers.expect_same()
    customers.models.run(full_refresh=True)
    assert customers.content() == stepwise
    modes = customers.ledger("select distinct step::json ->> 'mode' from penstock_lake.models order by 1")
    assert modes == [("insert_only",), ("pit",)]


def test_again_is_nothing(customers: Both) -> None:
    """Nothing new, or a model that says the same in other words: no snapshot is written."""
    before = customers.snapshots()
    assert not customers.models.run().nodes
    model = customers.folder / "models" / "core" / "hub_customer.sql"
    model.write_text(model.read_text() + "\n-- as before")
    assert not customers.models.run().reason
    assert customers.snapshots() == before


def test_rows_that_are_gone(customers: Both, news: Iterator[News]) -> None:
    """Rows that somebody took from the vault are there again after the next step; those that went from a raw table stay
    in the vault."""
    before = customers.content()
    spark(customers, "delete from core.link_subscription where _pen_load is not null")
    spark(customers, "delete from raw.customers")
    customers.land(next(news))
    customers.models.run(select=["link_subscription", "sat_customer"])
    assert gone(before, customers.content()) == []


def test_another_rule_is_refused(customers: Both, news: Iterator[News]) -> None:
    """A table that was hashed by another rule takes nothing in until it is built anew."""
    before = customers.snapshots()["core.hub_customer"]
    customers.land(next(news))
    model = customers.folder / "models" / "core" / "hub_customer.sql"
    sql = model.read_text()
    model.write_text(sql.replace("business_key='customer_id'", "business_key='customer_id', normalize=['trim']"))
    with pytest.raises(TransformError, match="hashed by rule"):
        customers.models.run(select=["hub_customer"])
    assert customers.snapshots()["core.hub_customer"] == before
    customers.models.run(select=["hub_customer"], full_refresh=True)
    rules = customers.lake.destination.query("select distinct hash_rule from core.hub_customer").rows
    assert rules == [("v1 customer_id:trim",)]


def test_the_whole_example(
    postgres_server: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Raw tables, the vault and the marts have the rows that they have in DuckDB, after a first build and after a step;
    the questions have the same answers."""
    project = car_subscriptions(tmp_path_factory.mktemp("cars"))
    with a_database(postgres_server, ledger_template) as url, closing(Both(project, url)) as cars:
        for load in told()[:2]:
            cars.land(load)
            cars.models.run()
            cars.expect_same()
        assert {"core.eff_subscription", "marts.weekly_deliveries"} <= cars.snapshots().keys()
        cars.expect_same_answers()
