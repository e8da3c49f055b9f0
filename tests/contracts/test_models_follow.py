"""The trigger at work: models follow loads, many in one step, those of one stream only, those of other processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from penstock.land.session import Session
from penstock.project import Project, load_project
from penstock.up.trigger import Trigger
from tests.support.example import copied, without_tests
from tests.support.queues import until
from tests.support.servers import a_database
from tests.support.triggered import load, triggered, users


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """The example, built, and a trigger that waits for what lands: for all tests, each with users of its own."""

    project: Project
    session: Session
    trigger: Trigger

    def land(self, *names: str, **more: object) -> None:
        """Land an event of each user, and tell the trigger."""
        for receipt in load(self.project, self.session, *names, **more):
            self.trigger.landed(receipt)

    def wait(self) -> None:
        """Until all that has landed is in the models."""
        newest = self.session.destination.query("select max(seq) from penstock.loads").rows[0][0]
        until(lambda: self.trigger.upper_seq == newest, lambda: self.trigger.last_error)


@pytest.fixture(scope="module", params=["duckdb", pytest.param("postgres", marks=pytest.mark.slow)])
def following(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Following]:
    """On each kind of warehouse."""
    with ExitStack() as stack:
        url = None
        if request.param == "postgres":
            url = stack.enter_context(a_database(request.getfixturevalue("postgres_server")))
        directory = copied(tmp_path_factory.mktemp("following"), url)
        without_tests(directory)
        project = load_project(directory)
        session = stack.enter_context(Session(project))
        load(project, session)
        trigger = stack.enter_context(triggered(project))
        until(lambda: trigger.builds == 1, lambda: trigger.last_error)  # what is there is built at the start
        yield Following(project=project, session=session, trigger=trigger)


def test_models_follow_loads(following: Following) -> None:
    """A commit starts a build, and commits of one moment share one."""
    before = following.trigger.builds
    for number in range(6):
        following.land(f"t{number}")
    following.wait()
    assert users(following.session, "t") == 6
    assert 1 <= following.trigger.builds - before <= 5 and following.trigger.failures == 0
    assert following.session.destination.query("select count(*) from penstock.runs where status <> 'success'").rows == [
        (0,)
    ]


def test_only_what_depends_is_built(following: Following) -> None:
    """A load into one stream leaves the models of the other as they were."""
    before = watermarks(following.session)
    following.land("d1")
    following.wait()
    after = watermarks(following.session)
    changed = {model for model in after if after[model] != before[model]}
    assert "dimensional.dim_user" in changed and "dimensional.dim_organization" not in changed


def test_loads_of_others(following: Following) -> None:
    """A load that nobody told the trigger of is found in the ledger."""
    before = following.trigger.builds
    load(following.project, following.session, "o1")
    until(lambda: following.trigger.builds > before, lambda: following.trigger.last_error)
    until(lambda: users(following.session, "o") == 1, lambda: following.trigger.last_error)


@pytest.mark.slow
def test_a_new_field_reaches_the_views(following: Following) -> None:
    """A load that brings a new column builds the views over its table anew, in the same build."""
    following.land("n1", added=1)
    until(lambda: users(following.session, "n") == 1, lambda: following.trigger.last_error)
    assert following.trigger.failures == 0


def watermarks(session: Session) -> dict[str, object]:
    """Model → when it took something in last."""
    rows = session.destination.query("select model, updated_at from penstock.watermarks").rows
    return {str(row[0]): row[1] for row in rows}
