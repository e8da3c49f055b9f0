"""Which models can have their steps prepared, and what a prepared statement says for a window of loads."""

from __future__ import annotations

import pytest

from penstock.transform.steady import is_steady, macros_of_people
from penstock.transform.steps import MOST_LITERALS, Load, Statement, Step, Window

MACROS = macros_of_people(
    {
        "macro.shop.today": {"package_name": "shop", "name": "today", "macro_sql": "{{ inner() }}"},
        "macro.shop.inner": {"package_name": "shop", "name": "inner", "macro_sql": "{{ run_started_at }}"},
        "macro.shop.plain": {"package_name": "shop", "name": "plain", "macro_sql": "{{ adapter.quote('a') }}"},
        "macro.penstock.instant": {"package_name": "penstock", "name": "instant", "macro_sql": "{{ run_query(1) }}"},
    }
)


@pytest.mark.parametrize(
    ("code", "config", "steady"),
    [
        ("select 1 as run_started_at from {{ ref('a') }}", {}, True),
        ("select {{ plain() }}, {{ penstock.instant() }}", {}, True),
        ("select '{{ run_started_at }}'", {}, False),
        ("select {{ today() }}", {}, False),
        ("{% set rows = run_query('select 1') %} select 1", {}, False),
        ("select {{ adapter.get_columns_in_relation(this) }}", {}, False),
        ("select 1", {"post-hook": [{"sql": "{{ penstock.mark() }}"}]}, True),
        ("select 1", {"post-hook": [{"sql": "{{ penstock.mark() }}"}, {"sql": "analyze"}]}, False),
        ("select 1", {"pre-hook": "vacuum"}, False),
        ("select 1", {"sql_header": "set x = 1"}, False),
    ],
)
def test_steady(code: str, config: dict[str, object], steady: bool) -> None:
    """A model is steady unless a hook of people's own belongs to it, or its Jinja, or a macro's that it calls, asks for
    what may be another thing in the next step."""
    assert is_steady({"raw_code": code, "config": config, "language": "sql"}, MACROS) is steady


def window(count: int) -> Window:
    """Loads of two streams by turns, of which the first was taken in before."""
    loads = [Load(seq=n, load_id=100 + n, stream="ab"[n % 2]) for n in range(1, count + 1)]
    return Window(after=1, upto=count, loads=loads)


def step(sql: str) -> Step:
    """A step of one statement, over stream ``a``."""
    return Step(
        id="model.shop.m", name="m", model="s.m", reads=(), feeds=("s.read",), streams=("a",), builds={}, query="",
        statements=(Statement("do", sql),),
    )  # fmt: skip


def test_loads_are_named() -> None:
    """The places of a statement are filled with a step's numbers, and with the ids of its loads."""
    text = "{after} {upto} {loads}"
    assert step(text).text(text, window(5)) == "1 5 (_pen_load between 102 and 104 and _pen_load in (102, 104))"
    assert step(text).text(text, window(1)) == "1 1 false"


def test_very_many_loads_are_looked_up() -> None:
    """More loads than a statement should name are looked up by it."""
    text = step("{loads}").text("{loads}", window(2 * MOST_LITERALS + 4))
    assert "_pen_load >= 102 and _pen_load in (select load_id from penstock.loads where stream in ('a')" in text
    assert "seq > 1 and seq <= 2004" in text


def test_markers() -> None:
    """An incremental model says by a mark which stream's loads, and in which column, it looks at."""
    text = "where /* penstock loads of b in x.load */ x.load in (select 1) /* penstock loads end */"
    marked = step(text)
    assert marked.text(text, window(5)) == "where (x.load between 103 and 105 and x.load in (103, 105))"
    assert marked.has_news(window(5)) and not marked.has_news(window(2))
