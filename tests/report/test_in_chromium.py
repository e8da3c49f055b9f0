"""The report in a browser: it asks no network for anything, all can read it, and it fits on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.support.reports import every_kind, page_of

pytestmark = pytest.mark.chromium


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with every kind of answer."""
    folder = tmp_path_factory.mktemp("report")
    path = folder / "report.html"
    path.write_text(page_of(folder, every_kind()), encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1400])
def test_reads_well_and_asks_nobody(browser: Browser, page_file: Path, width: int, scheme: str) -> None:
    """One request, for the file itself; no finding of axe's, tables open or closed; nothing wider than the screen."""
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
        bypass_csp=True,  # axe is a script, and the page allows none
    )
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda r: asked.append(r.url))
    page.on("console", lambda m: said.append(m.text))
    page.goto(page_file.as_uri())
    found = [v for opened in (False, True) for v in _violations(page, opened)]
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert asked == [page_file.as_uri()]
    assert said == []
    assert page.locator("svg:visible[role=img]").count() == 11
    assert page.locator(f"svg.{'narrow' if width == 360 else 'wide'}:visible").count() == 10
    context.close()


def test_runs_without_scripts_and_prints_its_tables(browser: Browser, page_file: Path) -> None:
    """Under its own policy nothing is blocked, for nothing is asked; on paper the tables are open."""
    context = browser.new_context(java_script_enabled=True)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda m: said.append(m.text))
    page.goto(page_file.as_uri())
    assert said == []
    cell = page.locator("#q-lines table td").first
    assert not cell.is_visible()
    page.emulate_media(media="print")
    assert cell.is_visible()
    context.close()


def _violations(page: object, opened: bool) -> list[str]:
    page.evaluate(f"document.querySelectorAll('details').forEach(d => d.open = {str(opened).lower()})")  # type: ignore[attr-defined]
    answer = Axe().run(page).response
    return [f"{v['id']}: {n['html']}: {n['failureSummary']}" for v in answer["violations"] for n in v["nodes"]]
