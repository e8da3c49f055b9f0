"""Landing into Iceberg tables, with the ledger in PostgreSQL: the same rows and the same books as in a warehouse that
has both in itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.destinations.spark.destination import SparkDestination
from penstock.ports import Destination
from penstock.spec import StreamSpec
from tests.support.warehouse import land, ledger, quarantined, table, write_files

RULES = {
    "append": StreamSpec(stream="s", identity=("id",), event_time="at", declared=(("at", "timestamp"),)),
    "content": StreamSpec(stream="s", event_time="at", declared=(("at", "timestamp"),)),
    "merge": StreamSpec(stream="s", identity=("id",), version="at", disposition="merge"),
    "replace": StreamSpec(stream="s", identity=("id",), disposition="replace"),
}
FILES = {
    "1.ndjson": b'{"id": 1, "at": "2026-01-03", "name": "a"}\n{"id": 2, "at": "2026-01-01"}\nno record\n',
    "2.ndjson": b'{"id": 1, "at": "2026-01-05", "name": "b", "new": true}\n{"id": 3}\n{"id": 3}\n{"id": 3, "at": 7}\n',
}
MORE = {**FILES, "3.ndjson": b'{"id": 2, "at": "2026-01-07", "later": {"x": 1.5}}\n{"id": 4, "at": "1969-12-31"}\n'}
LESS = {"1.ndjson": FILES["1.ndjson"]}


@pytest.mark.parametrize("rules", list(RULES))
def test_the_same_as_elsewhere(lake: SparkDestination, local: Destination, tmp_path: Path, rules: str) -> None:
    """Rows, quarantine, counts, columns and positions are those of a DuckDB; again is nothing."""
    spec = RULES[rules]
    for files in (FILES, MORE, MORE, LESS):
        write_files(tmp_path / "data", files)
        for destination in (lake, local):
            land(destination, tmp_path / "data", spec, disposition=spec.disposition)
        assert table(lake, "s") == table(local, "s")
        assert ledger(lake, "s") == ledger(local, "s")
    assert quarantined(lake, "s") == quarantined(local, "s") == {b"no record": "invalid_json"}
    assert lake.ledger.positions("s", "files").keys() == local.ledger.positions("s", "files").keys()
    assert lake.ledger.schema("s") == local.ledger.schema("s")


def test_many_small_loads(lake: SparkDestination, tmp_path: Path) -> None:
    """Every snapshot stays that was made, and no more than 51 versions of what is known of the table."""
    for n in range(60):
        write_files(tmp_path / "data", {f"{n}.ndjson": b'{"id": %d}\n' % n})
        land(lake, tmp_path / "data", StreamSpec(stream="s"))
    there = lake.catalog.load_table("raw.s")
    assert len(there.snapshots()) == len(there.history()) == 60
    assert {str(s.summary["penstock.load"]) for s in there.snapshots() if s.summary} == {str(n) for n in range(1, 61)}
    assert len(list((tmp_path / "lake").rglob("*.metadata.json"))) == 51
    assert lake.query("select count(*), count(distinct id) from raw.s").rows == [(60, 60)]


def test_another_version(lake: SparkDestination, local: Destination, tmp_path: Path) -> None:
    """Rows that landed by the versions of one field are compared by those of another from then on."""
    declared = (("v", "bigint"), ("w", "timestamp"), ("x", "json"))
    records = {
        "1.ndjson": b'{"k": 1, "v": 1, "w": "2026-01-02", "x": 9}\n{"k": 2, "v": 1, "x": "a"}\n{"k": 3, "w": "odd"}\n',
        "2.ndjson": b'{"k": 1, "v": 2, "w": "2026-01-01", "x": 10}\n{"k": 2, "v": 0, "w": "2026-01-01"}\n{"k": 3}\n',
        "3.ndjson": b'{"k": 1, "v": 0, "w": "2026-01-03", "x": 11}\n{"k": 2, "v": 9, "x": "b"}\n{"k": 3, "w": "p"}\n',
    }
    for count, version in ((1, "v"), (2, "w"), (3, "x"), (3, "v"), (3, None)):
        spec = StreamSpec(
            stream="s", identity=("k",), version=version, disposition="merge", declared=declared, sameness="k"
        )
        write_files(tmp_path / "data", dict(list(records.items())[:count]))
        for destination in (lake, local):
            land(destination, tmp_path / "data", spec, disposition="merge", fingerprint=False)
        assert table(lake, "s") == table(local, "s"), version
        assert ledger(lake, "s") == ledger(local, "s")
