"""A process that builds models on Spark, killed anywhere: the next one goes on, and has what a full refresh gives."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.support import commands
from tests.support.change_sets import Load, Story
from tests.support.processes import wait_until
from tests.support.servers import a_database
from tests.support.spark_models import Both, every_mode

pytestmark = pytest.mark.timeout(900)
POINTS = {
    "before the first snapshot": "spark_statement:kill:8",
    "between a snapshot and the ledger": "model_written:kill:2",
    "after the ledger": "model_marked:kill:2",
    "between the snapshot of sums and the ledger": "model_written:kill:4",
    "amid several models": "spark_statement:kill:35",
}
"""Where a process is killed; the fourth model is that of sums."""
MARK = "PENSTOCK_TEST_KILLED"


@pytest.fixture(scope="module")
def story() -> Story:
    """What happens to models; each test goes on where the one before ended."""
    return Story(11, incidents=())


@pytest.fixture(scope="module")
def both(
    postgres_server: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory, story: Story
) -> Iterator[Both]:
    """A few models, whose first build was killed between a snapshot and the ledger, and then done again."""
    with a_database(postgres_server, ledger_template) as url:
        project = every_mode(tmp_path_factory.mktemp("killed"))
        for model in (project / "models" / "modes").glob("*.sql"):
            if model.stem not in ("event_log", "organization", "named", "by_organization", "plan_history"):
                model.unlink()
        opened = Both(project, url)
        for load in [*story.begin().loads, *story.next().loads]:
            land(opened, load)
        killed(opened, "model_written:kill:2")
        opened.models.run()
        opened.expect_same()
        yield opened
        opened.close()


def land(both: Both, load: Load) -> None:
    """Have the records of one load land."""
    both.land({"user_events": load.events, "organizations": load.organizations})


def land_next(both: Both, story: Story) -> None:
    """Have what happens next land, until there are events among it."""
    loads: list[Load] = []
    while not any(load.events for load in loads):
        loads += story.next().loads
    for load in loads:
        land(both, load)


def killed(both: Both, fault: str) -> None:
    """Have a process build models until it is killed; Spark ends with it."""
    mark = uuid.uuid4().hex
    environ = {"PENSTOCK_FAULT": fault, MARK: mark}
    process = commands.Started(both.folder, "transform", "--target", "lake", "--quiet", environ=environ)
    assert process.wait(300) == -signal.SIGKILL
    wait_until(lambda: not marked(mark), "Spark goes on without the process that started it", seconds=30)


def marked(mark: str) -> list[int]:
    """The processes whose environment has the mark."""
    word = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and word in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it ended meanwhile, or is somebody else's
            continue
    return found


@pytest.mark.parametrize("point", POINTS)
def test_a_step(both: Both, story: Story, point: str) -> None:
    """Rows are those of a full refresh, sums too, and a model has one snapshot of the step at most: what the killed
    process wrote is not written again."""
    land_next(both, story)
    before = both.written()
    killed(both, POINTS[point])
    both.models.run()
    both.expect_same()
    assert {name: many - before[name] for name, many in both.written().items() if many - before[name] > 1} == {}


def test_a_writer_that_lost_its_claim(both: Both, story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process writes between a model's snapshot and the ledger's word of it is not taken for the model's
    own: the next step puts it right, and so those that read it meanwhile."""
    cursor = import_module("dbt.adapters.spark.session").Cursor
    execute, left = cursor.execute, ["event_log"]

    def overtaken(self: Any, sql: str, *parameters: Any) -> Any:
        result = execute(self, sql, *parameters)
        if left and f"merge into modes.{left[0]}" in " ".join(sql.split()):
            model = left.pop(0)
            execute(type(self)(), f"delete from modes.{model}")
        return result

    with monkeypatch.context() as patched:
        patched.setattr(cursor, "execute", overtaken)
        for _ in range(6):  # not every change is one of both
            if left:
                land_next(both, story)
                both.models.run()
    assert not left
    land_next(both, story)
    both.models.run()
    both.expect_same()
