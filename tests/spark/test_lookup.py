"""Which files a load reads to know which records are new: those of the records' days, however large the table is."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from pyiceberg.io.pyarrow import ArrowScan

from penstock.destinations.spark.arrow import as_stored, upper_halves
from penstock.destinations.spark.destination import SparkDestination
from penstock.project import Spark
from penstock.shape.arrow import id_halves
from penstock.spec import StreamSpec
from tests.support.warehouse import land, ledger, table, write_files

DAYS = [f"2026-01-{day:02}" for day in range(1, 21)]
TYPES = {
    "date": "2026-01-05",
    "timestamp": "2026-01-05T23:59:59.999999",
    "timestamptz": "2026-01-06T00:59:59.999999+01:00",
}


Record = dict[str, object]


def ndjson(records: list[Record]) -> bytes:
    return b"".join(json.dumps(r).encode() + b"\n" for r in records)


@pytest.fixture
def files_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The data files that were read."""
    paths: list[str] = []
    reading = ArrowScan.to_record_batches

    def noted(self, tasks):  # type: ignore[no-untyped-def]
        tasks = list(tasks)
        paths.extend(task.file.file_path for task in tasks)
        return reading(self, tasks)

    monkeypatch.setattr(ArrowScan, "to_record_batches", noted)
    return paths


@pytest.mark.parametrize("type_", list(TYPES))
@pytest.mark.parametrize("identity", ["content", "key"])
def test_the_days_of_the_records(
    settings: Spark, lake: SparkDestination, tmp_path: Path, files_read: list[str], type_: str, identity: str
) -> None:
    """Of a table of twenty days, those of the batch are read by a process that has not filled it; and rows without an
    event time, since these have none that could tell."""
    keys = () if identity == "content" else ("at", "n")
    spec = StreamSpec(stream="s", identity=keys, event_time="at", declared=(("at", type_),))
    hour = {"date": "", "timestamp": "T12:00:00", "timestamptz": "T12:00:00Z"}[type_]
    records: list[Record] = [{"n": n, "at": day + hour} for n, day in enumerate(DAYS)]
    late: Record = {"n": 90, "at": TYPES[type_]}
    first: list[Record] = [*records, late, {"n": 91, "at": f"1969-12-31{hour}"}]
    if identity == "content":
        first.append({"n": 92})
    write_files(tmp_path / "in", {"a.ndjson": ndjson(first)})
    land(lake, tmp_path / "in", spec)
    rows = table(lake, "s")
    other = SparkDestination(settings)
    try:
        files_read.clear()
        write_files(tmp_path / "in", {"b.ndjson": ndjson([records[3], late, {"n": 7, "at": records[3]["at"]}])})
        land(other, tmp_path / "in", spec)
        days = {path.split("_pen_day=")[1].split("/")[0] for path in files_read}
        assert days - {"null"} == {"2026-01-04", "2026-01-05"}
        assert len(table(other, "s")) == len(rows) + 1
        assert ledger(other, "s")[-1] == (3, 1, 2, 0)
    finally:
        other.close()


def test_an_identity_that_fixes_no_day(
    settings: Spark, lake: SparkDestination, tmp_path: Path, files_read: list[str]
) -> None:
    """A key that comes again with another time is found on whatever day it was."""
    spec = StreamSpec(stream="s", identity=("n",), event_time="at", declared=(("at", "date"),))
    write_files(tmp_path / "in", {"a.ndjson": ndjson([{"n": n, "at": day} for n, day in enumerate(DAYS)])})
    land(lake, tmp_path / "in", spec)
    other = SparkDestination(settings)
    try:
        write_files(tmp_path / "in", {"b.ndjson": ndjson([{"n": 3, "at": "2030-01-01"}, {"n": 99, "at": DAYS[0]}])})
        land(other, tmp_path / "in", spec)
        assert ledger(other, "s")[-1] == (2, 1, 1, 0)
        assert files_read
    finally:
        other.close()


def test_an_event_time_that_becomes_a_column_later(settings: Spark, lake: SparkDestination, tmp_path: Path) -> None:
    """Records that came before it was declared are known when they come again; days are kept apart from then on."""
    before = StreamSpec(stream="s", columns="rescue", declared=(("n", "bigint"),), event_time="at")
    after = StreamSpec(stream="s", columns="rescue", declared=(("n", "bigint"), ("at", "date")), event_time="at")
    old: list[Record] = [{"n": 1, "at": "2026-01-01"}, {"n": 2}]
    write_files(tmp_path / "in", {"a.ndjson": ndjson(old)})
    land(lake, tmp_path / "in", before)
    for records, expected in (([*old, {"n": 3, "at": "2026-01-01"}], (3, 1, 2, 0)), (old, (2, 0, 2, 0))):
        other = SparkDestination(settings)
        write_files(tmp_path / "in", {"b.ndjson": ndjson(records)})
        land(other, tmp_path / "in", after, fingerprint=False)
        assert ledger(other, "s")[-1] == expected
        assert len(other.catalog.load_table("raw.s").spec().fields) == 1
        other.close()
    assert len(table(lake, "s")) == 3


def test_what_a_process_remembers(
    settings: Spark, lake: SparkDestination, tmp_path: Path, files_read: list[str]
) -> None:
    """Where an identity fixes no day, a process reads all identities once, and later those alone that others landed;
    it still knows each record that any of them has."""
    spec = StreamSpec(stream="s", identity=("n",), event_time="at", declared=(("at", "date"),))

    def put(destination: SparkDestination, *numbers: int) -> tuple[int, int, int, int]:
        records: list[Record] = [{"n": n, "at": DAYS[n % 20]} for n in numbers]
        write_files(tmp_path / "in", {f"{numbers}.ndjson": ndjson(records)})
        files_read.clear()
        land(destination, tmp_path / "in", spec)
        return ledger(destination, "s")[-1]

    assert put(lake, *range(20)) == (20, 20, 0, 0)
    assert not files_read
    other = SparkDestination(settings)
    try:
        assert put(other, 30, 31, 32) == (3, 3, 0, 0)
        assert len(set(files_read)) == 20
        assert put(other, 33) == (1, 1, 0, 0)
        assert not files_read
        assert put(lake, 40, 41) == (2, 2, 0, 0)
        assert len(set(files_read)) == 4
        assert put(other, 42) == (1, 1, 0, 0)
        assert len(set(files_read)) == 2
        assert put(lake, 7, 33, 41, 42, 50) == (5, 1, 4, 0)
        assert put(other, 50, 40, 3) == (3, 0, 3, 0)
        assert len(table(lake, "s")) == 28
    finally:
        other.close()


def test_more_than_can_be_remembered(
    settings: Spark, lake: SparkDestination, tmp_path: Path, files_read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that is too large for it is asked by each load, once, and never read to be remembered again."""
    spec = StreamSpec(stream="s", identity=("n",), event_time="at", declared=(("at", "date"),))
    write_files(tmp_path / "in", {"a.ndjson": ndjson([{"n": n, "at": day} for n, day in enumerate(DAYS)])})
    land(lake, tmp_path / "in", spec)
    monkeypatch.setattr("penstock.destinations.known.MAX_ROWS", 10)
    other = SparkDestination(settings)
    try:
        for turn in range(3):
            files_read.clear()
            write_files(tmp_path / "in", {f"{turn}.ndjson": ndjson([{"n": 3}, {"n": 100 + turn, "at": DAYS[0]}])})
            land(other, tmp_path / "in", spec)
            assert ledger(other, "s")[-1] == (2, 1, 1, 0)
            # a file has one row, and its statistics say which: only the one with a known record is looked into
            assert len(files_read) == (21 if turn == 0 else 1)
    finally:
        other.close()


def test_halves_of_texts() -> None:
    """An identity as text gives the number that it gives as bytes, in whichever part of an array it is."""
    ids = [uuid.uuid4() for _ in range(50)]
    stored = pa.chunked_array(
        [pa.ExtensionArray.from_storage(pa.uuid(), pa.array([i.bytes for i in ids], pa.binary(16)))]
    )
    texts = as_stored(pa.table({"_pen_id": stored})).column("_pen_id").combine_chunks()
    assert texts.to_pylist() == [str(i) for i in ids]
    expected = id_halves(stored).astype("uint64")[:, 0]
    assert (upper_halves(texts) == expected).all()
    assert (upper_halves(texts.slice(7, 20)) == expected[7:27]).all()
    assert len(upper_halves(texts.slice(0, 0))) == 0


@pytest.mark.parametrize("type_", list(TYPES))
def test_one_file_a_day(lake: SparkDestination, tmp_path: Path, type_: str) -> None:
    """Rows of a load are a file for each day, before 1970 and without a day too, in the order of their identities."""
    days = [f"{year}-{month:02}-{day:02}" for year in (1969, 1970, 2026) for month in (1, 12) for day in (1, 2, 30, 31)]
    hours = {"date": [""], "timestamp": ["T00:00:00", "T23:59:59.999999"]}.get(
        type_, ["T00:00:00Z", "T23:59:59.999999Z"]
    )
    records: list[Record] = [{"n": n, "at": day + hour} for day in days for hour in hours for n in range(20)]
    records += [{"n": n} for n in range(20)]
    spec = StreamSpec(stream="s", event_time="at", declared=(("at", type_),))
    write_files(tmp_path / "in", {"a.ndjson": ndjson(records[::-1])})
    land(lake, tmp_path / "in", spec)
    tasks = list(lake.catalog.load_table("raw.s").scan().plan_files())
    assert len({str(task.file.partition[0]) for task in tasks}) == len(tasks) == len(days) + 1
    for task in tasks:
        stored = parquet.read_table(task.file.file_path.removeprefix("file://"))
        ids = stored.column("_pen_id").to_pylist()
        assert ids == sorted(ids)
        assert len({str(at)[:10] for at in stored.column("at").to_pylist()}) == 1
    assert len(table(lake, "s")) == len(records)


def test_an_event_time_that_was_another(settings: Spark, lake: SparkDestination, tmp_path: Path) -> None:
    """A table goes on by the days of the event time that it was made with: where the identity does not fix those, a
    record is looked for on all of them."""
    declared = (("a", "date"), ("b", "date"))
    before = StreamSpec(stream="s", identity=("n", "b"), event_time="a", declared=declared)
    write_files(tmp_path / "in", {"1.ndjson": ndjson([{"n": 1, "a": DAYS[0], "b": DAYS[5]}])})
    land(lake, tmp_path / "in", before)
    other = SparkDestination(settings)
    write_files(tmp_path / "in", {"2.ndjson": ndjson([{"n": 1, "a": DAYS[9], "b": DAYS[5]}])})
    land(other, tmp_path / "in", replace(before, event_time="b"))
    assert ledger(other, "s")[-1] == (1, 0, 1, 0)
    other.close()


def test_an_event_time_that_comes_after_files_were_written(
    settings: Spark, lake: SparkDestination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days are kept apart from the next load on: one snapshot takes files that are kept apart alike."""
    monkeypatch.setattr("penstock.destinations.spark.appending._LARGE_BYTES", 1)
    spec = StreamSpec(stream="s", event_time="at")
    first = ndjson([{"n": n} for n in range(20)])
    write_files(tmp_path / "in", {"1.ndjson": first, "2.ndjson": ndjson([{"n": 50, "at": DAYS[0]}])})
    land(lake, tmp_path / "in", spec, batch_bytes=50)
    write_files(tmp_path / "in", {"3.ndjson": ndjson([{"n": 51, "at": DAYS[1]}, {"n": 50, "at": DAYS[0]}])})
    for destination in (lake, SparkDestination(settings)):
        land(destination, tmp_path / "in", spec, fingerprint=False)
        assert len(table(destination, "s")) == 22
        assert len(destination.catalog.load_table("raw.s").spec().fields) == 1
        destination.close()
