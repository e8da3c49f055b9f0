"""Iceberg tables and Spark: landing beside DuckDB, what batches read, steps of models beside plain Spark.

Usage: python -m benchmarks.spark_bench [--quick] [--largest N] [--only PART…] [--output PATH]

In the environment that has pyspark (``make bench-spark``). Writes ``benchmarks/RESULTS-spark.md`` when all is measured,
and what there is after each part into ``.bench``. ``--quick`` is for tests, at sizes that say nothing.
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
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from benchmarks import provenance, spark_landing, spark_models
from benchmarks.bench import Bench
from benchmarks.inputs import BENCH
from benchmarks.process import ROOT, ChildFailed
from benchmarks.report import print_verdicts
from benchmarks.spark_report import PAGE, Found, page
from benchmarks.warehouses import postgres_server
from penstock.testing.postgres import PrivatePostgres

RESULTS = ROOT / "benchmarks" / PAGE
PARTS = ("landing", "look-ups", "days", "steps")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of everything: rows that land, and rounds; rows of tables that batches look into; events of tables that
    a step is of, and steps; events that all models are built of."""

    rows: int
    rounds: int
    fixed: Sequence[int]
    anywhere: Sequence[int]
    tables: Sequence[int]
    steps: int
    events: int


WHOLE = Sizes(
    rows=1_000_000,
    rounds=3,
    fixed=(100_000, 1_000_000, 10_000_000),
    anywhere=(100_000, 1_000_000),
    tables=(100_000, 1_000_000),
    steps=3,
    events=100_000,
)
QUICK = Sizes(rows=2_000, rounds=1, fixed=(30_000, 40_000), anywhere=(30_000,), tables=(2_000,), steps=1, events=1_000)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write it down. 0 when all was measured, whether or not a bar is met."""
    chosen = _arguments(arguments)
    sizes, left_out = _within(QUICK if chosen.quick else WHOLE, chosen.largest)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    measured = provenance.now(PAGE)
    started = time.monotonic()
    found = Found()
    with ExitStack() as stack:
        server: Callable[[], PrivatePostgres] = cache(lambda: stack.enter_context(postgres_server()))
        bench = Bench(
            rows=sizes.rows,
            runs=sizes.rounds,
            dlt=None,
            ingestr=None,
            sling=None,
            server=server,
            say=partial(print, flush=True),
            measured=measured,
            work=BENCH / f"work-{os.getpid()}",
        )
        stack.callback(shutil.rmtree, bench.work, ignore_errors=True)

        def landing() -> None:
            found.at_rest_bytes = spark_landing.land(bench)

        jobs: dict[str, Callable[[], None]] = {
            "landing": landing,
            "look-ups": lambda: found.look_ups.extend(spark_landing.look_up(bench, sizes.fixed, sizes.anywhere)),
            "steps": lambda: spark_models.measure_steps(bench, sizes.tables, sizes.steps),
            "days": lambda: found.days.extend(spark_models.measure_days(bench, sizes.events)),
        }
        for done, name in enumerate(chosen.only, 1):
            print(f"{name} (after {time.monotonic() - started:.0f} s)", flush=True)
            try:
                jobs[name]()
            except ChildFailed as e:
                print(f"  failed: {e}", flush=True)
                bench.results.unmeasured(name, "", str(e))
            found.missing = [*(part for part in PARTS if part not in chosen.only[:done]), *left_out]
            text = page(bench, found, seconds=time.monotonic() - started)
            (BENCH / PAGE).write_text(text, encoding="utf-8")
    print_verdicts(bench.results.verdicts)
    whole = not found.missing and not chosen.quick
    output = chosen.output or (RESULTS if whole else BENCH / PAGE)
    output.write_text(text, encoding="utf-8")
    print(f"written to {output}")
    return 1 if any(v.reached.startswith("failed") for v in bench.results.verdicts) else 0


def _within(sizes: Sizes, largest: int | None) -> tuple[Sizes, list[str]]:
    """Without tables of more rows, and what is left out so."""
    if largest is None or largest >= max(*sizes.fixed, *sizes.anywhere, *sizes.tables):
        return sizes, []
    fixed, anywhere, tables = ([n for n in of if n <= largest] for of in (sizes.fixed, sizes.anywhere, sizes.tables))
    return replace(sizes, fixed=fixed, anywhere=anywhere, tables=tables), [f"tables of more than {largest:,} rows"]


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spark_bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="sizes that say nothing, for tests")
    parser.add_argument("--largest", type=int, help="leave out tables of more rows, on a machine that is slow or busy")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--output", type=Path, help=f"benchmarks/{PAGE} when all is measured, else in .bench")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
