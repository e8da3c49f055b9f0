"""What has landed in one destination goes to another, once and verified, and is gone on with there."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from penstock import api, load_project
from penstock.copying import plain
from penstock.copying.perform import copy
from penstock.copying.record import record_of
from penstock.errors import DestinationError, UsageError
from penstock.privacy.erasure import erase
from tests.support import commands
from tests.support.cut_off import cut_off
from tests.support.fixtures import SLOW
from tests.support.invoked import command
from tests.support.servers import a_database
from tests.support.two_warehouses import (
    FACTS,
    PEOPLE,
    PRICES,
    STREAMS,
    Templates,
    copied,
    counts,
    held,
    load,
    make_project,
    opened,
    write,
)

ROUTES = [("duckdb", "postgres"), ("postgres", "duckdb")]
if "PENSTOCK_TEST_SPARK" in os.environ:
    ROUTES = [("duckdb", "spark"), ("postgres", "spark")]
STEPS = (
    "copy_begun",
    "copy_table_made",
    "copy_before_commit",
    "copy_batch",
    "copy_stream",
    "copy_ledger",
    "copy_numbers",
)
KILLS = ("copy_before_commit:kill:2", "copy_ledger:kill:5", "copy_numbers:kill")
Route = tuple[str, str]

one_way = pytest.mark.parametrize(
    "route", [ROUTES[0], pytest.param(ROUTES[1], marks=SLOW)], ids="-".join, indirect=True
)
"""The other way is slow: what is tried does not depend on which of them is read, and others of this module go it."""


@pytest.fixture(params=ROUTES, ids="-".join)
def route(request: pytest.FixtureRequest) -> Route:
    """From where, and to where."""
    found: Route = request.param
    return found


@pytest.fixture
def project(postgres_url: str, prepared_postgres_url: str, tmp_path: Path) -> Path:
    """A project with an empty destination of each kind."""
    make_project(tmp_path, postgres_url, prepared_postgres_url)
    return tmp_path


@pytest.fixture(scope="module")
def templates(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Templates]:
    """Projects whose warehouses are full, and copied, for tests to begin with."""
    with ExitStack() as databases:
        folder = tmp_path_factory.mktemp("templates")
        yield Templates(folder, postgres_server, lambda: databases.enter_context(a_database(postgres_server)))


def test_all_is_there(project: Path, templates: Templates, route: Route) -> None:
    """Rows with their loads, quarantine with its texts and states, positions, columns, erasures and runs are the same,
    and the copy says of each table how many rows it has and which hash both sides have."""
    source, target = route
    done = templates.copied(project, source, target)
    before, after = held(project, source), held(project, target)
    assert after == before
    assert [(t.table, t.rows) for t in done.raw] == [(f"raw.{s}", len(before[s])) for s in STREAMS]
    assert {t.table: t.rows for t in done.ledger} == {n: len(rows) for n, rows in before.items() if "." in n}
    assert len({t.hash for t in done.raw}) == len(STREAMS)
    assert not done.again
    assert any(row["dropped_at"] != "None" for row in after["penstock.quarantine"])


def test_loads_go_on(project: Path, templates: Templates, route: Route) -> None:
    """The next load reads no file again, knows each record again, keeps erased people out, numbers its loads behind the
    source's, and lands all that is new, in columns that are new too."""
    source, target = route
    templates.copied(project, source, target)
    assert {s: counts(landed) for s, landed in load(project, target).items()} == dict.fromkeys(STREAMS, (0, 0, 0, 0))
    write(project, "facts/3.ndjson", [*FACTS, {"note": "new", "n": 1, "grown": [1]}], "no json, ünd ‘odd’")
    write(project, "prices/3.ndjson", [{**PRICES[2], "v": 1}, {**PRICES[3], "v": 5}, {"id": 99, "v": 1}])
    write(project, "people/2.ndjson", [*PEOPLE, {"id": 77, "name": "New"}])
    landed = load(project, target)
    assert counts(landed["facts"]) == (len(FACTS) + 2, 1, len(FACTS) + 1, 0)
    assert counts(landed["prices"]) == (3, 2, 1, 0)
    assert counts(landed["people"]) == (len(PEOPLE) + 1, 1, len(PEOPLE), 0)
    loads = held(project, target)["penstock.loads"]
    known = held(project, source)["penstock.loads"]
    new = [row for row in loads if row not in known]
    assert [row for row in loads if row in known] == known
    assert sorted(row["seq"] for row in loads) == list(range(1, len(loads) + 1))
    assert min(row["load_id"] for row in new) > max(row["load_id"] for row in known)
    assert [row["id"] for row in held(project, target)["people"] if row["id"] == 42] == []


def test_the_same_as_if_loaded_there(project: Path, templates: Templates, route: Route) -> None:
    """What lands after a copy is what would have landed at the source."""
    source, target = route
    templates.copied(project, source, target)
    write(project, "facts/3.ndjson", [{"at": "2027-01-01T00:00:00Z", "price": "1.5", "doc": {"b": 1}, "extra": 1}])
    write(project, "prices/3.ndjson", [{"id": 1, "v": 9, "amount": 9}, {"id": 2, "v": 0, "amount": 0}])
    write(project, "shops/1.ndjson", [{"id": 1, "city": "Oslo"}, {"id": 9, "city": "Rome"}])
    both = {target: load(project, target), source: load(project, source)}
    assert {s: counts(x) for s, x in both[source].items()} == {s: counts(x) for s, x in both[target].items()}
    here, there = held(project, source), held(project, target)
    different = {"_pen_load", "_pen_loaded_at"}
    for stream in STREAMS:
        rows = [[{k: v for k, v in row.items() if k not in different} for row in x[stream]] for x in (here, there)]
        assert rows[0] == rows[1], stream


def test_cut_off_at_every_step(
    project: Path, templates: Templates, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that ends at any step goes on when it is called again: nothing is there twice, nothing is missing. Until
    then nobody loads there, and is told what does. Called once more, it compares and does nothing else."""
    source, target = route
    templates.live(project, source)
    monkeypatch.setattr(plain, "BATCH_ROWS", 4)
    for step in STEPS:
        with cut_off(step):
            copied(project, source, target)
        with pytest.raises(UsageError, match=f"penstock copy --target {source} --to {target}"):
            api.run(load_project(project, target=target), models=False)
    with cut_off("copy_finished"):
        copied(project, source, target)
    assert held(project, target) == held(project, source)
    done = copied(project, source, target)
    assert done.again
    assert {table.copied for table in (*done.raw, *done.ledger)} == {0}
    assert held(project, target) == held(project, source)


@pytest.mark.parametrize("faults", [KILLS[:1], pytest.param(KILLS, marks=SLOW)], ids=["one", "all"])
def test_killed(project: Path, templates: Templates, route: Route, faults: tuple[str, ...]) -> None:
    """So does one whose process is killed: in a transaction, between two, and before it says that all is there."""
    source, target = route
    templates.live(project, source)
    words = ("copy", "--target", source, "--to", target, "--quiet")
    for fault in faults:
        assert commands.Started(project, *words, environ={"PENSTOCK_FAULT": fault}).wait(120) == -signal.SIGKILL
        refused = command(project, "load", "--target", target)
        assert (refused.code, held_copy(project, target)) == (2, False)
    assert command(project, *words).code == 0
    assert held_copy(project, target)
    assert held(project, target) == held(project, source)


def held_copy(project: Path, target: str) -> bool:
    """Whether the copy that a destination holds is finished."""
    with opened(project, target) as session:
        record = record_of(session.destination)
        return record is not None and record.finished_at is not None


@one_way
def test_the_source_goes_on_between(
    project: Path, templates: Templates, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lands, changes and goes at the source after a copy was cut off is in the copy when it is finished."""
    source, target = route
    templates.live(project, source)
    monkeypatch.setattr(plain, "BATCH_ROWS", 4)
    with cut_off("copy_numbers"):
        copied(project, source, target)
    write(project, "facts/3.ndjson", [{"note": "later", "grown": 1}])
    write(project, "prices/3.ndjson", [{"id": 1, "v": 9, "amount": 9}])
    write(project, "shops/1.ndjson", [{"id": 1, "city": "Oslo"}])
    load(project, source)
    with opened(project, source) as session:
        erase(session, "person", "44", rewrite=False)
    copied(project, source, target)
    assert held(project, target) == held(project, source)


def test_what_is_there_is_kept(project: Path, templates: Templates, route: Route) -> None:
    """A destination that holds anything is refused before anything is written, with what it holds."""
    source, target = route
    templates.live(project, source)
    load(project, target, "shops")
    before = held_shops(project, target)
    with pytest.raises(UsageError, match=r"raw\.shops, penstock\.loads \(1 row\)"):
        copied(project, source, target)
    assert held_shops(project, target) == before


def held_shops(project: Path, target: str) -> object:
    """The rows of one stream."""
    with opened(project, target) as session:
        return session.destination.query("select count(*), max(_pen_load) from raw.shops").rows


@one_way
def test_one_that_has_gone_on(project: Path, templates: Templates, route: Route) -> None:
    """A finished copy into which somebody has loaded since is not copied over."""
    source, target = route
    templates.live(project, source)
    copied(project, source, target)
    write(project, "facts/3.ndjson", [{"note": "later"}])
    load(project, target)
    before = held(project, target)
    with pytest.raises(UsageError, match="has gone on since"):
        copied(project, source, target)
    assert held(project, target) == before


def test_nothing_is_called_verified_that_differs(project: Path, templates: Templates) -> None:
    """A copy whose table is written to by somebody else fails, and is mended by the next call."""
    templates.live(project, "duckdb")
    source, target = (load_project(project, target=name) for name in ("duckdb", "postgres"))
    url = target.destination.conninfo()  # type: ignore[attr-defined]

    def meddle(now: str) -> None:
        if now.startswith("prices: 7 rows compared in duckdb"):
            with psycopg.connect(url) as connection:
                connection.execute("update raw.prices set amount = 0 where id = 5")

    with pytest.raises(DestinationError, match=r"raw\.prices holds other rows in postgres than in duckdb"):
        copy(source, target, meddle)
    with pytest.raises(UsageError, match="is not finished"):
        api.run(target, models=False)
    copy(source, target)
    assert held(project, "postgres") == held(project, "duckdb")


def test_nobody_lands_in_the_source_meanwhile(project: Path, templates: Templates) -> None:
    """While it is read, whoever would land into a stream of PostgreSQL waits."""
    templates.live(project, "postgres")
    url = load_project(project, target="postgres").destination.conninfo()  # type: ignore[attr-defined]
    free: list[bool] = []

    def look(now: str) -> None:
        if "rows copied" in now:
            with psycopg.connect(url) as connection:
                for name in ("penstock stream facts", "penstock ledger"):
                    lock = "select pg_try_advisory_xact_lock(hashtextextended(%s, 0))"
                    free.extend(got for (got,) in connection.execute(lock, [name]))

    copy(load_project(project, target="postgres"), load_project(project, target="duckdb"), look)
    assert free and not any(free)


def test_the_command(project: Path, templates: Templates) -> None:
    """It says table by table what was compared, what is left, and what comes next; and refuses what makes no sense."""
    templates.live(project, "duckdb")
    done = command(project, "copy", "--to", "postgres")
    assert done.code == 0, done
    lines = done.out.splitlines()
    assert lines[0] == "from duckdb to postgres"
    assert lines[1].startswith(f"raw.facts: {len(FACTS)} rows, the same on both sides (hash ")
    assert any(line.startswith("penstock.quarantine: 3 rows, the same") for line in lines)
    assert lines[-2:] == [
        "models are not copied: they are built from the rows",
        "next: penstock run --target postgres",
    ]
    again = command(project, "copy", "--to", "postgres", "--json")
    assert again.code == 0
    assert '"again": true' in again.out
    for words in (
        ("--to", "duckdb"),
        ("--target", "elsewhere", "--to", "postgres"),
        ("--to", "nowhere"),
        ("--to", "elsewhere", "--models"),
    ):
        assert command(project, "copy", *words).code == 2, words


def test_half_a_copy_is_no_warehouse(project: Path, templates: Templates) -> None:
    """No command that lands, builds or deletes works with one."""
    templates.live(project, "duckdb")
    with cut_off("copy_stream"):
        copied(project, "duckdb", "postgres")
    for words in (
        ("run",),
        ("load",),
        ("backfill", "--from", "2026-01-01", "--to", "2026-01-02"),
        ("reset", "people", "--yes"),
        ("erase", "--subject", "person:40", "--yes"),
        ("rekey",),
        ("up",),
        ("watch", "--once"),
        ("copy", "--to", "elsewhere"),
    ):
        assert command(project, *words, "--target", "postgres").code == 2, words
    with pytest.raises(UsageError, match="is not finished"):
        api.land(load_project(project, target="postgres"), "shops")


@one_way
def test_a_stream_without_rows(project: Path, route: Route) -> None:
    """One whose records are all in quarantine has its declared columns, and goes on with the first that lands."""
    source, target = route
    write(project, "facts/1.ndjson", [], "broken")
    write(project, "facts/2.ndjson", [], "broken too")
    write(project, "shops/1.ndjson", [{"id": 1}])
    load(project, source, "facts", "shops")
    done = copied(project, source, target)
    assert [(t.table, t.rows) for t in done.raw] == [("raw.facts", 0), ("raw.shops", 1)]
    write(project, "facts/3.ndjson", FACTS)
    assert counts(load(project, target)["facts"]) == (len(FACTS), len(FACTS), 0, 0)


def test_an_error_of_the_target(project: Path) -> None:
    """A value that the target cannot hold ends the copy with an error of ours, and nothing of it is called done."""
    write(project, "facts/3.ndjson", [{"at": "0001-01-01T00:00:00+14:00"}])
    load(project, "duckdb", "facts")
    with opened(project, "duckdb") as session:
        session.destination.query("update raw.facts set note = concat('a', chr(0), 'b') where n = 1")
    with pytest.raises(DestinationError):
        copied(project, "duckdb", "postgres")
    with pytest.raises(UsageError, match="is not finished"):
        api.run(load_project(project, target="postgres"), models=False)
