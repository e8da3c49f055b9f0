"""The kernel, on and off."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from unittest.mock import patch

import pytest

from penstock.native.kernel import SWITCH


def kernel_switched(on: bool) -> AbstractContextManager[object]:
    """Shapers and splitters that are made in here have the kernel, or do without."""
    return patch.dict(os.environ, {SWITCH: "1" if on else "0"})


def without_kernel() -> AbstractContextManager[object]:
    """As where no C compiler was."""
    return kernel_switched(False)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is tried with the kernel and without it on each engine is slow without it on PostgreSQL: rows are shaped
    before an engine gets them, and DuckDB gets those that were shaped without."""
    for item in items:
        given = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        if given.get("each_kernel") is False and given.get("destination") == "postgres":
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="module", params=[True, False], ids=["native", "sql"])
def each_kernel(request: pytest.FixtureRequest) -> Iterator[None]:
    """Twice: with the kernel, and as where it was not built. Of a module, since Hypothesis wants no other."""
    with kernel_switched(request.param):
        yield
