"""The look at a model's SQL tells sums that can be moved by what came and went from those that cannot."""

from __future__ import annotations

import pytest

from penstock.destinations.spark.capabilities import CAPABILITIES
from penstock.transform.scopes.sums import unsafe_sums

T = 'from "w"."reports"."said" group by 1'
INPUTS = {"reports.said": frozenset({"records"}), "reports.seen": frozenset[str]()}


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
@pytest.mark.parametrize(
    ("columns", "additive", "words"),
    [
        ("day, count(*) as n", ["n"], None),
        ("day, cast(count(*) as bigint) as n, sum(x) as x", ["n", "x"], None),
        ("day, cast(sum(records) as bigint) as records, count(*) as users", ["records", "users"], None),
        ("day, count(*) as n, sum(case when a = 'b' then 1 else 0 end) as b", ["n", "b"], None),
        ("day, count(*) as n, count(*) filter (where a = 'b') as b, count(x) as xs", ["n", "b", "xs"], None),
        ("day, count(*) as n, coalesce(sum(x), 0) - sum(y) as left_over", ["n", "left_over"], None),
        (
            "day, sum(amount) as amount",
            ["amount"],
            "SUM(amount) may be zero where there are rows; name a count(*) first",
        ),
        ("day, sum(amount) as amount, count(*) as n", ["amount", "n"], "SUM(amount) may be zero"),
        ("day, count(x) as n", ["n"], "COUNT(x) may be zero"),
        ("day, count(*) as n, avg(x) as x", ["n", "x"], "AVG(x) is not a sum"),
        ("day, count(*) as n, max(x) as x", ["n", "x"], "MAX(x) is not a sum"),
        ("day, count(*) as n, count(distinct u) as u", ["n", "u"], "is not a sum"),
        ("day, count(*) as n, sum(x) / count(*) as mean", ["n", "mean"], "is not a sum"),
        ("day, count(*) as n, round(sum(x)) as x", ["n", "x"], "is not a sum"),
        ("day, count(*) as n, greatest(sum(x), 0) as x", ["n", "x"], "is not a sum"),
        ("day, count(*) + 1 as n", ["n"], "is not a sum"),
        ("day, count(*) as n", ["m"], "m is no column"),
        ("day, count(*) as n, sum(amount) as amount", ["n"], "SUM(amount) AS amount is not in additive"),
        ("day, count(*) as n, max(x) as x", ["n"], "MAX(x) AS x is not in additive"),
        ("day, count(*) as n, histogram(day) as x", ["n"], "name it in additive if it is a sum"),
        ("day, count(*) as n, json_agg(x) as x", ["n"], "is not in additive"),
        ("day, count(*) as n, coalesce(cast(max(x) as text), '-') as x", ["n"], "is not in additive"),
        ("day, count(*) as n, md5(coalesce(cast(day as text), '-')) as x, 'all' as y", ["n"], None),
        ("day, count(*) as n, md5(cast(u as text)) as x", ["n"], "is not in additive"),
        ("day, count(*) as n, row_number() over (order by day) as x", ["n"], "is a window"),
        ("day, count(*) as n, (select max(x) from reports.said) as x", ["n"], "is a query in an expression"),
        ("distinct day, count(*) as n", ["n"], "DISTINCT"),
        ("day, count(*) as n, cast(sum(x) as bigint) as x", ["n", "x"], "sum(cast(x as bigint))"),
        ("day, count(*) as n, cast(sum(x) as decimal(18, 2)) as x", ["n", "x"], "casts a sum"),
        ("day, count(*) as n, cast(sum(0.5) as bigint) as x", ["n", "x"], "casts a sum"),
        ("day, count(*) as n, cast(sum(case when a then 1.5 else 0 end) as int) as x", ["n", "x"], "casts a sum"),
        ("day, count(*) as n, cast(sum(x) - sum(1) as bigint) as x", ["n", "x"], "casts a sum"),
        ("day, count(*) as n, coalesce(cast(sum(x) as bigint), 0) as x", ["n", "x"], "casts a sum"),
        ("day, count(*) as n, cast(sum(cast(x as bigint)) as bigint) as x", ["n", "x"], None),
        ("day, count(*) as n, cast(sum(case when a then 1 when b then -1 end) as bigint) as x", ["n", "x"], None),
        ("day, count(*) as n, cast(coalesce(sum(2 * records), 0) as bigint) as x", ["n", "x"], None),
        ("day, count(*) as n, cast(count(*) filter (where a = 'b') as decimal(18, 2)) as x", ["n", "x"], None),
        ("day, count(*) as n, cast(count(x) as boolean) as x", ["n", "x"], "AS BOOLEAN) casts"),
        ("day, cast(count(*) as text) as n", ["n"], "AS TEXT) casts"),
    ],
)
def test_sums_are_looked_at(columns: str, additive: list[str], words: str | None, dialect: str) -> None:
    """Only what is linear in the rows is added up, and the first column has to count them."""
    reason = unsafe_sums(f"select {columns} {T}", additive, INPUTS, dialect)
    assert reason is None if words is None else reason is not None and words in reason, reason


S = "reports.said"


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
@pytest.mark.parametrize(
    ("source", "words"),
    [
        (f"{S}", None),
        (f"(select day, 1 as n from {S} union all select ended, n from (select * from reports.seen) as b) as a", None),
        (f"(select day, n from {S} where n > 3 order by n) as a where day is not null", None),
        (f"{S} as a join reports.seen as b on a.x = b.x", "joins rows"),
        (f"{S} as a, reports.seen as b", "joins rows"),
        (f"{S} as a, lateral (select 1 as b) as b", "joins rows"),
        (f"(select a.day from {S} as a left join reports.seen as b on a.x = b.x) as a", "joins rows"),
        (f"(select day, u from {S} group by day, u) as a", "GROUP BY day, u"),
        (f"(select distinct day, u from {S}) as a", "DISTINCT"),
        (f"(select distinct on (day) day, u from {S}) as a", "DISTINCT ON"),
        (f"(select max(day) as day from {S}) as a", "MAX(day) takes several rows together"),
        (f"(select histogram(day) as day from {S}) as a", "HISTOGRAM(day) may be an aggregate"),
        (f"(select parsed(day) as day, x from {S}) as a", None),
        (f"(select parsed(day) as day, * from {S}) as a", None),
        (f"(select 1 as x, x as y, product(day) as day from {S}) as a", "PRODUCT(day) may be an aggregate"),
        (f"(select day, row_number() over (partition by u) as n from {S}) as a where n = 1", "is a window"),
        (f"(select day from {S} order by x limit 5) as a", "LIMIT 5"),
        (f"(select day from {S} union select day from reports.seen) as a", "union"),
        (f"(select day from {S} except select day from reports.seen) as a", "EXCEPT"),
        (f"(select day from {S} intersect select day from reports.seen) as a", "INTERSECT"),
        (f"{S} where x > (select avg(x) from {S})", "is a query in an expression"),
        (f"{S} where x in (select x from reports.seen)", "is a query in an expression"),
        (f"{S} where exists (select 1 from reports.seen)", "is a query in an expression"),
        (f"{S} where x = any (select x from reports.seen)", "is a query in an expression"),
        (f"{S} where x = any (array(select x from reports.seen))", "is a query in an expression"),
        (f"(select day, (select max(x) from reports.seen) as m from {S}) as a", "is a query in an expression"),
        (f"(select day from {S} union all select date '2024-01-01') as a", "reads no input"),
        (f"(select day from {S} union all select * from (values (1)) as v (day)) as a", "is no table"),
        ("generate_series(1, 3) as a (day)", ""),
        ("other.t", "other.t is read without ref()"),
        (f"(select day from {S} union all select day from other.t) as a", "other.t is read without ref()"),
        ("said", "is read without ref()"),
    ],
)
def test_rows_come_one_by_one(source: str, words: str | None, dialect: str) -> None:
    """What is counted is filtered, computed and put together; nothing that takes rows together lies before."""
    reason = unsafe_sums(f"select day, count(*) as n from {source} group by day", ["n"], INPUTS, dialect)
    assert reason is None if words is None else reason is not None and words in reason, reason


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("group by all", None),
        ("group by grouping sets ((day), ())", "groups of several kinds"),
        ("group by rollup (day)", "groups of several kinds"),
        ("group by day, u", "u is grouped by, but no column of the result"),
        ("group by day having count(*) > 1", "HAVING"),
        ("group by day limit 3", "LIMIT 3"),
        ("group by day qualify row_number() over () = 1", "QUALIFY"),
        ("", "has no group by"),
    ],
)
def test_groups_are_the_other_columns(rest: str, words: str | None) -> None:
    """A group is one row of the result, of one kind, and there as long as it counts rows."""
    reason = unsafe_sums(f"select day, count(*) as n from {S} {rest}", ["n"], INPUTS, "duckdb")
    assert reason is None if words is None else reason is not None and words in reason, reason


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (f"select day, 1 as x from {S} union all select ended, 0 from {S}", None),
        (
            f"select day, case when a = 'b' then 1 else 0 end as x from {S} union all select ended, records from {S}",
            None,
        ),
        (f"select day, 1 as x from {S} union all select ended, amount from {S}", "casts a sum"),
        (f"select day, 1 as x from {S} union all select ended, 0.5 from {S}", "casts a sum"),
        (f"select * from (select day, cast(y as bigint) as x from {S}) as b", None),
        (f"select * from (select day, y as x from {S}) as b", "casts a sum"),
        (f"select day, records as x from (select day, amount as records from {S}) as b", "casts a sum"),
        ("select day, records as x from reports.seen", "casts a sum"),
    ],
)
def test_a_cast_of_a_sum_is_of_integers(rows: str, words: str | None) -> None:
    """What is summed up is followed to the tables: a cast may not round what came apart from what was there."""
    sql = f"with a as ({rows}) select day, count(*) as n, cast(sum(x) as bigint) as x from a group by day"
    for dialect in ("duckdb", "postgres"):
        reason = unsafe_sums(sql, ["n", "x"], INPUTS, dialect)
        assert reason is None if words is None else reason is not None and words in reason, reason


def test_a_count_that_became_another_on_the_way_is_none() -> None:
    """A column that has the name of a count, and is something else in a part of the query, counts no rows."""
    said = "with said as (select day, {} as records from reports.said)"
    part = f"{said} select day, sum(records) as records from said group by 1"
    assert unsafe_sums(part.format("records"), ["records"], INPUTS, "duckdb") is None
    assert unsafe_sums(part.format("amount"), ["records"], INPUTS, "duckdb") is not None


def test_what_cannot_be_followed_is_unsafe() -> None:
    """No SQL, and a result of several selects."""
    assert unsafe_sums("select from", ["n"], INPUTS, "duckdb") is not None
    assert (
        unsafe_sums(f"select day, count(*) as n {T} union all select day, 1 from t", ["n"], INPUTS, "duckdb")
        is not None
    )


def test_a_cast_on_spark_is_no_try_cast() -> None:
    """Spark's SQL is read as with ``spark.sql.ansi.enabled``: a cast of a sum of integers changes none of them."""
    of = "day, cast(sum(records) as bigint) as records from reports.said group by 1"
    dialect = CAPABILITIES.dialect
    assert unsafe_sums(f"select {of}", ["records"], INPUTS, dialect) is None
    assert "casts a sum" in str(unsafe_sums(f"select {of.replace('cast', 'try_cast')}", ["records"], INPUTS, dialect))
