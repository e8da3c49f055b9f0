"""Law 6 over random change sets, on Spark: whatever happens, models built step by step are what a full refresh makes of
it. Those of DuckDB are built anew each time, and compared row by row."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock import faults
from penstock.errors import TransformError
from tests.support.change_sets import Change, Load, Story
from tests.support.servers import a_database
from tests.support.spark_models import Both, every_mode

STORIES = int(os.environ.get("PENSTOCK_TEST_STORIES", "1"))
"""How many stories with everything in them are gone through, one after the other in one warehouse: minutes each."""
INCIDENTS = ("full refresh", "killed", "behind", "edited", "reader")
CHEAP = ("full refresh", "killed", "behind")
"""Those after which dbt need not read the project again."""
STATEMENTS = 100
"""About as many has a step of Spark."""
MODES = Path("models", "modes")
READER = """{{ config(scope='user_id', unique_key='user_id') }}
select user_id, count(*) as versions, max(valid_from) as last_from from {{ ref('plan_history') }} group by user_id
"""
EDITS = ("\n  username,", "\n  upper(username) as username,")
"""What `event_log`, which most others read, has for a name, in turn."""


class Lived:
    """A warehouse that goes through stories."""

    def __init__(self, both: Both) -> None:
        self._both = both

    def live(self, story: Story, steps: int) -> None:
        """Go through a story, and compare after each of its changes."""
        self._pass_through(story.begin())
        for _ in range(steps):
            self._pass_through(story.next())

    def _pass_through(self, change: Change) -> None:
        for load in change.loads:
            self._land(load)
            if change.incident == "behind":
                self._both.models.run(exclude=[f"{self._one(change)}+"])
        if change.incident == "killed":
            self._cut_off(change)
        elif change.incident == "edited":
            path = MODES / "event_log.sql"
            text = (self._both.folder / path).read_text()
            old, new = EDITS if EDITS[0] in text else reversed(EDITS)
            assert old in text
            self._both.write(path, text.replace(old, new))
        elif change.incident == "reader":
            self._both.write(MODES / "versions_of_user.sql", READER)
        self._both.models.run(full_refresh=change.incident == "full refresh")
        try:
            self._both.expect_same()
        except AssertionError as e:
            raise AssertionError(f"after {change}: {e}") from None

    def _land(self, load: Load) -> None:
        self._both.land({"user_events": load.events, "organizations": load.organizations})

    def _one(self, change: Change) -> str:
        """The model that the incident of a change is about."""
        models = sorted(path.stem for path in (self._both.folder / MODES).glob("*.sql"))
        return models[int(change.chance * len(models))]

    def _cut_off(self, change: Change) -> None:
        """Have a run end at one of its statements, whichever, in a model that others read or not."""
        with pytest.MonkeyPatch.context() as patched:
            nth = 1 + int(change.chance * STATEMENTS)
            patched.setattr(faults, "_FAULT", f"spark_statement:raise:{nth}")
            patched.setattr(faults, "_passes", 0)
            try:
                self._both.models.run()
            except TransformError as e:
                assert "fault at" in str(e)
            else:
                assert faults._passes < nth, "a model ended as if nothing had been"


@pytest.fixture(scope="module")
def lived(postgres_server: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    """Models of every mode."""
    with a_database(postgres_server, ledger_template) as url:
        both = Both(every_mode(tmp_path_factory.mktemp("lived")), url)
        yield Lived(both)
        both.close()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [25913])  # late events and a new name in a step cut off, then models left behind
def test_steps_equal_a_full_refresh(lived: Lived, seed: int) -> None:
    """Late, tied and deleted users, with a step cut off and models left behind: the same."""
    lived.live(Story(seed, CHEAP), 2)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(100, 100 + STORIES))
def test_many_steps_equal_a_full_refresh(lived: Lived, seed: int) -> None:
    """The same over many stories, with models edited and readers added on the way."""
    lived.live(Story(seed, INCIDENTS), 6)
