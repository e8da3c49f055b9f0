"""Models on Spark over rows that were copied: those of the warehouse that was copied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.support.change_sets import Load, Story
from tests.support.servers import a_database
from tests.support.spark_models import Both, Record, every_mode

pytestmark = pytest.mark.timeout(1500)
MODELS = ("event_log", "by_plan", "plan_history", "organization")


@pytest.fixture(scope="module")
def both(postgres_server: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Few models of every mode, and nothing that has landed."""
    with a_database(postgres_server, ledger_template) as url:
        project = every_mode(tmp_path_factory.mktemp("copied"))
        for model in (project / "models" / "modes").glob("*.sql"):
            if model.stem not in MODELS:
                model.unlink()
        opened = Both(project, url)
        yield opened
        opened.close()


def test_models_are_built_and_go_on(both: Both) -> None:
    """Models that are built over a copy, and their next step, have the rows of those at the source."""
    story = Story(11, incidents=())
    for load in [*story.begin().loads, *story.next().loads]:
        both.land(streams(load), lake=False)
    assert not both.copy().again
    both.models.run()
    both.expect_same()
    for load in story.next().loads:
        both.land(streams(load))
    both.models.run()
    both.expect_same()


def streams(load: Load) -> dict[str, Sequence[Record]]:
    """The records of one load."""
    return {"user_events": load.events, "organizations": load.organizations}
