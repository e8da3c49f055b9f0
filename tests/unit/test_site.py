"""The documentation as a site: it builds strictly, and what it shows comes from nowhere else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support.built_site import build_site

_LOADED = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src", "object": "data"}
_STYLE = re.compile(r"(?:@import|url\()\s*[\"']?((?:https?:)?//[^\s)\"']*)")
_FETCHED_ON_DEMAND = ("mermaid", "glightbox")
"""What the theme would fetch from elsewhere for pages that have one of these."""


class _Page(HTMLParser):
    """Collects what a browser would load, the classes, and where links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.classes: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.classes.update(found.get("class", "").split())
        if tag in _LOADED and _LOADED[tag] in found and found.get("rel") != "canonical":
            self.loaded.append(found[_LOADED[tag]])
        if tag == "a" and "href" in found:
            self.links.append(found["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly."""
    return build_site(tmp_path_factory.mktemp("site"))


def pages(site: Path) -> Iterator[tuple[str, _Page]]:
    """Each page by its name."""
    for path in sorted(site.rglob("*.html")):
        yield str(path.relative_to(site)), _Page(path.read_text(encoding="utf-8"))


def test_no_page_asks_a_network(site: Path) -> None:
    """Styles, scripts, pictures and fonts are all part of the site."""
    seen = 0
    for name, page in pages(site):
        assert page.loaded, name
        for address in page.loaded:
            assert not re.match(r"(?:[a-z]+:)?//", address), f"{name}: {address}"
            seen += 1
        assert not page.classes & set(_FETCHED_ON_DEMAND), name
    assert seen > 100
    for path in site.rglob("*.css"):
        assert _STYLE.findall(path.read_text(encoding="utf-8")) == [], path.name


def test_pages_from_elsewhere_are_part_of_it(site: Path) -> None:
    """Examples, measurements and changes are pages, links between them lead to pages, and none leads to Markdown."""
    for name in ("changelog", "contributing", "examples/user_events", "benchmarks/results"):
        assert (site / f"{name}.html").is_file(), name
    for name, page in pages(site):
        for link in page.links:
            assert link.startswith(("http", "mailto:")) or not link.split("#")[0].endswith(".md"), f"{name}: {link}"


def test_everything_can_be_searched(site: Path) -> None:
    """The index of the search has each page, with what is in it."""
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    found = {entry["location"].split("#")[0] for entry in index["docs"]}
    assert {str(p.relative_to(site)) for p in site.rglob("*.html")} - {"404.html"} <= found | {"index.html"}
    assert any("_pen_rescued" in entry["text"] for entry in index["docs"])


def test_pictures_take_the_colours_of_the_page(site: Path) -> None:
    """A picture of our own is part of the page, with a text for those who do not see it."""
    text = (site / "architecture.html").read_text(encoding="utf-8")
    assert '<div class="figure"' in text
    assert re.search(r'<svg[^>]*role="img" aria-label="[^"]{40,}"', text)
    assert "flow.svg" not in text
