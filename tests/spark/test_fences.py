"""What keeps a record from landing twice when a load fails at its very end, or has lost its lock without knowing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock import faults
from penstock.destinations.spark.destination import SparkDestination
from penstock.project import Spark
from penstock.spec import StreamSpec
from tests.support.warehouse import land, table, write_files

SPEC = StreamSpec(stream="s", identity=("n",))


@pytest.fixture
def other(settings: Spark, lake: SparkDestination) -> Iterator[SparkDestination]:
    """A second process, as far as the warehouse can tell."""
    opened = SparkDestination(settings)
    yield opened
    opened.close()


def test_a_number_that_was_never_committed(
    lake: SparkDestination, other: SparkDestination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a process remembers of a table is good only while its own last load is the newest that the ledger has: the
    number of one that failed in its commit is another's by then."""

    def load(destination: SparkDestination, name: str, lines: bytes) -> None:
        write_files(tmp_path / "in", {name: lines})
        land(destination, tmp_path / "in", SPEC)

    load(lake, "1.ndjson", b'{"n": 1}\n')
    monkeypatch.setattr(faults, "_FAULT", "rows_committed:raise")
    monkeypatch.setattr(faults, "_passes", 0)
    with pytest.raises(RuntimeError):
        load(lake, "2.ndjson", b'{"n": 2}\n')
    monkeypatch.undo()
    load(other, "3.ndjson", b'{"n": 3}\n')
    load(lake, "4.ndjson", b'{"n": 2}\n{"n": 3}\n')
    assert [row["n"] for row in sorted(table(other, "s"), key=lambda r: r["n"])] == [1, 2, 3]


def test_files_of_a_landing_that_is_given_up(
    lake: SparkDestination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They go where no snapshot can have named them yet."""
    write_files(tmp_path / "in", {"1.ndjson": b'{"n": 1}\n'})
    land(lake, tmp_path / "in", SPEC)
    files = sorted((tmp_path / "lake").rglob("*.parquet"))
    write_files(tmp_path / "in", {"2.ndjson": b'{"n": 2}\n'})
    monkeypatch.setattr(faults, "_FAULT", "files_written:raise")
    monkeypatch.setattr(faults, "_passes", 0)
    with pytest.raises(RuntimeError):
        land(lake, tmp_path / "in", SPEC)
    monkeypatch.undo()
    assert sorted((tmp_path / "lake").rglob("*.parquet")) == files
