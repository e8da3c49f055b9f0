"""The report's page, without a browser."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest

from penstock.errors import UsageError
from penstock.report.charts import MAX_BARS, chart_of, countries
from penstock.report.pictures import check_renderer
from penstock.report.plot import plotted
from tests.support.reports import DAYS, HOSTILE, answered, every_kind, page_of


class _Page(HTMLParser):
    """Every attribute, id and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with every kind of answer."""
    return page_of(tmp_path_factory.mktemp("page"), every_kind())


def test_refers_to_nothing_outside(text: str) -> None:
    """No address leads out of the file, in attributes or styles, and nothing in it runs."""
    page = _Page(text)
    leading = [
        v for n, v in page.attributes if n in ("src", "href", "xlink:href", "srcset", "action", "data", "poster")
    ]
    assert leading
    assert [v for v in leading if not v.startswith("#")] == []
    assert [u for u in re.findall(r"url\(([^)]*)\)", text) if not u.strip("\"'").startswith("#")] == []
    assert "@import" not in text
    assert {"script", "link", "iframe", "img", "object", "embed", "base", "form"} & set(page.tags) == set()
    assert [n for n, _ in page.attributes if n.startswith("on")] == []
    assert [v for n, v in page.attributes if n == "content" and "default-src 'none'" in v]


def test_ids_are_unique_and_links_arrive(text: str) -> None:
    """Many pictures stand in one page, and none takes another's clip."""
    page = _Page(text)
    ids = [v for n, v in page.attributes if n == "id"]
    assert len(ids) == len(set(ids))
    assert {v[1:] for n, v in page.attributes if n == "href" and v.startswith("#")} <= set(ids)
    assert {u.strip("#\"'") for u in re.findall(r"url\(([^)]*)\)", text)} <= set(ids)


def test_shows_data_as_text(text: str) -> None:
    """What records hold is never markup; it is there to be read."""
    assert "<script" not in text
    assert "&lt;script&gt;fetch(" in text
    assert "Łódź" in text


def test_says_what_is_missing(text: str) -> None:
    """A question without an answer says why, and the page what else there is to know."""
    assert "<strong>1 without an answer</strong>" in text
    assert "Table marts.gone does not exist!" in text
    assert "questions/gone.sql; to mend it: penstock run" in text
    assert "There are no rows yet." in text
    assert "7 minutes ago" in text
    assert "1 record in quarantine." in text
    assert "Not on the map: SG." in text
    assert "5 are put together as others." in text
    assert "1,234,567" in text


def test_every_picture_has_a_name_and_a_table(text: str) -> None:
    """For those who cannot see it, and for paper."""
    pictures = re.findall(r'<svg class="(wide|narrow)" role="img" aria-label="[^"]+"', text)
    assert pictures.count("wide") == pictures.count("narrow") == 10
    assert text.count("<figure>") == 10
    assert len(re.findall(r"</figure>.*?<details><summary>Table", text, flags=re.DOTALL)) == 10


def test_colours_follow_the_page(text: str) -> None:
    """No colour in a picture is its own: light, dark and paper say them."""
    painted = set(re.findall(r'(?:fill|stroke)="([^"]*)"', text))
    assert {c for c in painted if not c.startswith("var(--") and c not in ("none", "transparent", "")} == set()


@pytest.mark.parametrize("part", [0, 1, 2], ids=["light", "dark", "paper"])
def test_colours_stand_out(part: int) -> None:
    """WCAG 2.2, AA: text against what is behind it 4.5 to 1, series 3 to 1."""
    css = files("penstock.report").joinpath("page.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", css, flags=re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#\w+)", blocks[part]))
    for text, behind in (("ink", "card"), ("ink", "paper"), ("soft", "card"), ("soft", "paper"), ("link", "card")):
        assert _contrast(colours[text], colours[behind]) >= 4.5, (text, behind)
    assert _contrast(colours["bad"], colours["badback"]) >= 4.5
    assert _contrast(colours["ink"], colours["badback"]) >= 4.5
    for i in range(1, 9):
        assert _contrast(colours[f"c{i}"], colours["card"]) >= 3, i


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(d * 2 for d in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_without_the_library_that_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the command that installs it."""
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(UsageError, match=r'fix: pip install "penstock-elt\[report\]"'):
        check_renderer()


def test_a_bar_for_each_day_at_its_place() -> None:
    """Dates are drawn as they are, not as some time zone has them."""
    chart = chart_of(answered(["day", "n"], [(d, 1) for d in DAYS], show="bar"))
    assert chart is not None
    assert [v["x"] for v in chart.spec["data"]["values"]] == [f"{d}T00:00:00Z" for d in DAYS]
    assert chart.spec["encoding"]["x"]["scale"]["type"] == "utc"


def test_what_a_chart_leaves_out_it_says() -> None:
    """Too many bars, too many lines, rows without a number."""
    chart = chart_of(answered(["city", "n"], [(f"city {i}", i) for i in range(MAX_BARS + 2)], show="bar"))
    assert chart is not None
    assert list(chart.notes) == [f"The first {MAX_BARS} of {MAX_BARS + 2} are drawn; the table has all."]
    rows = [(d, f"city {i}", i) for d in DAYS for i in range(10)]
    chart = chart_of(answered(["day", "city", "n"], [*rows, (DAYS[0], "city 9", None)], show="line", by="city"))
    assert chart is not None
    assert list(chart.notes) == [
        "Left out: 1 row without a number.",
        "The 7 greatest of 10 are drawn; the table has all.",
    ]
    assert {v["s"] for v in chart.spec["data"]["values"]} == {f"city {i}" for i in range(3, 10)}


def test_others_keep_the_sum() -> None:
    """What is put together is not lost."""
    chart = chart_of(answered(["kind", "n"], [(f"k{i}", i) for i in range(20)], show="pie"))
    assert chart is not None
    assert sum(v["y"] for v in chart.spec["data"]["values"]) == sum(range(20))


def test_countries_by_code_and_name() -> None:
    """Both kinds of code and the usual names are known, in any case."""
    names = countries()["names"]
    assert {names[n] for n in ("de", "deu", "germany")} == {"DE"}
    assert {names[n] for n in ("us", "usa", "united states")} == {"US"}
    drawn = {g["properties"]["code"] for g in countries()["objects"]["countries"]["geometries"]}
    assert {
        "AU",
        "BR",
        "CH",
        "DK",
        "FI",
        "FR",
        "GB",
        "IE",
        "IN",
        "IR",
        "MX",
        "NL",
        "NO",
        "NZ",
        "RS",
        "TR",
        "UA",
    } <= drawn
    assert "AQ" not in drawn


def test_bars_on_a_terminal() -> None:
    """To one scale, with the number behind; nothing for tables and what has no single number."""
    lines = plotted(answered(["city", "n"], [("Oslo", 10), ("Rome", 5), (None, 0)], show="bar"), 40)
    assert [line.split()[0] for line in lines] == ["Oslo", "Rome", "(none)"]
    assert [line.count("█") for line in lines] == [28, 14, 0]
    assert [line.split()[-1] for line in lines] == ["10", "5", "0"]
    assert plotted(answered(["city", "n"], [(HOSTILE, 1)]), 40) == []
    assert plotted(answered(["city", "n", "m"], [("Oslo", 1, 2)], show="bar"), 40) == []


def test_pictures_stay_small(text: str, tmp_path: Path) -> None:
    """A page with a map and a dozen charts can be sent by mail."""
    assert len(text.encode()) < 1_000_000
