"""What events take, of disk, WAL, CPU and memory, as a warehouse grows: the figures of capacity planning.

Usage: python -m benchmarks.sizes [--rows N] [--large N] [--memory N] [--only PART…] [--output PATH]

On DuckDB and on a private PostgreSQL: N events landed and modelled, then one more day, a tenth of N, with the WAL of
each step; what the models' step takes after 1,000 new events, with *wide* and *deep* histories of a tenth of N and of N
events, and of ``--large`` where that is given; and the peak memory of loads up to ``--memory`` rows. Writes
``benchmarks/RESULTS-sizes.md``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path

import zstandard

from benchmarks import loading, provenance, steps
from benchmarks.bench import Bench
from benchmarks.figures import megabytes
from benchmarks.growth import MORE, Step, grown, schemas, write_days
from benchmarks.inputs import BENCH
from benchmarks.process import ROOT, ChildFailed
from benchmarks.report import print_verdicts
from benchmarks.sizes_report import Sizes, page
from benchmarks.warehouses import DuckDBFile, PostgresDatabase, postgres_server
from penstock.testing.postgres import PrivatePostgres

ROWS = 1_000_000
MEMORY_ROWS = 30_000_000
RUNS = 2
RESULTS = ROOT / "benchmarks" / "RESULTS-sizes.md"
PARTS = ("growth", "steps", "memory")
MOST_WAL_BYTES = 4_000
_USERS = "(select distinct id from raw.user_events) as users"


def measure_growth(bench: Bench, sizes: Sizes) -> None:
    """The days, on both engines."""
    folder = bench.folder("growth")
    days = write_days(folder, bench.rows)
    database = PostgresDatabase(bench.server(), "sizes")
    for warehouse in (DuckDBFile(folder / "sizes.duckdb"), database):
        for step in grown(folder, warehouse, days):
            bench.say(f"  {step.warehouse}, {step.name}: CPU {step.cpu_seconds:.1f} s, {_wal(step)}")
            sizes.steps.append(step)
            if (step.warehouse, step.name) == ("postgres", f"model {MORE}"):
                _judge_wal(bench, step)
    sizes.event_bytes = days.first.stat().st_size / days.rows
    sizes.packed_bytes = len(zstandard.compress(days.first.read_bytes(), 3)) / days.rows
    sizes.users = database.count(_USERS)
    sizes.schemas = schemas(database)
    database.drop()
    shutil.rmtree(folder)


def measure_steps(bench: Bench, large: int | None) -> None:
    """The models' step by engine, by the kind of history, and by its size."""
    small = (bench.rows // 10, bench.rows)
    for kind in ("duckdb", "postgres"):
        for users in ("wide", "deep"):
            steps.measure(bench, kind, users, small if large is None else (*small, large))


def _judge_wal(bench: Bench, step: Step) -> None:
    assert step.wal_bytes is not None
    each = step.wal_bytes / step.events
    bar = f"under {MOST_WAL_BYTES:,} bytes an event, default settings"
    bench.results.judge("WAL of modelling one more day", bar, f"{each:,.0f} bytes", "", each < MOST_WAL_BYTES)


def _wal(step: Step) -> str:
    return megabytes(step.peak_bytes) + (f", WAL {megabytes(step.wal_bytes)}" if step.wal_bytes else "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write it down. 0 when all was measured, whether or not a bar is met."""
    chosen = _arguments(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    measured = provenance.now(RESULTS.name)
    started = time.monotonic()
    sizes = Sizes()
    with ExitStack() as stack:
        server: Callable[[], PrivatePostgres] = cache(lambda: stack.enter_context(postgres_server()))
        bench = Bench(
            rows=chosen.rows,
            runs=RUNS,
            dlt=None,
            ingestr=None,
            sling=None,
            server=server,
            say=partial(print, flush=True),
            measured=measured,
            work=BENCH / f"work-{os.getpid()}",
        )
        stack.callback(shutil.rmtree, bench.work, ignore_errors=True)
        jobs: dict[str, Callable[[], None]] = {
            "growth": lambda: measure_growth(bench, sizes),
            "steps": lambda: measure_steps(bench, chosen.large),
            "memory": lambda: loading.memory(bench, (bench.rows, 10 * bench.rows, chosen.memory)),
        }
        for name in chosen.only:
            print(f"{name} (after {time.monotonic() - started:.0f} s)", flush=True)
            try:
                jobs[name]()
            except ChildFailed as e:
                bench.results.unmeasured(name, "", str(e))
    print_verdicts(bench.results.verdicts)
    whole = chosen.only == list(PARTS) and chosen.rows == ROWS
    output = chosen.output or (RESULTS if whole else BENCH / RESULTS.name)
    output.write_text(page(bench, sizes, seconds=time.monotonic() - started), encoding="utf-8")
    print(f"written to {output}")
    return 1 if any(v.reached.startswith("failed") for v in bench.results.verdicts) else 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizes", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help=f"events, {ROWS:,} by default")
    parser.add_argument("--large", type=int, help="a larger history for the models' step, such as 5000000")
    parser.add_argument("--memory", type=int, default=MEMORY_ROWS, help=f"rows, {MEMORY_ROWS:,} by default")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--output", type=Path, help="benchmarks/RESULTS-sizes.md when all is measured, else in .bench")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
