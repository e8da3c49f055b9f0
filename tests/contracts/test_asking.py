"""Questions asked of each kind of warehouse."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from functools import partial
from pathlib import Path

import pytest

from penstock.errors import DestinationError
from penstock.ports import Destination
from penstock.project import Project, load_project
from penstock.report.asking import Answer, answer, asking
from penstock.report.models import Models
from tests.support.reports import models, question, shop
from tests.support.scheduled import a_project, drop, things
from tests.support.up import call, eventually, up


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
    return answer(question("orders", sql, **header), partial(destination.query, read_only=True), known)


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


HARMFUL = [
    "with a as (select 1) delete from raw.things",
    "with a as (delete from raw.things returning *) select count(*) as n from a",
    "with a as (select 1) insert into raw.things select * from raw.things",
    "with a as (select 1) update raw.things set name = 'x' returning name",
    "select 1 as a; drop table raw.things",
    "select 1 as a; commit; delete from raw.things",
    "select 1 as a; rollback; delete from raw.things; select 2 as b",
    "select nextval('penstock.load_ids') as n",
]
"""What begins as a question does and would change something."""


@pytest.fixture(params=["duckdb", "postgres"])
def loaded(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """A project of one stream, with a row in each kind of warehouse."""
    warehouse = {"type": "duckdb", "path": "warehouse.duckdb"}
    if request.param == "postgres":
        warehouse = {"type": "postgres", "url": request.getfixturevalue("postgres_url")}
    directory = a_project(tmp_path, warehouse, None)
    loaded = call(directory, "run", "--quiet")
    assert loaded.returncode == 0, loaded.stderr
    return load_project(directory)


def test_a_question_changes_nothing(loaded: Project, known: Models) -> None:
    """However its text begins, and if it would end the transaction that it is asked in."""
    counted = question("counted", "select count(*) as n from raw.things")
    with asking(loaded) as query:
        before = query("select last_value from penstock.load_ids").rows if loaded.destination.type != "duckdb" else []
        for sql in HARMFUL:
            found = answer(question("harm", sql), query, known)
            assert found.rows is None and isinstance(found.problem, DestinationError), sql
            assert answer(counted, query, known).records() == [{"n": 1}], sql
        deleting = answer(question("harm", HARMFUL[0]), query, known).problem
        assert deleting is not None
        assert deleting.what == (
            "a question reads and changes nothing: cannot execute DELETE in a read-only transaction"
        )
        assert not before or query("select last_value from penstock.load_ids").rows == before
    with asking(loaded) as query:
        assert answer(counted, query, known).records() == [{"n": 1}]


@pytest.mark.parametrize("sql", ["commit; delete from raw.things", "commit", "begin; select 1", "", " ; "])
def test_a_reading_takes_one_statement(destination: Destination, sql: str) -> None:
    """Whoever asks: what ends the transaction has nothing after it, and the connection serves on."""
    destination.query("create table raw.things (n integer)")
    destination.query("insert into raw.things values ($1)", [7])
    with contextlib.suppress(DestinationError):
        assert not destination.query(sql, read_only=True).rows
    assert destination.query("select n from raw.things where n = $1", [7], read_only=True).rows == [(7,)]
    destination.query("delete from raw.things")
    assert destination.query("select n from raw.things").rows == []


@pytest.mark.parametrize(
    "sql",
    [
        "select count(*) as n from marts.orders;",
        "-- delete;\nselect count(*) as n /* ; drop */ from marts.orders ; -- all; of them\n",
        "with a as (select * from marts.orders) select count(*) as n from a",
        "select count(*) as n from marts.orders where coalesce(city, '') not like '%;%s%%'",
        "(select count(*) as n from marts.orders)",
    ],
)
def test_one_statement_however_written(orders: Destination, known: Models, sql: str) -> None:
    """Semicolons at the end, in comments and in texts end nothing."""
    found = ask(orders, known, sql)
    assert (found.problem, found.records()) == (None, [{"n": 3}])


def test_a_pivot_whose_columns_are_found(local: Destination, known: Models) -> None:
    """DuckDB makes several statements of it, which read."""
    local.query("create table t as select 1 as a, 'x' as k union all select 2, 'y'")
    assert ask(local, known, "pivot t on k using sum(a)").records() == [{"x": 1, "y": 2}]
    assert ask(local, known, "pivot t on k using sum(a); drop table t").rows is None
    assert local.query("select count(*) from t").rows == [(2,)]


def test_beside_up(tmp_path: Path) -> None:
    """The process that holds the warehouse changes nothing for a question; for ``penstock query`` it does."""
    project = a_project(tmp_path, {"type": "duckdb", "path": "warehouse.duckdb"}, {"every": "1s"})
    (project / "questions").mkdir()
    for i, sql in enumerate([*HARMFUL, "select count(*) as n from raw.things; -- all"]):
        (project / "questions" / f"q{i}.sql").write_text(f"-- question: What?\n-- show: table\n{sql}\n")
    with up(project) as process:
        eventually(things(process), 1)
        asked = call(project, "ask", "--all", "--json")
        assert asked.returncode == 1, asked.stderr
        said = json.loads(asked.stdout)
        assert [a["rows"] for a in said[:-1]] == [None] * len(HARMFUL)
        assert said[-1]["rows"] == [{"n": 1}]
        assert things(process)() == 1
        assert call(project, "query", "with a as (select 1) delete from raw.things").returncode == 0
        assert things(process)() == 0
        drop(project, "second")
        eventually(things(process), 1)
        assert process.end() == 0
