"""Law 6 over random change sets: whatever happens, models built step by step are what a full refresh makes of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.dbt.lived import Lived
from tests.dbt.stepping import Stepping
from tests.dbt.warehouse import PACKAGE, Warehouse
from tests.support.change_sets import INCIDENTS, Story

Open = Callable[[str, str], Warehouse]
STORIES = int(os.environ.get("PENSTOCK_TEST_STORIES", "1"))
"""How many stories with everything in them are gone through: about two minutes each. Ten times as many without dbt."""
CHEAP = tuple(incident for incident in INCIDENTS if incident not in ("edited", "reader"))
"""Those after which dbt need not read the project again."""


def live(lived: Lived, seed: int, steps: int, incidents: tuple[str, ...]) -> None:
    """Go through a story, and compare after each of its changes."""
    story = Story(seed, incidents)
    lived.begin(story.begin())
    for _ in range(steps):
        lived.pass_through(story.next())


@pytest.mark.slow
@pytest.mark.parametrize("lived", ["duckdb", "postgres"], indirect=True)
@pytest.mark.parametrize("seed", [54802])  # twelve events, late and tied, on twenty, and an organization's new name
def test_steps_equal_a_full_refresh(lived: Lived, seed: int) -> None:
    """Late, tied and deleted users and a renamed organization, in two loads, with models left behind: the same."""
    live(lived, seed, 1, CHEAP)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("lived", ["duckdb", "postgres"], indirect=True)
@pytest.mark.parametrize("seed", range(100, 100 + STORIES))
def test_many_steps_equal_a_full_refresh(lived: Lived, seed: int) -> None:
    """The same over many stories, with models edited and readers added on the way."""
    live(lived, seed, 6, INCIDENTS)


FAULTS = {
    "versions that end where something changes are not looked at": (
        "versions.sql",
        "kept.valid_to >= since._pen_from",
        "kept.valid_to > since._pen_from",
    ),
    "sums do not go down by rows that went": (
        "additive.sql",
        "' from (' ~ model_sql ~ ') as moved'",
        "' from (' ~ model_sql ~ ') as moved' ~ (' where false' if gone else '')",
    ),
    "scopes of rows that went are not touched": (
        "feeds.sql",
        "{none: '', true: ' and _pen_gone', false: ' and not _pen_gone'}",
        "{none: ' and not _pen_gone', true: ' and _pen_gone', false: ' and not _pen_gone'}",
    ),
    "a feed lets go of what its readers have not read": (
        "feeds.sql",
        "' where _pen_gone is not null and _pen_seq <= ' ~ taken],",
        "' where _pen_gone is not null'],",
    ),
}
"""What may be wrong with the materialization: the file, what stands there, and what stands there in its place."""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["duckdb", "postgres"])
def test_kept_steps_equal_the_models_own_sql(open_warehouse: Open, engine: str) -> None:
    """The steps that the materialization keeps, performed without dbt, give the same tables too."""
    go_through(Stepping(open_warehouse(engine, "stepping")), range(1))


@pytest.mark.slow
@pytest.mark.timeout(900 * STORIES)
@pytest.mark.parametrize("engine", ["duckdb", "postgres"])
def test_many_kept_steps_equal_the_models_own_sql(open_warehouse: Open, engine: str) -> None:
    """The same over many stories."""
    go_through(Stepping(open_warehouse(engine, "stepping")), range(1000, 1000 + 10 * STORIES))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", ["duckdb"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_materialization_is_seen(open_warehouse: Open, engine: str, fault: str, tmp_path: Path) -> None:
    """Each of four deliberate faults, in a copy of the package, makes a table that no full refresh makes."""
    file, before, after = FAULTS[fault]
    shutil.copytree(PACKAGE, tmp_path / "package")
    path = tmp_path / "package" / "macros" / file
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))
    warehouse = open_warehouse(engine, "stepping")
    with warehouse.with_package(tmp_path / "package"):
        stepping = Stepping(warehouse)
        with pytest.raises(AssertionError, match="after"):
            go_through(stepping, range(200, 260))


def go_through(stepping: Stepping, seeds: Iterable[int]) -> None:
    """Go through a story for each seed."""
    for seed in seeds:
        stepping.begin_again()
        story = Story(seed, ("killed", "behind", "behind"))
        stepping.pass_through(story.begin())
        for _ in range(6):
            stepping.pass_through(story.next())
