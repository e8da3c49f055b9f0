"""What others have changed of a raw table is told before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.table import Table
from pyiceberg.types import StringType

from penstock.destinations.spark.destination import SparkDestination
from penstock.errors import LandingBlocked, UsageError
from penstock.ports import Destination
from penstock.spec import StreamSpec
from tests.support.warehouse import land, ledger, quarantined, table, write_files

SPEC = StreamSpec(stream="s", identity=("n",))


def _dropped(there: Table) -> None:
    with there.update_schema(allow_incompatible_changes=True) as update:
        update.delete_column("x")


def _retyped(there: Table) -> None:
    with there.update_schema(allow_incompatible_changes=True) as update:
        update.delete_column("x")
    with there.update_schema() as update:
        update.add_column("x", StringType())


@pytest.mark.parametrize(
    ("change", "what"),
    [(_dropped, "column x of raw.s is gone"), (_retyped, "column x of raw.s is string, and was long")],
)
def test_a_column(lake: SparkDestination, tmp_path: Path, change: Callable[[Table], None], what: str) -> None:
    """One that is gone, or of another type, blocks the stream until it is put back."""
    write_files(tmp_path / "in", {"1.ndjson": b'{"n": 1, "x": 1}\n'})
    land(lake, tmp_path / "in", SPEC)
    change(lake.catalog.load_table("raw.s"))
    write_files(tmp_path / "in", {"2.ndjson": b'{"n": 2, "x": 2}\n'})
    with pytest.raises(LandingBlocked, match=what):
        land(lake, tmp_path / "in", SPEC)
    assert len(ledger(lake, "s")) == 1


def test_a_table_that_is_gone(lake: SparkDestination, tmp_path: Path) -> None:
    """It blocks the stream too: made anew, it would lack what the ledger says it holds."""
    write_files(tmp_path / "in", {"1.ndjson": b'{"n": 1}\n'})
    land(lake, tmp_path / "in", SPEC)
    lake.catalog.drop_table("raw.s")
    write_files(tmp_path / "in", {"2.ndjson": b'{"n": 2}\n'})
    with pytest.raises(LandingBlocked, match=r"raw\.s is gone"):
        land(lake, tmp_path / "in", SPEC)


def test_a_table_of_another_tool(lake: SparkDestination, tmp_path: Path) -> None:
    """Nothing lands into it, and nothing is changed in it."""
    other = lake.catalog.create_table("raw.s", pa.schema([("a", pa.int64())]))
    other.append(pa.table({"a": [1]}))
    write_files(tmp_path / "in", {"1.ndjson": b'{"n": 1}\n'})
    with pytest.raises(UsageError, match="no table of Penstock's"):
        land(lake, tmp_path / "in", SPEC)
    assert lake.query("select * from raw.s").rows == [(1,)]


def test_columns_of_others(lake: SparkDestination, tmp_path: Path) -> None:
    """A column more, one renamed of these, and rows that somebody deleted: all is read as it is, and lands on."""
    write_files(tmp_path / "in", {"1.ndjson": b'{"n": 1, "x": 1}\n{"n": 2, "x": 2}\n'})
    land(lake, tmp_path / "in", SPEC)
    there = lake.catalog.load_table("raw.s")
    with there.update_schema() as update:
        update.add_column("mine", StringType())
    with there.update_schema() as update:
        update.rename_column("mine", "ours")
    there.delete("n = 2")
    write_files(tmp_path / "in", {"2.ndjson": b'{"n": 1, "x": 9}\n{"n": 2, "x": 2}\n{"n": 3, "x": 3}\n'})
    land(lake, tmp_path / "in", SPEC)
    rows = table(lake, "s")
    assert sorted((row["n"], row["x"], row["ours"]) for row in rows) == [(1, 1, None), (2, 2, None), (3, 3, None)]
    assert ledger(lake, "s")[-1] == (3, 2, 1, 0)


def test_a_ledger_that_has_forgotten(lake: SparkDestination, tmp_path: Path) -> None:
    """Rows of a load that the ledger lost would be left out of models: nothing lands until that is mended."""
    write_files(tmp_path / "in", {"1.ndjson": b'{"n": 1}\n'})
    land(lake, tmp_path / "in", SPEC)
    lake.query("delete from penstock.loads")
    write_files(tmp_path / "in", {"2.ndjson": b'{"n": 2}\n'})
    with pytest.raises(LandingBlocked, match="does not know loads"):
        land(lake, tmp_path / "in", SPEC)
    assert lake.query("select n from raw.s").rows == [(1,)]


def test_a_field_called_like_the_days_of_another(lake: SparkDestination, tmp_path: Path) -> None:
    """No field's name is taken by what rows are kept apart by."""
    spec = StreamSpec(stream="s", event_time="at", declared=(("at", "date"),))
    write_files(tmp_path / "in", {"1.ndjson": b'{"at": "2026-01-01", "at_day": "x", "_pen_day": 7}\n'})
    land(lake, tmp_path / "in", spec)
    (row,) = table(lake, "s")
    assert row["at_day"] == "x" and 7 in row.values()


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+02:00"])
def test_moments_that_have_no_day(lake: SparkDestination, local: Destination, tmp_path: Path, moment: str) -> None:
    """A moment outside of years 1 to 9999 lands as elsewhere; as the event time, which has to have a day, it goes to
    quarantine, and holds up no other record."""
    line = b'{"n": 1, "at": "%s", "t": "%s"}\n' % (moment.encode(), ("a" * 15 + "\ud7ff" + "b").encode())
    declared = (("at", "timestamptz"),)
    write_files(tmp_path / "in", {"1.ndjson": line + b'{"n": 2, "at": "2026-01-01T00:00:00Z"}\n'})
    for destination in (lake, local):
        land(destination, tmp_path / "in", StreamSpec(stream="far", declared=declared))
    assert [dict(row, at=str(row["at"])) for row in table(lake, "far")] == [
        dict(row, at=str(row["at"])) for row in table(local, "far")
    ]
    land(lake, tmp_path / "in", StreamSpec(stream="s", declared=declared, event_time="at"))
    assert [row["n"] for row in table(lake, "s")] == [2]
    assert quarantined(lake, "s") == {line.rstrip(): "destination_rejected"}
