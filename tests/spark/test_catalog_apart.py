"""A catalog that is not in the ledger's database: a REST catalog and an object store. Rows are committed first, the
ledger after them, and what a load left that ended between the two goes before anything else lands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from penstock import Session, load_project
from penstock.destinations.spark.destination import SparkDestination
from penstock.destinations.spark.settling import settle
from penstock.destinations.spark.take_back import STAMP
from penstock.destinations.spark.tidying import Tidying
from penstock.destinations.spark.writer import IcebergWriter
from penstock.errors import DestinationError, LandingBlocked
from penstock.ledger.sql_ledger import SqlLedger
from penstock.ports import Destination
from penstock.privacy.erasure import erase
from penstock.project.lakehouse import SparkTidy
from penstock.spec import StreamSpec
from tests.support import people
from tests.support.cut_off import cut_off
from tests.support.fixtures import spark_settings
from tests.support.seaweed import PrivateSeaweed
from tests.support.warehouse import land, ledger, table, write_files

RULES = {
    "append": StreamSpec(stream="s", event_time="at", declared=(("at", "date"),)),
    "merge": StreamSpec(stream="s", identity=("id",), version="v", disposition="merge"),
    "replace": StreamSpec(stream="s", identity=("id",), disposition="replace"),
}
FILES = {
    "1.ndjson": b'{"id": 1, "v": 3, "at": "2026-01-01"}\n{"id": 2, "v": 1}\nno record\n',
    "2.ndjson": b'{"id": 1, "v": 5, "new": true}\n{"id": 3, "v": 1}\n{"id": 3, "v": 1}\n',
}
MORE = {**FILES, "3.ndjson": b'{"id": 2, "v": 7, "later": "x"}\n{"id": 4, "v": 1}\n'}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSeaweed]:
    """A store with a catalog."""
    with PrivateSeaweed(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture
def apart(store: PrivateSeaweed, prepared_postgres_url: str) -> Iterator[SparkDestination]:
    """An empty warehouse in the store."""
    destination = SparkDestination(spark_settings(prepared_postgres_url, **store.settings))
    destination.prepare()
    for name in destination.catalog.list_tables("raw"):
        destination.catalog.drop_table(name)
    yield destination
    destination.close()


def test_a_store_with_the_ledgers_catalog(
    store: PrivateSeaweed, prepared_postgres_url: str, local: Destination, tmp_path: Path
) -> None:
    """Tables in an object store, and the catalog in the ledger's database: what a load that ends before its one commit
    has written, nobody sees."""
    lake = SparkDestination(spark_settings(prepared_postgres_url, "s3://plain/tables", store=store.settings["store"]))
    lake.prepare()
    for files in (FILES, MORE):
        write_files(tmp_path / "data", files)
        for destination in (lake, local):
            land(destination, tmp_path / "data", RULES["merge"], disposition="merge")
        assert table(lake, "s") == table(local, "s")
        assert ledger(lake, "s") == ledger(local, "s")
    assert lake.query("select count(*) from raw.s").rows == [(4,)]
    lake.close()


@pytest.mark.parametrize("rules", list(RULES))
def test_the_same_as_elsewhere(apart: SparkDestination, local: Destination, tmp_path: Path, rules: str) -> None:
    """Rows and books are those of a DuckDB; again is nothing, and makes no snapshot."""
    for files in (FILES, MORE):
        write_files(tmp_path / "data", files)
        for destination in (apart, local):
            land(destination, tmp_path / "data", RULES[rules], disposition=RULES[rules].disposition)
        assert table(apart, "s") == table(local, "s")
        assert ledger(apart, "s") == ledger(local, "s")
    current = apart.catalog.load_table("raw.s").metadata_location
    land(apart, tmp_path / "data", RULES[rules], disposition=RULES[rules].disposition, fingerprint=False)
    assert apart.catalog.load_table("raw.s").metadata_location == current


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("rules", list(RULES))
def test_a_load_that_ends_between_the_commits(
    apart: SparkDestination,
    local: Destination,
    tmp_path: Path,
    rules: str,
    first: bool,
) -> None:
    """Its snapshot bears its number, which the ledger does not know; the next load takes it back, also that of a load
    which made the table, and lands the records that come again."""

    def load(destination: Destination) -> None:
        land(destination, tmp_path / "data", RULES[rules], disposition=RULES[rules].disposition)

    if not first:
        write_files(tmp_path / "data", FILES)
        load(apart)
        load(local)
    write_files(tmp_path / "data", MORE)
    before = ledger(apart, "s")
    with cut_off("rows_committed"):
        load(apart)
    assert ledger(apart, "s") == before
    left = apart.catalog.load_table("raw.s").current_snapshot()
    assert left is not None and left.summary is not None
    assert int(str(left.summary[STAMP])) > apart.ledger.newest_load("s")
    load(apart)
    load(local)
    assert table(apart, "s") == table(local, "s")
    assert ledger(apart, "s") == ledger(local, "s")
    loads = {load for (load,) in apart.ledger.query("select load_id from penstock.loads").rows}
    assert {load for (load,) in apart.query("select distinct _pen_load from raw.s").rows} <= loads


def ended_between(apart: SparkDestination, folder: Path) -> None:
    """A load of more files that ends between the commits."""
    write_files(folder, MORE)
    with cut_off("rows_committed"):
        land(apart, folder, RULES["append"])


def test_a_load_that_was_overtaken(apart: SparkDestination, tmp_path: Path) -> None:
    """Whether a load is known is asked of the ledger: one that another has overtaken has the lesser number."""
    write_files(tmp_path / "data", FILES)
    land(apart, tmp_path / "data", RULES["append"])
    ended_between(apart, tmp_path / "data")
    apart.ledger.query(
        "insert into penstock.loads select load_id + 7, seq + 1, stream, source, 1, 0, 1, 0, 0, bytes, started_at,"
        " committed_at from penstock.loads"
    )
    write_files(tmp_path / "data", {"4.ndjson": b'{"id": 9}\n'})
    land(apart, tmp_path / "data", RULES["append"])
    loads = {load for (load,) in apart.ledger.query("select load_id from penstock.loads").rows}
    assert {load for (load,) in apart.query("select distinct _pen_load from raw.s").rows} <= loads
    assert len(table(apart, "s")) == 5


def test_a_load_whose_snapshot_is_gone(apart: SparkDestination, tmp_path: Path) -> None:
    """Rewritten by others, and expired: its rows bear its number still, and go."""
    write_files(tmp_path / "data", FILES)
    land(apart, tmp_path / "data", RULES["append"])
    rows = table(apart, "s")
    ended_between(apart, tmp_path / "data")
    there = apart.catalog.load_table("raw.s")
    there.overwrite(there.scan().to_arrow())
    there = apart.catalog.load_table("raw.s")
    current = there.current_snapshot()
    assert current is not None
    there.maintenance.expire_snapshots().by_ids(
        [s.snapshot_id for s in there.snapshots() if s.snapshot_id != current.snapshot_id]
    ).commit()
    write_files(tmp_path / "data", FILES)
    land(apart, tmp_path / "data", RULES["append"], fingerprint=False)
    assert [{k: v for k, v in row.items() if k != "later"} for row in table(apart, "s")] == rows


def test_a_ledger_that_has_forgotten(apart: SparkDestination, tmp_path: Path) -> None:
    """More than one load that it does not know is no load that was cut off: nothing is taken back."""
    for name, content in MORE.items():
        write_files(tmp_path / "data", {name: content})
        land(apart, tmp_path / "data", RULES["append"])
    rows = table(apart, "s")
    apart.ledger.query("delete from penstock.loads where seq > 1")
    write_files(tmp_path / "data", {"4.ndjson": b'{"id": 9}\n'})
    with pytest.raises(LandingBlocked, match="does not know loads"):
        land(apart, tmp_path / "data", RULES["append"])
    assert table(apart, "s") == rows


def test_a_table_that_was_rewritten_meanwhile(apart: SparkDestination, tmp_path: Path) -> None:
    """Snapshots of others, such as a compaction's, stay; of them the rows go that the ledger does not know."""
    write_files(tmp_path / "data", FILES)
    land(apart, tmp_path / "data", RULES["append"])
    rows = table(apart, "s")
    ended_between(apart, tmp_path / "data")
    there = apart.catalog.load_table("raw.s")
    there.overwrite(there.scan().to_arrow())
    write_files(tmp_path / "data", FILES)
    land(apart, tmp_path / "data", RULES["append"], fingerprint=False)
    assert [{k: v for k, v in row.items() if k != "later"} for row in table(apart, "s")] == rows
    write_files(tmp_path / "data", MORE)
    land(apart, tmp_path / "data", RULES["append"])
    assert len(table(apart, "s")) == 6


def test_a_lock_that_was_lost(
    apart: SparkDestination,
    store: PrivateSeaweed,
    prepared_postgres_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two loaders that both take the stream for their own, as one does whose session has ended without a word: the
    one that commits later fails, and what it did comes again and lands once."""

    def records(destination: SparkDestination, name: str, lines: bytes) -> None:
        write_files(tmp_path / name, {f"{name}.ndjson": lines})
        land(destination, tmp_path / name, RULES["append"], fingerprint=False)

    records(apart, "first", b'{"id": 0}\n')
    other = SparkDestination(spark_settings(prepared_postgres_url, **store.settings))
    monkeypatch.setattr(SqlLedger, "hold", lambda *_: None)
    commit = IcebergWriter.commit

    def overtaken(self: IcebergWriter, seq: int) -> None:
        monkeypatch.setattr(IcebergWriter, "commit", commit)
        monkeypatch.setattr(SqlLedger, "hold_numbers", lambda *_: None)
        monkeypatch.setattr(SqlLedger, "add_load", lambda *_: 7)
        records(other, "b", b'{"id": 1}\n{"id": 2}\n')
        commit(self, seq)

    monkeypatch.setattr(IcebergWriter, "commit", overtaken)
    with pytest.raises(DestinationError):
        records(apart, "a", b'{"id": 1}\n')
    monkeypatch.undo()
    assert sorted(row["id"] for row in table(apart, "s")) == [0, 1, 2]
    other.close()


def test_tidied_before_a_load_is_taken_back(apart: SparkDestination, local: Destination, tmp_path: Path) -> None:
    """What a load left that ended between the commits is neither written together with others nor made harder to take
    back, whatever the age of snapshots; afterwards small files are, and the next loads go on."""
    for i in range(6):
        write_files(tmp_path / "data", {f"{i}.ndjson": b'{"id": %d, "v": 1}\n' % i})
        for destination in (apart, local):
            land(destination, tmp_path / "data", RULES["append"])
    ended_between(apart, tmp_path / "data")
    left = apart.catalog.load_table("raw.s").current_snapshot()
    tidying = Tidying(apart, SparkTidy(max_snapshot_age=timedelta()), dry_run=False)
    (done,) = tidying.run(["s"])
    assert done.rewritten == 0 and "never ended" in done.left[0]
    assert apart.catalog.load_table("raw.s").current_snapshot() == left
    for destination in (apart, local):
        land(destination, tmp_path / "data", RULES["append"])
    assert table(apart, "s") == table(local, "s")
    (done,) = Tidying(apart, SparkTidy(max_snapshot_age=timedelta()), dry_run=False).run(["s"])
    assert done.left == () and done.rewritten > 5 and done.files_after < done.files_before
    assert table(apart, "s") == table(local, "s")
    ended_after = {"9.ndjson": b'{"id": 99}\n'}
    write_files(tmp_path / "data", ended_after)
    with cut_off("rows_committed"):
        land(apart, tmp_path / "data", RULES["append"])
    for destination in (apart, local):
        land(destination, tmp_path / "data", RULES["append"])
    assert table(apart, "s") == table(local, "s")


@pytest.mark.parametrize("takes_up", ["build", "tidy"])
def test_a_rewriting_of_a_model_that_is_cut_off(
    store: PrivateSeaweed, apart: SparkDestination, prepared_postgres_url: str, takes_up: str
) -> None:
    """Small files that were written together between the two commits: whoever builds models next, or looks after
    tables, has the ledger know the snapshot, for the model and for its readers; what somebody else wrote is not taken
    up."""
    catalog = apart.catalog
    if not catalog.namespace_exists("marts"):
        catalog.create_namespace("marts")
    for old in catalog.list_tables("marts"):
        catalog.drop_table(old)
    apart.query("create schema penstock_lake")
    apart.query("create table penstock_lake.models (model text primary key, step text)")
    for name in ("rates", "others"):
        made = catalog.create_table(("marts", name), pa.schema([("n", pa.int64())]))
        for n in range(6):
            made.append(pa.table({"n": [n]}))
        snapshots = [s.snapshot_id for s in made.snapshots()]
        known = {"snapshot": str(snapshots[-1 if name == "rates" else -2]), "read": {}}
        apart.query("insert into penstock_lake.models values ($1, $2)", [f"marts.{name}", json.dumps(known)])
    before = kept(apart)
    read = json.dumps({"snapshot": None, "read": {"marts.rates": before["marts.rates"]["snapshot"]}})
    apart.query("insert into penstock_lake.models values ('marts.reader', $1)", [read])
    with cut_off("compaction_committed"):
        list(apart.tidy_tables(()))
    now = catalog.load_table("marts.rates").current_snapshot()
    assert now is not None and str(now.snapshot_id) != kept(apart)["marts.rates"]["snapshot"]
    if takes_up == "build":
        settle(spark_settings(prepared_postgres_url, **store.settings))
    else:
        done = {table.table: table for table in apart.tidy_tables(())}
        assert done["marts.rates"].left == () and done["marts.others"].left != ()
        now = catalog.load_table("marts.rates").current_snapshot()
        assert now is not None
    assert kept(apart) == {
        "marts.rates": {"snapshot": str(now.snapshot_id), "read": {}},
        "marts.others": before["marts.others"],
        "marts.reader": {"snapshot": None, "read": {"marts.rates": str(now.snapshot_id)}},
    }


def kept(destination: SparkDestination) -> dict[str, dict[str, Any]]:
    """What the ledger knows of models."""
    rows = destination.query("select model, step from penstock_lake.models").rows
    return {str(model): json.loads(step) for model, step in rows}


@pytest.mark.parametrize("step", ["", "before_erasure", "deletions_due", "after_erasure"])
def test_erased(apart: SparkDestination, prepared_postgres_url: str, tmp_path: Path, step: str) -> None:
    """The ledger commits first, and then the rows go: cut off anywhere, the next call erases what is there, and no
    snapshot is left that holds it. What a load left that ended between its commits goes as well."""
    people.make_project(tmp_path, "spark", prepared_postgres_url)
    (tmp_path / "dbt_project.yml").unlink()
    for n in (41, 42):
        people.write(tmp_path, "customers", f"{n}.ndjson", [people.customer(n), people.customer(n, city="Bern")])
        with Session(load_project(tmp_path), destination=apart) as session:
            people.load(session)
    people.write(tmp_path, "customers", "more.ndjson", [people.customer(42, city="Nice"), people.customer(43)])
    with Session(load_project(tmp_path), destination=apart) as session, cut_off("rows_committed"):
        people.load(session)
    if step:
        with Session(load_project(tmp_path), destination=apart) as session, cut_off(step):
            erase(session, "customer", "42")
    with Session(load_project(tmp_path), destination=apart) as session:
        erase(session, "customer", "42")
        assert people.holding(session, people.traces(42)) == []
        current = apart.catalog.load_table("raw.customers")
        assert len(current.metadata.snapshots) == 1
        assert session.destination.query("select count(*) from penstock.erasures where rebuilt_at is null").rows == [
            (0,)
        ]
        people.load(session)
        rows = session.destination.query("select id from raw.customers order by id").rows
        assert rows == [(41,), (41,), (43,)]
