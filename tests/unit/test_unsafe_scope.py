"""The look at a model's SQL tells a scope that is safe from one that is not, and names the part and the fix."""

from __future__ import annotations

import random

import duckdb
import pytest

from penstock.transform.scopes.sums import unsafe_sums
from penstock.transform.scopes.unsafe import Lookup, Read, unsafe_scope

EVENTS: dict[str, Read] = {"historical.user_event": ["event_date"]}
TWO: dict[str, Read] = {"historical.user_event": ["event_date"], "reports.visits": ["visit_date"]}
USERS: dict[str, Read] = {
    "dimensional.dim_user": ["durable_user_key", "valid_from"],
    "dimensional.dim_organization": Lookup(through="dim_user", on=["organization_name"], their=["organization_name"]),
}
E = "historical.user_event"

SAFE = {
    "groups of the scope": f"select event_date, user_type, count(*) as n from {E} group by 1, 2",
    "groups by a result's column": f"select event_date as event_date, count(*) from {E} group by event_date",
    "groups by all": f"select event_date, count(*) as n from {E} group by all",
    "rows as they are": f"select * from {E} where event_type is not null",
    "rows as they are, under an alias": f"select e.* from {E} as e",
    "quoted names": 'select "event_date", count(*) from "warehouse"."historical"."user_event" group by "event_date"',
    "a window within the scope": f"""
        select event_date, n from (
          select event_date, row_number() over (partition by event_date, user_id order by received_at) as n from {E}
        ) as numbered where n <= 3""",
    "a named window": f"""
        select event_date, sum(records) over w as running from {E} window w as (partition by event_date order by x)""",
    "rows one by one by distinct on": f"select distinct on (event_date, user_id) event_date, user_id from {E}",
    "distinct": f"select distinct event_date, user_id from {E}",
    "a common table expression used twice": f"""
        with said as (select event_date, user_id, count(*) as n from {E} group by 1, 2),
        users as (select event_date, count(*) as users from said group by 1),
        events as (select event_date, sum(n) as events from said group by 1)
        select users.event_date, users.users, events.events from users
        left join events on events.event_date = users.event_date""",
    "joined aggregates, by using": f"""
        with a as (select event_date, count(*) as n from {E} group by 1),
        b as (select event_date, max(records) as most from {E} group by 1)
        select event_date, n, most from a join b using (event_date)""",
    "both sides of a full join": f"""
        with a as (select event_date, count(*) as n from {E} where x = 1 group by 1),
        b as (select event_date, count(*) as m from {E} where x = 2 group by 1)
        select coalesce(a.event_date, b.event_date) as event_date, n, m
        from a full join b on a.event_date = b.event_date""",
    "a join in the where clause": f"""
        select a.event_date, b.x from {E} as a, (select event_date, max(x) as x from {E} group by 1) as b
        where a.event_date = b.event_date""",
    "one after the other": f"""
        select event_date, x from {E} union all select event_date, y from {E} where y is not null""",
    "both, each once": f"select event_date, x from {E} union select event_date, y from {E}",
    "all but some": f"select event_date, x from {E} except select event_date, y from {E}",
    "a row of no scope beside them": f"""
        select event_date, user_id from {E} union all select cast(null as date), '(unknown)'""",
    "a number for each row, of the same scope": f"""
        select e.event_date, (select max(o.x) from {E} as o where o.event_date = e.event_date) as most from {E} as e""",
    "a few of the same scope": f"""
        select e.event_date, (
          select o.x from {E} as o where o.event_date = e.event_date order by o.x limit 1
        ) as first from {E} as e""",
    "rows beside it, of the same scope": f"""
        select e.event_date, near.x from {E} as e cross join lateral (
          select o.x from {E} as o where o.event_date = e.event_date order by o.x limit 2
        ) as near""",
    "rows that another has, of the same scope": f"""
        select event_date from {E} as e where not exists (
          select 1 from {E} as o where o.event_date = e.event_date and o.user_id = e.user_id and o.x > e.x
        )""",
    "scopes that have something": f"""
        select event_date, x from {E} where event_date in (select event_date from {E} where x > 5)""",
    "scopes that have something, in an array": f"""
        select event_date, x from {E} where event_date = any(array(select event_date from {E} where x > 5))""",
    "values beside it": f"select e.event_date, v.x from {E} as e cross join (values (1), (2)) as v (x)",
    "what a column holds": f"select e.event_date, n.n from {E} as e cross join lateral unnest(e.list) as n (n)",
    "no table at all": "select date '2024-01-01' as event_date, 1 as n",
}

UNSAFE = {
    "a running total": (
        "select event_date, sum(n) over (order by event_date) as running"
        f" from (select event_date, count(*) as n from {E} group by 1) as daily",
        ["OVER (ORDER BY event_date)", "not partitioned by event_date", "add event_date"],
    ),
    "a window over everything": (f"select event_date, count(*) over () as n from {E}", ["COUNT(*) OVER ()"]),
    "a window by something else": (
        f"select event_date, row_number() over (partition by user_id order by x) as n from {E}",
        ["PARTITION BY user_id", "not partitioned by event_date"],
    ),
    "a named window by something else": (
        f"select event_date, sum(x) over w as n from {E} window w as (partition by user_id)",
        ["not partitioned by event_date"],
    ),
    "a limit": (f"select event_date, x from {E} order by x limit 10", ["LIMIT 10", "row_number()"]),
    "an offset": (f"select event_date, x from {E} offset 3", ["OFFSET 3"]),
    "a limit in a common table expression": (
        f"with first as (select * from {E} order by x fetch first 5 rows only) select event_date from first",
        ["FETCH FIRST 5 ROWS"],
    ),
    "a limit of a union": (f"select event_date from {E} union all select event_date from {E} limit 5", ["LIMIT 5"]),
    "distinct on something else": (
        f"select distinct on (user_id) event_date, user_id from {E} order by user_id, x",
        ["DISTINCT ON (user_id)", "event_date is not in it"],
    ),
    "groups without the scope": (
        f"select max(event_date) as event_date, user_id from {E} group by user_id",
        ["GROUP BY user_id", "without event_date", "add event_date"],
    ),
    "one row of everything": (f"select max(event_date) as event_date, count(*) as n from {E}", ["MAX(event_date)"]),
    "groups of several kinds": (
        f"select event_date, user_id, count(*) from {E} group by grouping sets ((event_date), (user_id))",
        ["without event_date"],
    ),
    "another column as the scope": (
        f"select created_on as event_date, x from {E}",
        ["created_on AS event_date", "sources"],
    ),
    "a label for scopes without a value": (
        f"select coalesce(event_date, date '1970-01-01') as event_date from {E}",
        ["COALESCE(event_date"],
    ),
    "the scope left out": (f"select user_id from {E}", ["event_date is the scope, but no column of the result"]),
    "a star that replaces it": (f"select * replace (x as event_date) from {E}", ["event_date is not the column"]),
    "two arms of different columns": (
        f"select event_date, x from {E} union all select ended_on, x from {E}",
        ["event_date is not the column"],
    ),
    "a join by something else": (
        f"select a.event_date, b.x from {E} as a join {E} as b on a.user_id = b.user_id",
        ["a and b are joined, but not by event_date", "add event_date to the join's condition"],
    ),
    "an outer join by something else": (
        f"select a.event_date, b.x from {E} as a left join {E} as b on a.user_id = b.user_id",
        ["a and b are joined, but not by event_date"],
    ),
    "a join by less than equality": (
        f"select a.event_date, sum(b.x) as x from {E} as a join {E} as b on b.event_date <= a.event_date group by 1",
        ["a and b are joined, but not by event_date"],
    ),
    "a join with one row of everything": (
        f"select e.event_date, e.x / t.x as share from {E} as e cross join (select sum(x) as x from {E}) as t",
        ["not by event_date"],
    ),
    "the side of an outer join that may be missing": (
        f"""select b.event_date, a.x from {E} as a left join {E} as b on a.event_date = b.event_date""",
        ["event_date is not the column"],
    ),
    "one side of a full join": (
        f"select a.event_date, b.x from {E} as a full join {E} as b on a.event_date = b.event_date",
        ["event_date is not the column"],
    ),
    "a number of everything": (
        f"select event_date, x - (select avg(x) from {E}) as above from {E}",
        ["SELECT AVG(x) FROM historical.user_event", "every scope of historical.user_event"],
    ),
    "a running total by a query": (
        f"""select e.event_date, (select sum(o.x) from {E} as o where o.event_date <= e.event_date) as running
        from {E} as e""",
        ["every scope of historical.user_event"],
    ),
    "what no scope has": (
        f"select event_date, x from {E} where event_date not in (select event_date from {E} where x > 5)",
        ["every scope of historical.user_event"],
    ),
    "users that did something": (
        f"select event_date, x from {E} where user_id in (select user_id from {E} where x > 5)",
        ["every scope of historical.user_event"],
    ),
    "a recursion": (
        f"""with recursive days as (
          select event_date, x from {E} union all select event_date + 1, x from days where x < 3
        ) select event_date, x from days""",
        ["recursive"],
    ),
    "a sample": (f"select event_date from {E} tablesample 10 percent", ["SAMPLE"]),
    "a pivot": (f"select * from {E} pivot (sum(x) for user_type in ('a', 'b'))", ["rows into columns"]),
    "rows by their places": (f"select a.event_date from {E} as a positional join {E} as b", ["by their places"]),
    "the time": (f"select event_date, now() as built_at from {E}", ["another value each time"]),
    "the day": (f"select event_date from {E} where event_date > current_date - 7", ["CURRENT_DATE"]),
    "chance": (f"select event_date, random() as r from {E}", ["another value each time"]),
    "a key made up": (f"select event_date, gen_random_uuid() as k from {E}", ["another value each time"]),
    "a table read by its name": (f"select e.event_date from {E} as e join other.t on true", ["other.t", "ref()"]),
    "no SQL": ("select from where", ["cannot be followed"]),
}

COLUMNS = (
    "event_date date, ended_on date, created_on date, user_id varchar, user_type varchar, event_type varchar,"
    " received_at timestamp, x integer, y integer, records integer, list integer[]"
)


def filled(chance: random.Random, connection: duckdb.DuckDBPyConnection, rows: int) -> None:
    """A table with rows of few values, so that they meet."""
    connection.execute("create schema if not exists historical")
    connection.execute(f"create or replace table {E} ({COLUMNS})")
    days = [f"2024-01-0{day}" for day in range(1, 5)]
    for _ in range(rows):
        values: list[str | None] = [chance.choice(days) for _ in range(3)]
        values += [chance.choice(["a", "b", None]) for _ in range(3)]
        values += [f"{chance.choice(days)} 12:00:00"]
        row = [*values, chance.randint(0, 9), chance.randint(0, 9), chance.randint(1, 3), [chance.randint(0, 2)]]
        connection.execute(f"insert into {E} values ({', '.join('?' * len(row))})", row)


@pytest.mark.parametrize("case", [case for case in SAFE if "any(array(" not in SAFE[case]])
def test_what_is_let_pass_gives_the_rows_of_a_scope_from_input_of_that_scope(case: str) -> None:
    """The definition: over rows that are filtered to some scopes, the SQL gives their rows of the whole result."""
    sql = SAFE[case].replace('"warehouse".', "")
    scopes = "('2024-01-01', '2024-01-03')"
    with duckdb.connect() as connection:
        for seed in range(6):
            filled(random.Random(seed), connection, rows=4 * seed)
            whole = f"select * from ({sql}) as model where event_date in {scopes}"
            full = connection.execute(whole).fetchall()
            connection.execute(f"delete from {E} where event_date not in {scopes}")
            assert sorted(map(repr, connection.execute(whole).fetchall())) == sorted(map(repr, full)), seed


ONLY_DUCKDB = {"groups by all", "a star that replaces it", "a sample", "a pivot", "rows by their places"}


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
@pytest.mark.parametrize("case", SAFE)
def test_a_safe_scope_is_let_pass(case: str, dialect: str) -> None:
    """What is made of rows of one scope at a time is not complained of."""
    if case in ONLY_DUCKDB and dialect == "postgres":
        dialect = "duckdb"
    assert unsafe_scope(SAFE[case], ["event_date"], EVENTS, dialect) is None


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
@pytest.mark.parametrize("case", UNSAFE)
def test_an_unsafe_scope_is_told(case: str, dialect: str) -> None:
    """What takes rows of several scopes together is told on one line, with the part and the fix."""
    if case in ONLY_DUCKDB and dialect == "postgres":
        dialect = "duckdb"
    sql, words = UNSAFE[case]
    reason = unsafe_scope(sql, ["event_date"], EVENTS, dialect)
    assert reason is not None
    assert "\n" not in reason
    assert "; " in reason
    assert [word for word in words if word not in reason] == [], reason


CHANGING = [
    *("now()", "today()", "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"),
    *("clock_timestamp()", "statement_timestamp()", "transaction_timestamp()", "timeofday()", "age(received_at)"),
    *("random()", "uuid()", "gen_random_uuid()", "nextval('places')"),
    *("cast('now' as timestamp)", "date 'today'", "'Tomorrow'::date", "cast(' yesterday ' as date)"),
    *("cast(cast('now' as text) as timestamp)", "case when received_at >= 'today' then 1 end"),
]


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
@pytest.mark.parametrize("changing", CHANGING)
def test_what_gives_another_value_each_time_is_told(changing: str, dialect: str) -> None:
    """The clock, chance and sequences, in the words of both engines."""
    scope = unsafe_scope(f"select event_date, {changing} as x from {E}", ["event_date"], EVENTS, dialect)
    inputs = {E: frozenset[str]()}
    sums = unsafe_sums(
        f"select event_date, count(*) as n from {E} where x < {changing} group by 1", ["n"], inputs, dialect
    )
    for reason in (scope, sums):
        assert reason is not None and "gives another value each time" in reason, reason


def test_a_time_of_the_records_is_let_pass() -> None:
    """The age of one time at another, and a text that is a word of the clock's, are the same again."""
    columns = "event_date, age(received_at, sent_at) as x, cast('today' as text) as day"
    sql = f"select {columns} from {E} where event_type = 'now'"
    assert unsafe_scope(sql, ["event_date"], EVENTS, "postgres") is None


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (f"select e.event_date, v.n from {E} as e join reports.visits as v on v.visit_date = e.event_date", ""),
        (f"select e.event_date, v.n from {E} as e left join reports.visits as v on v.visit_date = e.event_date", ""),
        (f"select event_date, n from {E} union all select visit_date, n from reports.visits", ""),
        ("select visit_date as event_date, n from reports.visits", ""),
        (
            f"select e.event_date from {E} as e join reports.visits as v on v.made_on = e.event_date",
            "not by event_date",
        ),
        (
            f"select event_date, n from {E} union all select event_date, n from reports.visits",
            "event_date is not the column",
        ),
    ],
)
def test_each_table_is_followed_by_its_own_column(sql: str, words: str) -> None:
    """Tables that are filtered by different columns meet where those are equal."""
    reason = unsafe_scope(sql, ["event_date"], TWO, "postgres")
    assert words in reason if reason else not words, reason


def test_a_scope_can_be_an_expression_of_the_input() -> None:
    """A table filtered by an expression carries the scope in that expression, however it is written."""
    refs: dict[str, Read] = {"raw.events": ["cast(received_at as date)"]}
    safe = "select cast(e.received_at as date) as event_date, count(*) as n from raw.events as e group by 1"
    assert unsafe_scope(safe, ["event_date"], refs, "postgres") is None
    assert (
        unsafe_scope(safe.replace("cast(e.received_at as date)", "e.received_at::date"), ["event_date"], refs, "duckdb")
        is None
    )
    label = "select coalesce(term, 0) as event_date, count(*) as n from raw.events group by coalesce(term, 0)"
    assert unsafe_scope(label, ["event_date"], {"raw.events": ["coalesce(term, 0)"]}, "postgres") is None
    assert unsafe_scope(label, ["event_date"], {"raw.events": ["term"]}, "postgres") is not None
    other = "select cast(e.sent_at as date) as event_date, count(*) as n from raw.events as e group by 1"
    assert unsafe_scope(other, ["event_date"], refs, "postgres") is not None


ORGANIZATIONS = """
with organizations as (
  select organization_key, organization_name from (
    select *, row_number() over (partition by {partition} order by created_at) as place
    from dimensional.dim_organization
  ) as ranked where place = 1
)
select dim_user.durable_user_key, dim_user.valid_from, organizations.organization_key
from dimensional.dim_user {join} organizations on organizations.organization_name = dim_user.{column}
"""


@pytest.mark.parametrize(
    ("partition", "join", "column", "words"),
    [
        ("organization_name", "left join", "organization_name", None),
        ("organization_name", "join", "organization_name", None),
        ("organization_key", "left join", "organization_name", "not partitioned by dimensional.dim_organization"),
        ("organization_name", "left join", "username", "is a look-up, but is not joined by"),
        ("organization_name", "full join", "organization_name", ""),
    ],
)
def test_a_look_up_is_joined_by_what_its_changes_go_by(
    partition: str, join: str, column: str, words: str | None
) -> None:
    """A change of a look-up touches rows by one of its columns: it has to be joined by that one, and ranked in it."""
    sql = ORGANIZATIONS.format(partition=partition, join=join, column=column)
    reason = unsafe_scope(sql, ["durable_user_key", "valid_from"], USERS, "duckdb")
    assert reason is None if words is None else reason is not None and words in reason, reason


def test_every_column_of_a_scope_counts() -> None:
    """A scope of two columns needs both in groups, windows and joins."""
    refs: dict[str, Read] = {"t": ["a", "b"]}
    assert unsafe_scope("select a, b, count(*) as n from t group by a, b", ["a", "b"], refs, "duckdb") is None
    for sql in (
        "select a, max(b) as b from t group by a",
        "select a, b, count(*) over (partition by a) as n from t",
        "select x.a, x.b from t as x join t as y on x.a = y.a",
        "select a, b from t where a in (select a from t)",
    ):
        assert "b" in (unsafe_scope(sql, ["a", "b"], refs, "duckdb") or ""), sql
    pair = "select a, b from t where (a, b) in (select a, b from t where c)"
    assert unsafe_scope(pair, ["a", "b"], refs, "postgres") is None


def test_tables_whose_changes_do_not_count_are_let_pass() -> None:
    """A table that is read whole, by the model's own word, may be joined in any way."""
    refs: dict[str, Read] = {**EVENTS, "dimensional.dim_date": None}
    sql = "select e.event_date, d.week from historical.user_event as e cross join dimensional.dim_date as d"
    assert unsafe_scope(sql, ["event_date"], refs, "duckdb") is None
