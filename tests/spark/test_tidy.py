"""``penstock tidy`` on Iceberg tables: fewer files, the same rows, and nothing lost wherever it ends."""

from __future__ import annotations

import json
import os
import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.snapshots import Operation
from pyiceberg.transforms import BucketTransform, IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType

from penstock.destinations.spark import compacting
from penstock.destinations.spark.destination import SparkDestination
from penstock.destinations.spark.reachable import Reachable, digest, path_of, versions
from penstock.destinations.spark.tended import partition_of
from penstock.errors import UsageError
from penstock.project import Spark
from penstock.project.lakehouse import SparkTidy
from penstock.spec import StreamSpec
from penstock.upkeep import TidiedTable
from tests.support.cut_off import cut_off
from tests.support.fixtures import spark_settings
from tests.support.warehouse import land, ledger, write_files

BY_DAY = StreamSpec(stream="s", event_time="at", declared=(("at", "date"),))
BY_KEY = StreamSpec(stream="s", identity=("id",), version="v", disposition="merge")
LOADS = 6


@pytest.fixture
def settings(prepared_postgres_url: str, tmp_path: Path) -> Spark:
    """Tables whose snapshots are old at once."""
    return spark_settings(prepared_postgres_url, tmp_path / "lake", tidy={"max_snapshot_age": "0s"})


def records(load: int, rules: StreamSpec) -> bytes:
    """Those of one load: of two days, or a version of three keys and a new one."""
    if rules is BY_KEY:
        return b"".join(b'{"id": %d, "v": %d}\n' % (id_, load) for id_ in (1, 2, 3, 100 + load))
    return b"".join(b'{"id": %d, "at": "2026-01-0%d"}\n' % (load * 10 + i, i) for i in (1, 2))


def landed(lake: SparkDestination, folder: Path, rules: StreamSpec = BY_DAY, loads: int = LOADS) -> None:
    """Have so many loads land."""
    for load in range(loads):
        write_files(folder / "data", {f"{i}.ndjson": records(i, rules) for i in range(load + 1)})
        land(lake, folder / "data", rules, disposition=rules.disposition)


def rows_of(lake: SparkDestination) -> list[tuple[Any, ...]]:
    """All that the raw table holds."""
    return sorted(map(tuple, lake.query("select * from raw.s").rows), key=str)


def tidied(lake: SparkDestination, *, dry_run: bool = False) -> TidiedTable:
    """What is done about the one table there is."""
    (table,) = lake.tidy_tables((), dry_run=dry_run)
    return table


def on_disk(folder: Path) -> list[Path]:
    """The files of the warehouse."""
    return sorted(path for path in (folder / "lake").rglob("*") if path.is_file() and not path.name.startswith("."))


def unnamed(lake: SparkDestination, folder: Path) -> list[Path]:
    """The files of the warehouse that nothing names."""
    table = lake.catalog.load_table("raw.s")
    named = Reachable(table, table.metadata.snapshots).digests | {digest(path_of(file)) for file in versions(table)}
    return [path for path in on_disk(folder) if digest(str(path)) not in named]


@pytest.mark.parametrize("rules", [BY_DAY, BY_KEY])
def test_the_same_rows_in_fewer_files(lake: SparkDestination, tmp_path: Path, rules: StreamSpec) -> None:
    """A file for each day, in the order of identities; one snapshot; what is counted is what is on the disk. Again does
    nothing, known records are known still, and new ones land."""
    landed(lake, tmp_path, rules)
    rows, days = rows_of(lake), 2 if rules is BY_DAY else 1
    before = len(on_disk(tmp_path))
    planned = tidied(lake, dry_run=True)
    assert len(on_disk(tmp_path)) == before
    done = tidied(lake)
    assert rows_of(lake) == rows
    if rules is BY_DAY:
        assert (done.files_before, done.files_after, done.rewritten) == (2 * LOADS, days, 2 * LOADS)
        assert planned.rewritten == done.rewritten
    assert (done.left, done.orphans_removed) == ((), 0)
    assert done.snapshots_expired >= planned.snapshots_expired > 0
    assert done.bytes_after < done.bytes_before or rules is BY_KEY
    table = lake.catalog.load_table("raw.s")
    paths = [path_of(task.file.file_path) for task in table.scan().plan_files()]
    assert sum(Path(path).stat().st_size for path in paths) == done.bytes_after
    for path in paths:
        ids = pq.read_table(path, columns=["_pen_id"], partitioning=None).column(0).to_pylist()
        assert ids == sorted(ids)
    assert len(table.metadata.snapshots) == done.snapshots_kept
    assert unnamed(lake, tmp_path) == []
    current = table.metadata_location
    again = tidied(lake)
    assert (again.rewritten, again.snapshots_expired, again.files_removed, again.orphans_removed) == (0, 0, 0, 0)
    assert lake.catalog.load_table("raw.s").metadata_location == current
    lake.known.clear()
    land(lake, tmp_path / "data", rules, disposition=rules.disposition, fingerprint=False)
    assert rows_of(lake) == rows
    write_files(tmp_path / "data", {"more.ndjson": records(9, rules)})
    land(lake, tmp_path / "data", rules, disposition=rules.disposition)
    assert ledger(lake, "s")[-1][1] == len(records(9, rules).splitlines())


@pytest.mark.parametrize("step", ["files_compacted", "before_compaction", "after_compaction", "snapshots_expired"])
def test_cut_off_anywhere(lake: SparkDestination, tmp_path: Path, step: str) -> None:
    """The rows are the same, what was done stays done, and the next one does the rest: in the end no file is left that
    nothing names."""
    landed(lake, tmp_path)
    rows = rows_of(lake)
    with cut_off(step):
        tidied(lake)
    assert rows_of(lake) == rows
    tidied(lake)
    for path in on_disk(tmp_path):
        aged(path, days=4)
    tidied(lake)
    assert rows_of(lake) == rows
    assert lake.catalog.load_table("raw.s").current_snapshot().summary["total-data-files"] == "2"  # type: ignore[union-attr,index]
    assert unnamed(lake, tmp_path) == []


@pytest.mark.parametrize("rules", [BY_DAY, BY_KEY])
def test_landings_go_on_meanwhile(
    settings: Spark, lake: SparkDestination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rules: StreamSpec
) -> None:
    """What lands while files are being written together stays, also where it takes the place of rows in these: such a
    compaction is refused, and begun anew."""
    monkeypatch.setattr(compacting, "FEWEST", 1)
    landed(lake, tmp_path, rules)
    other = SparkDestination(settings)
    passed: list[str] = []

    def lands(step: str) -> None:
        passed.append(step)
        if step == "before_compaction" and passed.count(step) == 1:
            write_files(tmp_path / "data", {"more.ndjson": records(9, rules)})
            land(other, tmp_path / "data", rules, disposition=rules.disposition)

    monkeypatch.setattr(compacting, "fault_point", lands)
    done = tidied(lake)
    other.close()
    assert passed.count("before_compaction") == (1 if rules is BY_DAY else passed.count("files_compacted"))
    assert done.left == ()
    rows = rows_of(lake)
    assert len(rows) == (2 * (LOADS + 1) if rules is BY_DAY else 3 + LOADS + 1)
    if rules is BY_KEY:
        assert lake.query("select distinct v from raw.s where id <= 3").rows == [(9,)]
    assert lake.query("select count(distinct _pen_id) from raw.s").rows == [(len(rows),)]


def test_orphans(lake: SparkDestination, tmp_path: Path) -> None:
    """Files of a load that was cut off stay for as long as a load may take, and go then; what is none of the table's
    stays."""
    landed(lake, tmp_path, loads=1)
    write_files(tmp_path / "data", {"1.ndjson": records(1, BY_DAY)})
    table = Path(path_of(lake.catalog.load_table("raw.s").location()))
    left = [shutil.copy(next(table.rglob("*.parquet")), table / "data" / f"{name}.parquet") for name in ("old", "new")]
    beside = table / "elsewhere" / "data" / "mine.parquet"
    beside.parent.mkdir(parents=True)
    shutil.copy(left[0], beside)
    for path in (left[0], beside):
        aged(Path(path), days=4)
    assert tidied(lake, dry_run=True).orphans_removed == 1
    assert Path(left[0]).exists()
    size = Path(left[0]).stat().st_size
    done = tidied(lake)
    assert (done.orphans_removed, done.bytes_removed) == (1, size)
    assert not Path(left[0]).exists()
    assert Path(left[1]).exists() and beside.exists()
    assert unnamed(lake, tmp_path) == sorted([Path(left[1]), beside])


def test_a_folder_that_does_not_list_what_is_named(lake: SparkDestination, tmp_path: Path) -> None:
    """Where a file is missing that the table names, no file is taken for an orphan, and it says so."""
    landed(lake, tmp_path, loads=2)
    first, *others = (tmp_path / "lake").rglob("*.parquet")
    orphan = shutil.copy(first, first.parent / "orphan.parquet")
    aged(Path(orphan), days=4)
    others[-1].rename(tmp_path / "elsewhere.parquet")
    done = tidied(lake)
    assert Path(orphan).exists()
    assert any("no file of it is taken" in what for what in done.left)


def test_snapshots_younger_than_the_setting_stay(
    prepared_postgres_url: str, tmp_path: Path, lake: SparkDestination
) -> None:
    """So does each of their files: the table can be read as it was."""
    landed(lake, tmp_path)
    careful = SparkDestination(spark_settings(prepared_postgres_url, tmp_path / "lake"))
    before = careful.catalog.load_table("raw.s").metadata.snapshots
    (done,) = careful.tidy_tables(["s"])
    assert (done.snapshots_expired, done.files_removed, done.files_after) == (0, 0, 2)
    table = careful.catalog.load_table("raw.s")
    assert [table.scan(snapshot_id=snapshot.snapshot_id).to_arrow().num_rows for snapshot in before] == [
        2 * (load + 1) for load in range(LOADS)
    ]
    with pytest.raises(UsageError, match="nothing has landed in a stream 'other'"):
        list(careful.tidy_tables(["other"]))
    careful.close()


def test_orphans_are_a_day_old_at_least() -> None:
    """A file of a load that has not ended looks like one."""
    assert SparkTidy.model_validate({"orphan_age": "1d"}).orphan_age == timedelta(days=1)
    with pytest.raises(ValueError, match="less than a day"):
        SparkTidy.model_validate({"orphan_age": "23h"})


def aged(path: Path, *, days: int) -> None:
    """Make a file as old."""
    then = time.time() - days * 86_400
    os.utime(path, (then, then))


def test_models(lake: SparkDestination) -> None:
    """Of a model's table the snapshots stay from the oldest that the ledger knows, of the model or of one that reads
    it, up to the current one; those before it go with their files. Small files are written together, and the ledger
    knows the snapshot of that, for the model and for whoever had read the one before it. A table that is another than
    the ledger knows keeps its files, and it says so."""
    catalog = lake.catalog
    catalog.create_namespace("marts")
    for name in ("rates", "report"):
        made = catalog.create_table(("marts", name), pa.schema([("n", pa.int64())]))
        for n in range(LOADS):
            made.append(pa.table({"n": [n]}))
    rates, report = ([s.snapshot_id for s in catalog.load_table(("marts", n)).snapshots()] for n in ("rates", "report"))
    lake.query("create schema penstock_lake")
    lake.query("create table penstock_lake.models (model text primary key, step text)")
    for name, step in {
        "marts.rates": {"snapshot": str(rates[4]), "read": {}},
        "marts.report": {"snapshot": str(report[5]), "read": {"marts.rates": str(rates[2])}},
        "marts.gone": {"snapshot": None, "read": {"marts.report": str(report[5])}},
    }.items():
        lake.query("insert into penstock_lake.models values ($1, $2)", [name, json.dumps(step)])
    done = {table.table: table for table in lake.tidy_tables(())}
    kept = {name: [s.snapshot_id for s in catalog.load_table(name).snapshots()] for name in done}
    assert (kept["marts.rates"], done["marts.rates"].snapshots_expired) == (rates[2:], 2)
    assert (done["marts.rates"].rewritten, done["marts.rates"].left) == (
        0,
        ("its newest rows are not of a step that ended: the next one settles that",),
    )
    assert all(table.files_removed and table.error is None for table in done.values())
    now = catalog.load_table("marts.report").current_snapshot()
    assert now is not None and now.summary is not None and now.summary.operation == Operation.REPLACE
    assert kept["marts.report"] == [now.snapshot_id]
    assert (done["marts.report"].rewritten, done["marts.report"].files_after) == (LOADS, 1)
    steps = {model: json.loads(step) for model, step in lake.query("select * from penstock_lake.models").rows}
    assert steps["marts.report"] == {"snapshot": str(now.snapshot_id), "read": {"marts.rates": str(rates[2])}}
    assert steps["marts.gone"] == {"snapshot": None, "read": {"marts.report": str(now.snapshot_id)}}
    for name in ("rates", "report"):
        assert lake.query(f"select n from marts.{name} order by 1").rows == [(n,) for n in range(LOADS)]
    table = catalog.load_table(("marts", "rates"))
    assert [table.scan(snapshot_id=id_).to_arrow().num_rows for id_ in rates[2:]] == [3, 4, 5, 6]
    assert {t.table: t.rewritten for t in lake.tidy_tables(())} == {"marts.rates": 0, "marts.report": 0}


PARTITIONS = PartitionSpec(
    PartitionField(1, 1000, IdentityTransform(), "kind"), PartitionField(2, 1001, BucketTransform(2), "bucket")
)


def test_a_model_that_is_partitioned(lake: SparkDestination) -> None:
    """No file takes in rows of another partition, also where rows are kept apart by parts of a hash."""
    catalog = lake.catalog
    catalog.create_namespace("marts")
    columns = Schema(NestedField(1, "kind", StringType()), NestedField(2, "n", LongType()))
    made = catalog.create_table(("marts", "parts"), columns, partition_spec=PARTITIONS)
    rows = [{"kind": kind, "n": n} for n in range(2 * LOADS) for kind in ("a", None)]
    for first in range(0, len(rows), 4):
        made.append(pa.Table.from_pylist(rows[first : first + 4], schema=columns.as_arrow()))
    snapshot = made.current_snapshot()
    assert snapshot is not None
    lake.query("create schema penstock_lake")
    lake.query("create table penstock_lake.models (model text primary key, step text)")
    step = json.dumps({"snapshot": str(snapshot.snapshot_id), "read": {}})
    lake.query("insert into penstock_lake.models values ('marts.parts', $1)", [step])
    done = tidied(lake)
    assert done.error is None and done.left == ()
    assert done.rewritten > 0 and done.files_after < done.files_before
    files = [task.file for task in catalog.load_table("marts.parts").scan().plan_files()]
    assert len({partition_of(file) for file in files}) == 4
    content = catalog.load_table("marts.parts").scan().to_arrow().to_pylist()
    assert sorted(content, key=str) == sorted(rows, key=str)
