"""A ledger in another database than the rows: the same tables, the same books, and nothing twice after a kill between
the two commits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.destinations.duckdb.destination import DuckDBDestination
from penstock.destinations.duckdb.statements import Statements
from penstock.destinations.duckdb.writer import DuckDBWriter
from penstock.destinations.landing import WarehouseLanding, opened
from penstock.destinations.postgres.destination import PostgresDestination
from penstock.destinations.postgres.statements import ReadingStatements
from penstock.destinations.postgres.writer import PostgresWriter
from penstock.destinations.refusals import SortedExecutor
from penstock.errors import DestinationError
from penstock.ledger.sql_ledger import SqlLedger
from penstock.ports import Destination, Target
from penstock.spec import StreamSpec
from tests.support.cut_off import cut_off
from tests.support.fixtures import slow_on_postgres
from tests.support.warehouse import land, ledger, quarantined, table, write_files

RULES = {
    "append": StreamSpec(stream="s", identity=("id",)),
    "merge": StreamSpec(stream="s", identity=("id",), version="at", disposition="merge"),
    "replace": StreamSpec(stream="s", identity=("id",), disposition="replace"),
}
FILES = {
    "1.ndjson": b'{"id": 1, "at": 3, "name": "a"}\n{"id": 2, "at": 1}\nno record\n',
    "2.ndjson": b'{"id": 1, "at": 5, "name": "b", "new": true}\n{"id": 3, "at": 1}\n{"id": 3, "at": 1}\n',
}
MORE = {**FILES, "3.ndjson": b'{"id": 2, "at": 7, "later": "x"}\n{"id": 4, "at": 1}\n'}


class RowsInDuckDB(DuckDBDestination):
    """Rows in a DuckDB file, whose ledger is elsewhere."""

    def land(self, target: Target) -> WarehouseLanding:
        """One transaction here, and one there."""
        self.held.landing.acquire()
        writer = DuckDBWriter(self, self.connection, target, self.held.landing.release)
        return opened(WarehouseLanding(writer, self.ledger, target))


class RowsInPostgres(PostgresDestination):
    """Rows in a PostgreSQL database, whose ledger is elsewhere."""

    def land(self, target: Target) -> WarehouseLanding:
        """One transaction here, and one there."""
        return opened(WarehouseLanding(PostgresWriter(self, target), self.ledger, target))


@pytest.fixture(params=["duckdb", "postgres"])
def apart(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Destination]:
    """Rows in one engine, their ledger in the other."""
    file = DuckDBDestination(tmp_path / "ledger.duckdb", threads=1)
    database = PostgresDestination(request.getfixturevalue("postgres_url"), shown="test database")
    rows: DuckDBDestination | PostgresDestination
    if request.param == "duckdb":
        database.prepare()
        rows = RowsInDuckDB(tmp_path / "rows.duckdb", threads=1)
        there = SortedExecutor(ReadingStatements(lambda: database.reading), database)
        rows.ledger = SqlLedger(there, "postgres", beside=False)
    else:
        file.prepare()
        rows = RowsInPostgres(request.getfixturevalue("postgres_url"), shown="test database")
        there = SortedExecutor(Statements(lambda: file.connection), file)
        rows.ledger = SqlLedger(there, "duckdb", beside=False)
    rows.query("create schema if not exists raw")
    yield rows
    for destination in (rows, file, database):
        destination.close()


@slow_on_postgres("apart")
@pytest.mark.parametrize("disposition", list(RULES))
def test_the_same_as_beside(apart: Destination, local: Destination, tmp_path: Path, disposition: str) -> None:
    """Rows, quarantine, counts and positions are those of a warehouse that has its ledger in itself; again is
    nothing."""
    for destination in (apart, local):
        for files in (FILES, MORE, MORE):
            write_files(tmp_path / "data", files)
            land(destination, tmp_path / "data", RULES[disposition], disposition=disposition)
    assert table(apart, "s") == table(local, "s")
    assert ledger(apart, "s") == ledger(local, "s")
    assert quarantined(apart, "s") == quarantined(local, "s") == {b"no record": "invalid_json"}
    assert apart.ledger.positions("s", "files").keys() == local.ledger.positions("s", "files").keys()
    assert apart.ledger.schema("s") == local.ledger.schema("s")


@slow_on_postgres("apart")
@pytest.mark.parametrize("disposition", list(RULES))
def test_a_load_that_ends_between_the_commits(
    apart: Destination, local: Destination, tmp_path: Path, disposition: str
) -> None:
    """The rows of a load that the ledger does not know go again, and come again with its source's records."""

    def load(destination: Destination) -> None:
        land(destination, tmp_path / "data", RULES[disposition], disposition=disposition)

    write_files(tmp_path / "data", FILES)
    load(apart)
    load(local)
    write_files(tmp_path / "data", MORE)
    before = ledger(apart, "s")
    with cut_off("rows_committed"):
        load(apart)
    assert ledger(apart, "s") == before
    assert apart.query("select count(*) from raw.s where id = 4").rows == [(1,)]
    load(apart)
    load(local)
    assert table(apart, "s") == table(local, "s")
    landed = [landed for _, landed, *_ in ledger(apart, "s")]
    assert sum(landed) >= len(table(apart, "s"))
    loads = {load for (load,) in apart.ledger.query("select load_id from penstock.loads").rows}
    assert {load for (load,) in apart.query("select distinct _pen_load from raw.s").rows} <= loads


def test_a_ledger_that_refuses(apart: Destination, tmp_path: Path) -> None:
    """Nothing lands while the ledger cannot be written to, and all of it does afterwards."""
    write_files(tmp_path / "data", FILES)
    apart.ledger.query("alter table penstock.loads rename to loads_away")
    with pytest.raises(DestinationError):
        land(apart, tmp_path / "data", RULES["append"])
    apart.ledger.query("alter table penstock.loads_away rename to loads")
    assert ledger(apart, "s") == []
    assert apart.ledger.positions("s", "files") == {}
    land(apart, tmp_path / "data", RULES["append"])
    assert len(table(apart, "s")) == 3
    assert ledger(apart, "s") == [(6, 3, 2, 1)]
