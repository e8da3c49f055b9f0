"""What keeps a record from landing twice when a load fails at its very end, or has lost its lock without knowing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest

from penstock.destinations.spark.destination import SparkDestination
from penstock.destinations.spark.writer import IcebergWriter
from penstock.errors import DestinationError
from penstock.project import Spark
from penstock.spec import StreamSpec
from tests.support.cut_off import cut_off
from tests.support.warehouse import land, ledger, table, write_files

SPEC = StreamSpec(stream="s", identity=("n",))


@pytest.fixture
def other(settings: Spark, lake: SparkDestination) -> Iterator[SparkDestination]:
    """A second process, as far as the warehouse can tell."""
    opened = SparkDestination(settings)
    yield opened
    opened.close()


def test_a_number_that_was_never_committed(lake: SparkDestination, other: SparkDestination, tmp_path: Path) -> None:
    """What a process remembers of a table is good only while its own last load is the newest that the ledger has: the
    number of one that failed in its commit is another's by then."""

    def load(destination: SparkDestination, name: str, lines: bytes) -> None:
        write_files(tmp_path / "in", {name: lines})
        land(destination, tmp_path / "in", SPEC)

    load(lake, "1.ndjson", b'{"n": 1}\n')
    with cut_off("rows_committed"):
        load(lake, "2.ndjson", b'{"n": 2}\n')
    load(other, "3.ndjson", b'{"n": 3}\n')
    load(lake, "4.ndjson", b'{"n": 2}\n{"n": 3}\n')
    assert [row["n"] for row in sorted(table(other, "s"), key=lambda r: r["n"])] == [1, 2, 3]


def test_files_of_a_landing_that_is_given_up(lake: SparkDestination, tmp_path: Path) -> None:
    """They go where no snapshot can have named them yet."""
    write_files(tmp_path / "in", {"1.ndjson": b'{"n": 1}\n'})
    land(lake, tmp_path / "in", SPEC)
    files = sorted((tmp_path / "lake").rglob("*.parquet"))
    write_files(tmp_path / "in", {"2.ndjson": b'{"n": 2}\n'})
    with cut_off("files_written"):
        land(lake, tmp_path / "in", SPEC)
    assert sorted((tmp_path / "lake").rglob("*.parquet")) == files


def test_sessions_that_end(settings: Spark, lake: SparkDestination, tmp_path: Path) -> None:
    """A server that ends its sessions, between loads or in the middle of one, costs that load alone."""

    def load(name: str) -> None:
        write_files(tmp_path / "in", {f"{name}.ndjson": b'{"n": %d}\n' % int(name)})
        land(lake, tmp_path / "in", SPEC)

    def end_sessions() -> None:
        with psycopg.connect(lake_url, autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )

    lake_url = settings.ledger_settings.conninfo()
    load("1")
    end_sessions()
    for _ in range(3):
        try:
            load("2")
        except DestinationError:
            continue
        break
    insert = IcebergWriter.insert

    def cut(self: IcebergWriter, rows: pa.Table) -> int:
        end_sessions()
        return insert(self, rows)

    with pytest.MonkeyPatch.context() as patched, pytest.raises(DestinationError):
        patched.setattr(IcebergWriter, "insert", cut)
        load("3")
    for _ in range(3):
        try:
            load("3")
        except DestinationError:
            continue
        break
    assert sorted(row["n"] for row in table(lake, "s")) == [1, 2, 3]
    assert [landed for _, landed, *_ in ledger(lake, "s")] == [1, 1, 1]


def test_a_compaction_meanwhile(lake: SparkDestination, other: SparkDestination, tmp_path: Path) -> None:
    """Files that somebody writes anew while a load runs are taken for what they are: the same rows."""
    write_files(tmp_path / "in", {"1.ndjson": b'{"n": 1}\n{"n": 2}\n'})
    land(lake, tmp_path / "in", SPEC)
    insert = IcebergWriter.insert

    def compacted(self: IcebergWriter, rows: pa.Table) -> int:
        there = other.catalog.load_table("raw.s")
        there.overwrite(there.scan().to_arrow())
        return insert(self, rows)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(IcebergWriter, "insert", compacted)
        write_files(tmp_path / "in", {"2.ndjson": b'{"n": 2}\n{"n": 3}\n'})
        land(lake, tmp_path / "in", SPEC)
    assert sorted(row["n"] for row in table(lake, "s")) == [1, 2, 3]
    assert ledger(lake, "s")[-1] == (2, 1, 1, 0)
