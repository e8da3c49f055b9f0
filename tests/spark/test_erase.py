"""A person who was erased is nowhere in the folder of Iceberg tables either, which keep what they were, and stays
away. What is the same on every kind of warehouse is in ``tests/contracts/test_erase.py``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from penstock import Session
from penstock.destinations.spark.destination import SparkDestination
from penstock.destinations.spark.tidying import Tidying
from penstock.errors import DestinationError
from penstock.privacy.erasure import erase
from penstock.project.lakehouse import SparkTidy
from tests.support import iceberg_files, people
from tests.support.cut_off import cut_off
from tests.support.people import customer, holding, load, traces, write

BROKEN = [b'{"id": 42, "name": "Person Nr42x",}', b'"email": "mail42x@example.com", cut off', b"nothing of anyone"]


@pytest.fixture
def project(prepared_postgres_url: str, tmp_path: Path) -> Path:
    """The project's folder, without models."""
    people.make_project(tmp_path, "spark", prepared_postgres_url)
    (tmp_path / "dbt_project.yml").unlink()
    return tmp_path


def warehouse(session: Session) -> SparkDestination:
    """The project's."""
    assert isinstance(session.destination, SparkDestination)
    return session.destination


def in_files(session: Session, wanted: Sequence[bytes]) -> list[str]:
    """Where these bytes are in the warehouse's folder."""
    return iceberg_files.holding(warehouse(session).catalog, session.project.directory / "tables", wanted)


def expect_gone(session: Session, wanted: Sequence[bytes]) -> None:
    """No row, no statistic and no file has these bytes, and every file is named by a table."""
    assert holding(session, wanted) == []
    assert in_files(session, wanted) == []
    assert iceberg_files.unnamed(warehouse(session).catalog, session.project.directory / "tables") == []


def landed(session: Session) -> list[bytes]:
    """Have some people land, in several loads; the traces of one of them, and their rows' identities as statistics
    have them."""
    folder = session.project.directory
    for city in ("Oslo", "Rome"):
        write(folder, "customers", f"{city}.ndjson", [customer(n, city=city) for n in range(40, 46)])
        load(session)
    write(folder, "customers", "broken.ndjson", [*BROKEN, customer(42, phone={"home": customer(42)["phone"]})])
    write(folder, "subscriptions", "a.ndjson", [{"id": n, "customer_id": str(n), "rate": n} for n in range(40, 46)])
    load(session)
    write(folder, "subscriptions", "b.ndjson", [{"id": 60, "customer_id": "42", "rate": 1}])
    load(session)
    ids = session.destination.query(
        "select _pen_id from raw.customers where id = 42 union all select _pen_id from raw.subscriptions"
        " where customer_id = '42'"
    ).rows
    assert len(ids) == 5
    return [*traces(42), *(str(id_)[:16].encode() for (id_,) in ids)]


def test_erase(project: Path) -> None:
    """All of a person goes and nothing of anyone else, in tables, snapshots, statistics and quarantine; what is sent
    again stays out."""
    with people.opened(project) as session:
        gone = landed(session)
        assert in_files(session, gone)
        before = session.destination.query("select * from raw.customers where id <> 42 order by _pen_id").rows
        found = erase(session, "customer", "42")
        assert found.counts == {"raw.customers": 3, "raw.subscriptions": 2, "penstock.quarantine": 2}
        expect_gone(session, gone)
        assert in_files(session, [traces(43)[1]])
        assert session.destination.query("select * from raw.customers order by _pen_id").rows == before
        tables = [warehouse(session).catalog.load_table(name) for name in ("raw.customers", "raw.subscriptions")]
        assert [len(table.metadata.snapshots) for table in tables] == [1, 1]
        again = erase(session, "customer", "42")
        assert again.counts == {} and again.before is not None
        write(project, "customers", "more.ndjson", [customer(42, city="Bern"), customer(50), *BROKEN])
        write(
            project, "subscriptions", "more.ndjson", [{"id": 61, "customer_id": "42"}, {"id": 40, "customer_id": "40"}]
        )
        # of the file that said so before, what is broken and names the person is out too
        assert load(session)["customers"][1] == 1
        expect_gone(session, gone)


@pytest.mark.parametrize("step", ["before_erasure", "after_erasure"])
def test_cut_off(project: Path, step: str) -> None:
    """Before the commit nothing is erased; after it the rows are gone, and the next call has the files go too."""
    with people.opened(project) as session:
        gone = landed(session)
        with cut_off(step):
            erase(session, "customer", "42")
        rows = session.destination.query("select count(*) from raw.customers where id = 42").rows
        assert rows == [(3 if step == "before_erasure" else 0,)]
        assert in_files(session, gone)
    with people.opened(project) as session:
        erase(session, "customer", "42")
        expect_gone(session, gone)
        assert session.destination.query("select count(*) from raw.customers").rows == [(10,)]
        unfinished = "select count(*) from penstock.erasures where rebuilt_at is null"
        assert session.destination.query(unfinished).rows == [(0,)]


def test_without_rewriting(project: Path) -> None:
    """Older snapshots keep the rows, and it says so, until ``tidy`` finds these old enough."""
    with people.opened(project) as session:
        gone = landed(session)
        found = erase(session, "customer", "42", rewrite=False)
        assert any("older snapshots" in what for what in found.left)
        assert session.destination.query("select count(*) from raw.customers where id = 42").rows == [(0,)]
        assert in_files(session, gone)
        list(Tidying(warehouse(session), SparkTidy(max_snapshot_age=timedelta()), dry_run=False).run(()))
        assert in_files(session, traces(42)) == []
        erase(session, "customer", "42", rewrite=True)
        expect_gone(session, gone)


def test_files_that_a_killed_load_left(project: Path) -> None:
    """They hold the person too, and go however young they are."""
    with people.opened(project) as session:
        gone = landed(session)
        left = project / "tables" / "raw" / "customers" / "data" / "left.parquet"
        left.write_bytes(next((project / "tables" / "raw" / "customers").rglob("*.parquet")).read_bytes())
        erase(session, "customer", "42")
        expect_gone(session, gone)


def test_a_tag_that_keeps_rows(project: Path) -> None:
    """A snapshot that somebody named is not taken away: the person is erased, and what is left is told, until it is
    dropped."""
    with people.opened(project) as session:
        gone = landed(session)
        table = warehouse(session).catalog.load_table("raw.customers")
        current = table.metadata.current_snapshot_id
        assert current is not None
        table.manage_snapshots().create_tag(current, "audit").commit()
        with pytest.raises(DestinationError, match=r"deleted bytes are left .* audit"):
            erase(session, "customer", "42")
        assert session.destination.query("select count(*) from raw.customers where id = 42").rows == [(0,)]
        warehouse(session).catalog.load_table("raw.customers").manage_snapshots().remove_tag("audit").commit()
        erase(session, "customer", "42")
        expect_gone(session, gone)


def test_rows_are_deleted_by_erasing_alone(project: Path) -> None:
    """A statement by itself deletes none."""
    with people.opened(project) as session:
        landed(session)
        with pytest.raises(DestinationError, match="not yet: DELETE"):
            session.destination.query("delete from raw.customers")
        with session.destination.transaction(), pytest.raises(DestinationError, match="not yet: DELETE"):
            session.destination.query("delete from raw.customers", read_only=True)
        assert session.destination.query("select count(*) from raw.customers").rows == [(13,)]
