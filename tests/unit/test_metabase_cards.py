"""How each kind of answer is shown in Metabase, and how Penstock knows its own there."""

from __future__ import annotations

import pytest

from penstock.bi.metabase.cards import card_of, content_of, sql_of
from penstock.bi.metabase.dashboards import COLUMNS, laid_out
from penstock.bi.metabase.ownership import Mark, mark_of, owned_by, owner_line, without_mark
from penstock.errors import UsageError
from penstock.report.asking import Answer
from tests.support.reports import DAYS, answered, every_kind, question

SHOWN = {
    "count": ("scalar", {"scalar.field": "n", "column_settings": {'["name","n"]': {"suffix": " orders"}}}),
    "lines": ("line", {"graph.dimensions": ["day"], "graph.metrics": ["n"]}),
    "areas": (
        "area",
        {"graph.dimensions": ["day", "kind"], "graph.metrics": ["n"], "stackable.stack_type": "stacked"},
    ),
    "columns": (
        "bar",
        {"graph.dimensions": ["day", "kind"], "graph.metrics": ["n"], "stackable.stack_type": "stacked"},
    ),
    "bars": ("bar", {"graph.dimensions": ["city"], "graph.metrics": ["n"], "graph.x_axis.scale": "ordinal"}),
    "grouped": (
        "bar",
        {"graph.dimensions": ["city"], "graph.metrics": ["n", "before"], "graph.x_axis.scale": "ordinal"},
    ),
    "years": ("bar", {"graph.dimensions": ["year"], "graph.metrics": ["n"], "graph.x_axis.scale": "ordinal"}),
    "parts": ("pie", {"pie.dimension": "kind", "pie.metric": "n"}),
    "pyramid": (
        "bar",
        {"graph.dimensions": ["age", "gender"], "graph.metrics": ["n"], "graph.x_axis.scale": "ordinal"},
    ),
    "pyramids": ("table", {}),
    "map": (
        "map",
        {"map.type": "region", "map.region": "world_countries", "map.dimension": "nat", "map.metric": "n"},
    ),
    "words": ("table", {}),
    "empty": ("line", {}),
}


def test_every_kind() -> None:
    """Each kind has Metabase's own, with the columns that the report would draw."""
    answers = [a for a in every_kind() if a.problem is None]
    assert {a.question.name for a in answers} == SHOWN.keys()
    for answer in answers:
        card = card_of(answer)
        assert (card.display, dict(card.settings)) == SHOWN[card.name], card.name
    assert "no pyramid" in card_of(answers[8]).note
    assert "no small multiples" in card_of(answers[9]).note


def test_small_charts_as_one() -> None:
    """What the report draws as small charts of one line each is one chart of many lines."""
    rows = [(d, city, 1) for d in DAYS for city in ("Oslo", "Rome")]
    card = card_of(answered(["day", "city", "n"], rows, show="line", each="city", unit="orders"))
    assert card.settings["graph.dimensions"] == ["day", "city"]
    assert card.settings["graph.y_axis.title_text"] == "orders"


@pytest.mark.parametrize("sql", ["select '{{x}}'", "select array[[1]]"])
def test_what_metabase_would_take_for_a_variable(sql: str) -> None:
    """It is refused, with where it is."""
    with pytest.raises(UsageError, match=r"questions/orders\.sql.*beginning of a variable"):
        card_of(Answer(question=question(), sql=sql))


def test_sql_of_queries() -> None:
    """It is found in a native query, as it was before Metabase 0.57 and as it is since; in no other."""
    assert sql_of({"type": "native", "native": {"query": "select 1"}}) == "select 1"
    assert sql_of({"stages": [{"lib/type": "mbql.stage/native", "native": "select 1"}]}) == "select 1"
    assert sql_of({"stages": [{"lib/type": "mbql.stage/mbql", "source-table": 3}]}) is None
    assert sql_of({"type": "query", "query": {"source-table": 3}}) is None
    assert sql_of({}) is None


@pytest.mark.parametrize("text", ["", "One line.", "Two\n\nparagraphs"])
@pytest.mark.parametrize("holds", ["0123456789ab", "ba9876543210"])
@pytest.mark.parametrize("archived", [False, True])
def test_marks(text: str, holds: str, archived: bool) -> None:
    """A mark is read as it was written, and the text above it stays."""
    mark = Mark(project="shop", name="by city", wrote="0123456789ab", holds=holds, archived=archived)
    assert mark_of(mark.under(text)) == mark
    assert without_mark(mark.under(text)) == text
    assert owned_by(mark.under(text), "shop") is None
    assert content_of({"description": mark.under(text)})["description"] == text


def test_owners() -> None:
    """A collection and a dashboard know their project, and a dashboard what was put on it; people's texts have none."""
    assert owned_by(f"Text\n\n{owner_line('shop')}", "shop") == ()
    assert owned_by(f"Text\n\n{owner_line('shop', ('a', 'b c'))}", "shop") == ("a", "b c")
    assert owned_by(owner_line("shop"), "shop2") is None
    assert owned_by("We use penstock for shop.", "shop") is None
    assert mark_of("penstock shop") is None
    assert mark_of(None) is None
    assert without_mark("About penstock shop/x") == "About penstock shop/x"


def test_layout() -> None:
    """Numbers stand side by side, then charts in pairs and tables alone; nothing overlaps or sticks out."""
    displays = ["scalar"] * 5 + ["bar", "table", "line", "map", "pie", "scalar"]
    places = list(laid_out(displays))
    taken = [(r + y, c + x) for r, c, w, h in places for x in range(w) for y in range(h)]
    assert len(taken) == len(set(taken))
    assert max(x for _, x in taken) < COLUMNS
    assert [p[0] for p in places[:4]] == [0] * 4
    assert [p[:2] for p in places[7:9]] == [(22, 0), (22, 12)]
    assert places == sorted(places, key=lambda p: p[:2])
