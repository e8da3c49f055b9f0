"""The documentation in a browser: it asks no network, all can read it, it fits on a phone, and it can be searched."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.support.built_site import build_site

pytestmark = pytest.mark.chromium

_THEMES = {"landmark-unique", "scrollable-region-focusable"}
"""Findings in what the theme's script adds: a button beside each piece of code, and a frame in which wide tables
scroll, which browsers let keys reach by themselves."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the site."""
    folder = build_site(tmp_path_factory.mktemp("site"))

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1400, "dark")])
def test_reads_well_and_asks_nobody(browser: Browser, site: str, width: int, scheme: str) -> None:
    """No request leaves the site; no finding of axe's; nothing is wider than the screen."""
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda r: asked.append(r.url))
    page.on("console", lambda m: said.append(m.text))
    for name in ("index", "tutorial", "capacity", "history", "errors"):
        page.goto(f"{site}{name}.html")
        found = [v for v in Axe().run(page).response["violations"] if v["id"] not in _THEMES]
        assert [f"{name}: {v['id']}: {n['html']}: {n['failureSummary']}" for v in found for n in v["nodes"]] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    assert asked
    assert [url for url in asked if not url.startswith((site, "data:", "blob:"))] == []
    assert said == []
    context.close()


def test_finds_what_is_looked_for(browser: Browser, site: str) -> None:
    """The search answers from the site itself."""
    page = browser.new_page(viewport={"width": 1400, "height": 800})
    page.goto(f"{site}index.html")
    page.locator("input.md-search__input").fill("identity_conflict")
    found = page.locator("a.md-search-result__link")
    found.first.wait_for()
    pages = [str(link.get_attribute("href")).removeprefix(site).split(".html")[0] for link in found.all()]
    assert {"errors", "input", "queues"} <= set(pages)
    page.close()
