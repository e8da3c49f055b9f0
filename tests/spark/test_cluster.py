"""Models on a real cluster: a standalone master with two workers, each a process of its own."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.destinations.spark.session import open_session
from penstock.testing.spark import spark_jars
from tests.support.change_sets import Story
from tests.support.servers import a_database
from tests.support.spark_cluster import CONF, cluster
from tests.support.spark_models import Both, user_events

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(1500)]


def test_user_events(postgres_server: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """All models of the first example have the rows that they have in DuckDB, after a first build and after a step.
    The executors are the workers', which have Iceberg's runtime from the driver alone."""
    with cluster() as master, a_database(postgres_server, ledger_template) as url:
        folder = tmp_path_factory.mktemp("events")
        both, story = (
            Both(user_events(folder), url, {"spark": {"master": master, "conf": CONF, "jars": spark_jars()}}),
            Story(3, incidents=()),
        )
        settings: Any = both.lake.project.destination
        session = open_session(settings)
        try:
            for change in (story.begin(), story.next()):
                for load in change.loads:
                    both.land({"user_events": load.events, "organizations": load.organizations})
                both.models.run()
                both.expect_same()
            executors = session.sparkContext._jsc.sc().statusTracker().getExecutorInfos()
            assert len(executors) == 3, "the driver, and an executor on each worker"
        finally:
            both.close()
            session.stop()
