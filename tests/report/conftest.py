"""A browser for the tests of what people look at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

_NAMES = (os.environ.get("PENSTOCK_TEST_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium. Missing, it fails."""
    path = next((found for name in _NAMES if name and (found := shutil.which(name))), None)
    if path is None:
        pytest.fail("there is no Chromium: make test-report installs one, or says how", pytrace=False)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()
