"""Models on Spark: the rows that DuckDB has, step by step, and nothing written where nothing differs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from penstock.destinations.spark.session import open_session
from penstock.project import Spark
from tests.support.change_sets import Change, Load, Story
from tests.support.servers import a_database
from tests.support.spark_models import Both

pytestmark = pytest.mark.timeout(1500)
STEPS = 2


@pytest.fixture(scope="module")
def both(postgres_server: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """A project in Iceberg tables and in a DuckDB; the tests of this module go on where the one before ended."""
    with a_database(postgres_server, ledger_template) as url:
        opened = Both(tmp_path_factory.mktemp("spark"), url)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def story() -> Story:
    """What happens to the project."""
    return Story(11, incidents=())


def test_first_build(both: Both, story: Story) -> None:
    """All models of the example, and one of every mode, have the rows that they have in DuckDB."""
    both.land(story.begin())
    both.land(Change(loads=[Load(events=story.next().loads[0].events)]))
    both.models.run()
    both.expect_same()


def test_steps_equal_a_full_refresh(both: Both, story: Story) -> None:
    """Late, tied and missing values, renamed organizations, several loads a step: a step leaves what all of the records
    give, and each model is as the ledger says."""
    for _ in range(STEPS):
        both.land(story.next())
        both.models.run()
        both.expect_same()
    known = both.ledger("select model, step::json ->> 'snapshot' from penstock_lake.models")
    assert dict(known) == {
        name: str(snapshot) for name, snapshot in both.snapshots().items() if not name.startswith("raw.")
    }


def test_again_is_nothing(both: Both) -> None:
    """Models that are built again, and by SQL that somebody has changed to mean the same, write no snapshot."""
    before = both.snapshots()
    model = both.folder / "models" / "modes" / "by_plan.sql"
    model.write_text(model.read_text() + "\n-- as before\n")
    both.models.run()
    assert both.snapshots() == before


def test_a_step_whose_end_the_ledger_missed(both: Both, story: Story) -> None:
    """Killed after its snapshots and before the ledger had them, a step is done again, sums too, and writes nothing."""
    known = {
        table: both.ledger(f"select * from {table} order by 1")
        for table in ("penstock_lake.models", "penstock.watermarks")
    }
    both.land(story.next())
    both.models.run()
    after = both.snapshots()
    for table, rows in known.items():
        both.ledger(f"delete from {table}")
        for row in rows:
            places = ", ".join(f"${i}" for i in range(1, len(row) + 1))
            both.lake.destination.ledger.query(f"insert into {table} values ({places})", list(row))
    last = "select max(run_id) from penstock.runs where kind = 'transform'"
    both.ledger(f"delete from penstock.runs where run_id = ({last})")
    both.models.run()
    assert both.snapshots() == after
    both.expect_same()


def test_rows_that_somebody_else_wrote(both: Both, story: Story) -> None:
    """The next step of a model finds another snapshot than it left, and puts right what is in it."""
    settings = both.lake.project.destination
    assert isinstance(settings, Spark)
    open_session(settings).sql("delete from reports.events_by_date")
    both.land(story.next())
    both.models.run()
    both.expect_same()


def test_full_refresh(both: Both) -> None:
    """A full refresh gives the rows that the steps gave."""
    both.models.run(full_refresh=True)
    both.expect_same()
