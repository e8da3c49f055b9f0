"""What a person imports: few names, and they do what the commands do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import penstock
from penstock.destinations import open_destination
from penstock.errors import DestinationError, SourceError
from penstock.ports import Batch, Position, Segment
from penstock.scaffold import create_project


class Two:
    """A source that somebody wrote: two records, once."""

    name = "mine"

    def __init__(self) -> None:
        self.failures: list[SourceError] = []

    def read(self, known: Mapping[str, Mapping[str, Any]]) -> Iterator[Batch]:
        """Both, unless they have landed."""
        if "all" not in known:
            bodies = pa.array([b'{"id": 1}', b'{"id": 2}'], pa.binary())
            segments = [Segment(start=0, place="mine", number=1)]
            yield Batch(
                bodies=bodies, segments=segments, positions=[Position(source="mine", key="all", state={"done": True})]
            )

    def acknowledge(self, acknowledgements: Sequence[Any], /) -> None:
        """Nobody waits for it."""


def test_the_package_shows_what_a_person_imports() -> None:
    """And nothing else; the import of a module inside hides none of it: ``penstock.land`` stays the function, also in a
    process that has imported the package ``land`` first, and that can be imported from as any other."""
    assert dir(penstock) == sorted(penstock.__all__)
    assert all(callable(getattr(penstock, name)) for name in penstock.__all__ if name != "__version__")
    code = (
        "import penstock.land.loop; import penstock; from penstock.land import loop;"
        " print(penstock.land.__module__, loop.Stop.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "penstock.api penstock.land.loop\n"


def test_a_run_reports_and_again_lands_nothing(tmp_path: Path) -> None:
    """The report counts what landed; the ledger has the run."""
    create_project(tmp_path / "shop")
    planned = penstock.plan(tmp_path / "shop", models=False)
    report = penstock.run(tmp_path / "shop", models=False)
    assert report.status == "success"
    assert [load.step for load in report.loads] == list(planned.loads)
    assert report.total("landed") > 0
    assert penstock.run(tmp_path / "shop", models=False).total("landed") == 0
    rows = penstock.query(tmp_path / "shop", "select kind, status from penstock.runs").rows
    assert [tuple(row) for row in rows] == [("run", "success")] * 2


def test_a_question_makes_nothing(tmp_path: Path) -> None:
    """Where nothing has landed there is no warehouse, and a question makes none, and no ledger; nor does it change
    anything."""
    create_project(tmp_path / "shop")
    with pytest.raises(DestinationError, match="no warehouse yet"):
        penstock.query(tmp_path / "shop", "select 1")
    assert not (tmp_path / "shop" / "warehouse.duckdb").exists()
    warehouse = penstock.load_project(tmp_path / "shop").destination
    with closing(open_destination(warehouse)) as empty:
        empty.query("create table mine (n int)")
    assert penstock.query(tmp_path / "shop", "select count(*) from duckdb_tables()").rows == [(1,)]
    with pytest.raises(DestinationError, match="read-only"):
        penstock.query(tmp_path / "shop", "delete from mine")


def test_a_destination_may_be_an_object(tmp_path: Path) -> None:
    """It is landed in, in place of the project's own."""
    create_project(tmp_path / "shop")
    project = penstock.load_project(tmp_path / "shop")
    elsewhere = open_destination(project.destination.model_copy(update={"path": tmp_path / "elsewhere.duckdb"}))
    assert penstock.run(project, destination=elsewhere).total("landed") == 3
    assert penstock.land(project, "events", source=Two(), destination=elsewhere).total("read") == 2
    assert elsewhere.query("select count(*) from raw.events").rows == [(5,)]
    elsewhere.close()
    assert not (tmp_path / "shop" / "warehouse.duckdb").exists()


def test_a_source_may_be_an_object(tmp_path: Path) -> None:
    """What it gives lands once."""
    create_project(tmp_path / "shop")
    project = penstock.load_project(tmp_path / "shop")
    stream = next(iter(project.streams))
    assert penstock.land(project, stream, source=Two()).total("read") == 2
    assert penstock.land(project, stream, source=Two()).total("read") == 0
