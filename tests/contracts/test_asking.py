"""Questions asked of each kind of warehouse."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from penstock.errors import DestinationError
from penstock.ports import Destination
from penstock.report.asking import Answer, answer
from penstock.report.models import Models
from tests.reports import models, question, shop


@pytest.fixture
def known(tmp_path: Path) -> Models:
    """The shop's models."""
    return models(shop(tmp_path))


@pytest.fixture
def orders(destination: Destination) -> Destination:
    """Each warehouse, with three orders in a mart, one of them without a city."""
    destination.query("create schema marts")
    destination.query("create table marts.orders (day date, city varchar(20), amount decimal(10,2), big bigint)")
    destination.query(
        "insert into marts.orders values ('2025-03-01', 'Oslo', 1.50, 1), ('2025-03-01', 'Rome', 2.25, 2),"
        " ('2025-03-02', null, 4, 3)"
    )
    return destination


def ask(destination: Destination, known: Models, sql: str, **header: object) -> Answer:
    """One question's answer."""
    return answer(question("orders", sql, **header), destination.query, known)


def test_the_same_numbers_everywhere(orders: Destination, known: Models) -> None:
    """``ref`` is the model's table; the sum of decimals is exact, and which column is what follows from the types."""
    sql = (
        "-- by day\nselect day, sum(amount) as amount, cast(sum(big) as bigint) as n from {{ ref('orders') }}"
        " group by day order by day"
    )
    found = ask(orders, known, sql, show="line")
    assert found.problem is None
    assert [m.name for m in found.reads] == ["orders"]
    assert found.axes is not None
    assert (found.axes.x, list(found.axes.ys)) == ("day", ["amount", "n"])
    assert [(r["day"], str(r["amount"]), r["n"]) for r in found.records()] == [
        (dt.date(2025, 3, 1), "3.75", 3),
        (dt.date(2025, 3, 2), "4.00", 3),
    ]


def test_the_package_and_raw_tables_may_be_named(orders: Destination, known: Models) -> None:
    """As in dbt."""
    orders.query("create table if not exists raw.orders (id integer)")
    assert ask(orders, known, "select count(*) as n from {{ source('raw', 'orders') }}").records() == [{"n": 0}]
    assert ask(orders, known, 'select count(*) as n from {{ ref("orders") }} -- all').records() == [{"n": 3}]


@pytest.mark.parametrize(
    ("sql", "show", "what", "fix"),
    [
        ("select * from {{ ref('ordesr') }}", "table", "there is no model 'ordesr'", "did you mean orders?"),
        ("select * from {{ source('raw', 'x') }}", "table", "there is no source 'raw.x'", "raw.orders"),
        ("select * from {{ reff('orders') }}", "table", "the SQL's template is wrong", "ref and source"),
        ("select * from {{ ref('orders') ", "table", "the SQL's template is wrong", "ref and source"),
        ("select * from {{ ref() }}", "table", "the SQL's template is wrong", ""),
        ("select nothing from {{ ref('orders') }}", "table", "nothing", "penstock ask orders --sql"),
        ("drop table marts.orders", "table", "a question reads and changes nothing", "select"),
        ("/* select */ delete from marts.orders", "table", "a question reads and changes nothing", "select"),
        ("select city from {{ ref('orders') }}", "bar", "no column of numbers", "-- show: table"),
    ],
)
def test_a_question_that_cannot_be_answered(
    orders: Destination, known: Models, sql: str, show: str, what: str, fix: str
) -> None:
    """Says why and how to mend it, breaks nothing, and the next one is answered."""
    found = ask(orders, known, sql, show=show)
    assert found.rows is None
    assert found.problem is not None
    assert what in found.problem.what
    assert fix in found.problem.fix
    assert found.problem.where == "questions/orders.sql"
    assert ask(orders, known, "select count(*) as n from marts.orders").records() == [{"n": 3}]


def test_a_model_that_was_not_built(destination: Destination, known: Models) -> None:
    """The fix is the command that builds it."""
    problem = ask(destination, known, "select * from {{ ref('orders') }}").problem
    assert isinstance(problem, DestinationError)
    assert "penstock run, which builds orders" in problem.fix


def test_columns_that_the_header_names(orders: Destination, known: Models) -> None:
    """They are used; one that the answer has not is named with its neighbour."""
    sql = "select city, day, big from {{ ref('orders') }} order by big"
    found = ask(orders, known, sql, show="bar", x="day", by="city")
    assert found.axes is not None
    assert (found.axes.x, list(found.axes.ys), found.axes.by) == ("day", ["big"], "city")
    wrong = ask(orders, known, sql, show="bar", x="dya").problem
    assert wrong is not None
    assert wrong.what == "`x` names the column 'dya', which the answer has not"
    assert wrong.fix == "did you mean day?"
    text = ask(orders, known, sql, show="bar", x="day", y="city").problem
    assert text is not None
    assert text.what == "`y` names city, which is no number"


def test_an_empty_answer(orders: Destination, known: Models) -> None:
    """Is an answer."""
    found = ask(orders, known, "select day, big from {{ ref('orders') }} where big > 9", show="bar")
    assert (found.problem, found.axes, found.records()) == (None, None, [])
