"""Threads of one process that land into one DuckDB file, each through its own destination, also while dbt builds."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.destinations.duckdb.destination import DuckDBDestination
from penstock.land.session import Session
from penstock.ports import Destination
from penstock.project import load_project
from penstock.spec import StreamSpec
from penstock.transform.perform import Transformer
from tests.support.example import copied
from tests.support.warehouse import land, ledger, table

THREADS = 4
FILES = 6


def _write(folder: Path) -> None:
    """A folder a thread, each with files that overlap those of the others by half; columns come as they go on."""
    for thread in range(THREADS):
        for file in range(FILES):
            path = folder / str(thread) / f"{file}.ndjson"
            path.parent.mkdir(parents=True, exist_ok=True)
            start = (thread + file * THREADS) * 50
            records = [
                {"n": n, "v": n % 7, **({f"new_{n}": n} if n % 200 == 0 else {})} for n in range(start, start + 100)
            ]
            path.write_text("".join(json.dumps(r) + "\n" for r in records))


def _together(*jobs: Callable[[], object]) -> None:
    """Run each in a thread; raises what the first one raised."""
    failures: list[BaseException] = []

    def perform(job: Callable[[], object]) -> None:
        try:
            job()
        except BaseException as e:  # noqa: BLE001 - raised again below
            failures.append(e)

    threads = [threading.Thread(target=perform, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


@pytest.mark.parametrize("disposition", [pytest.param("append", marks=pytest.mark.slow), "merge"])
def test_threads_land_into_one_stream(tmp_path: Path, disposition: str) -> None:
    """Four threads with a destination each, overlapping records, a commit a file, a new file: the table is that of one
    after the other, every commit number is there once, and every load adds up."""
    _write(tmp_path / "data")
    rules = StreamSpec(stream="s", identity=("n",))

    def opened(name: str) -> DuckDBDestination:
        return DuckDBDestination(tmp_path / name, threads=1)

    def load(destination: Destination, thread: int) -> None:
        land(
            destination,
            tmp_path / "data" / str(thread),
            rules,
            disposition=disposition,
            batch_bytes=2000,
            commit_bytes=1,
        )

    def job(thread: int) -> Callable[[], None]:
        def perform() -> None:
            destination = opened("together.duckdb")
            destination.prepare()
            for _ in range(2):
                load(destination, thread)
            destination.close()

        return perform

    _together(*(job(thread) for thread in range(THREADS)))
    alone = opened("alone.duckdb")
    alone.prepare()
    for thread in range(THREADS):
        load(alone, thread)
    together = opened("together.duckdb")
    expected = table(alone, "s")
    assert len({row["n"] for row in expected}) == len(expected) == (THREADS * FILES + 1) * 50
    columns = set(expected[0])
    found = table(together, "s")
    assert set(found[0]) == columns
    assert sorted(found, key=str) == sorted(({n: r[n] for n in found[0]} for r in expected), key=str)
    seqs = [seq for (seq,) in together.query("select seq from penstock.loads order by seq").rows]
    assert seqs == list(range(1, len(seqs) + 1))
    assert all(read == landed + double + bad for read, landed, double, bad in ledger(together, "s"))
    together.close()
    alone.close()


def test_what_another_thread_landed_is_known(tmp_path: Path) -> None:
    """Destinations that land in turn into a stream that they remember each see what the other landed."""
    _write(tmp_path / "data")
    rules = StreamSpec(stream="s", identity=("n",))
    one, two = (DuckDBDestination(tmp_path / "w.duckdb", threads=1) for _ in range(2))
    one.prepare()
    for thread in range(THREADS):
        for destination in (one, two, one):
            land(destination, tmp_path / "data" / str(thread), rules, fingerprint=False)
    count, distinct = one.query("select count(*), count(distinct n) from raw.s").rows[0]
    assert count == distinct == (THREADS * FILES + 1) * 50
    one.close()
    two.close()


def test_a_landing_that_is_given_up_lets_the_next_begin(tmp_path: Path) -> None:
    """A landing that is rolled back, twice, or whose destination is closed, holds up no other."""
    from penstock.ports import Target

    one, two = (DuckDBDestination(tmp_path / "w.duckdb", threads=1) for _ in range(2))
    one.prepare()
    target = Target(spec=StreamSpec(stream="s"), source="files")
    landing = one.land(target)
    landing.rollback()
    landing.rollback()
    one.land(target)
    one.close()
    two.land(target).rollback()
    two.close()


@pytest.mark.slow
def test_landing_while_dbt_builds(tmp_path: Path) -> None:
    """A warm dbt builds again and again while another thread lands; in the end the models hold all that landed."""
    project_dir = copied(tmp_path)
    late = project_dir / "data" / "user_events"
    project = load_project(project_dir)
    landed = threading.Event()

    def lander() -> None:
        from penstock.runs.plan import plan_loads

        with Session(project) as session:
            for number in range(12):
                event = {"id": f"t{number}", "event_type": "User Created", "username": f"t{number}",
                         "user_email": f"t{number}@example.com", "user_type": "User", "organization_name": "Initech",
                         "plan_name": "Free", "received_at": f"2025-04-{number + 1:02}T10:00:00"}  # fmt: skip
                (late / f"late_{number}.ndjson").write_text(json.dumps(event) + "\n")
                for step in plan_loads(project):
                    session.load(step)
        landed.set()

    def builder() -> None:
        with Session(project) as session:
            transformer = Transformer(session)
            while not landed.is_set():
                transformer.run()
            transformer.run()

    with Session(project) as session:
        from penstock.runs.plan import plan_loads

        for step in plan_loads(project):
            session.load(step)
    _together(lander, builder)
    with Session(project) as session:
        query = session.destination.query
        assert query("select count(*) from dimensional.dim_user where user_id like 't%' and is_current").rows == [(12,)]
