"""Law 6 over random change sets: whatever happens, models built step by step are what a full refresh makes of it."""

from __future__ import annotations

import pytest

from tests.dbt.lived import Lived
from tests.support.change_sets import INCIDENTS, Story

CHEAP = tuple(incident for incident in INCIDENTS if incident not in ("edited", "reader"))
"""Those after which dbt need not read the project again."""


def live(lived: Lived, seed: int, steps: int, incidents: tuple[str, ...]) -> None:
    """Go through a story, and compare after each of its changes."""
    story = Story(seed, incidents)
    lived.pass_through(story.begin())
    for _ in range(steps):
        lived.pass_through(story.next())


@pytest.mark.parametrize("lived", ["duckdb", "postgres"], indirect=True)
@pytest.mark.parametrize("seed", [3])
def test_steps_equal_a_full_refresh(lived: Lived, seed: int) -> None:
    """Late, tied, deleted and reborn users, renamed organizations, a killed step, models left behind: the same."""
    live(lived, seed, 2, CHEAP)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("lived", ["duckdb", "postgres"], indirect=True)
@pytest.mark.parametrize("seed", range(100, 116))
def test_many_steps_equal_a_full_refresh(lived: Lived, seed: int) -> None:
    """The same over many stories, with models edited and readers added on the way."""
    live(lived, seed, 6, INCIDENTS)
