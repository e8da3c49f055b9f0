"""The look at a model's SQL tells sums that can be moved by what came and went from those that cannot."""

from __future__ import annotations

import pytest

from penstock.transform.scopes.sums import unsafe_sums

T = 'from "w"."reports"."said" group by 1'


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
@pytest.mark.parametrize(
    ("columns", "additive", "words"),
    [
        ("day, count(*) as n", ["n"], None),
        ("day, cast(count(*) as bigint) as n, cast(sum(x) as bigint) as x", ["n", "x"], None),
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
    ],
)
def test_sums_are_looked_at(columns: str, additive: list[str], words: str | None, dialect: str) -> None:
    """Only what is linear in the rows is added up, and the first column has to count them."""
    reason = unsafe_sums(f"select {columns} {T}", additive, {"records"}, dialect)
    assert reason is None if words is None else reason is not None and words in reason, reason


def test_a_count_that_became_another_on_the_way_is_none() -> None:
    """A column that has the name of a count, and is something else in a part of the query, counts no rows."""
    said = "with said as (select day, {} as records from reports.said)"
    part = f"{said} select day, sum(records) as records from said group by 1"
    assert unsafe_sums(part.format("records"), ["records"], {"records"}, "duckdb") is None
    assert unsafe_sums(part.format("amount"), ["records"], {"records"}, "duckdb") is not None


def test_what_cannot_be_followed_is_unsafe() -> None:
    """No SQL, and a result of several selects."""
    assert unsafe_sums("select from", ["n"], (), "duckdb") is not None
    assert unsafe_sums(f"select day, count(*) as n {T} union all select day, 1 from t", ["n"], (), "duckdb") is not None
