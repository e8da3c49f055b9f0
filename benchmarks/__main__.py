"""``python -m benchmarks``: run the jobs, print the bars, write the results."""

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

from benchmarks import environments, loading, provenance, report, small, steps
from benchmarks.bench import Bench
from benchmarks.inputs import BENCH
from benchmarks.process import ROOT, ChildFailed
from benchmarks.warehouses import postgres_server
from penstock.testing.postgres import PrivatePostgres

ROWS = 1_000_000
RUNS = 3
RESULTS = ROOT / "benchmarks" / "RESULTS.md"

JOBS: dict[str, Callable[[Bench], None]] = {
    "duckdb": partial(loading.load_all, kind="duckdb"),
    "postgres": partial(loading.load_all, kind="postgres"),
    "csv": loading.load_csv,
    "nested": loading.load_nested,
    "ten": small.ten_rows,
    "memory": lambda bench: loading.memory(bench, (bench.rows, 10 * bench.rows)),
    "batches-duckdb": partial(small.batches, kind="duckdb"),
    "batches-postgres": partial(small.batches, kind="postgres"),
    "models-duckdb": lambda bench: steps.measure(bench, "duckdb", "wide", (bench.rows // 10, bench.rows)),
    "models-postgres": lambda bench: steps.measure(bench, "postgres", "wide", (bench.rows // 10, bench.rows)),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for. 0 when all was measured, whether or not a bar is met; 1 otherwise."""
    asked = _arguments(arguments)
    if asked.runs < 1 or asked.rows < 1_000:
        print("give --runs 1 or more, --rows 1000 or more", file=sys.stderr)
        return 2
    jobs = asked.only or list(JOBS)
    whole = jobs == list(JOBS) and asked.rows == ROWS and asked.peers
    output = asked.output or (RESULTS if whole else BENCH / "RESULTS.md")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    measured = provenance.now(RESULTS.name)
    missing: list[str] = []
    started = time.monotonic()
    with ExitStack() as stack:
        server: Callable[[], PrivatePostgres] = cache(lambda: stack.enter_context(postgres_server()))
        bench = Bench(
            rows=asked.rows,
            runs=asked.runs,
            dlt=_installed(environments.dlt, missing) if asked.peers else None,
            ingestr=_installed(environments.ingestr, missing) if asked.peers else None,
            sling=_installed(environments.sling, missing) if asked.peers else None,
            server=server,
            measured=measured,
            say=partial(print, flush=True),
            work=BENCH / f"work-{os.getpid()}",
        )
        stack.callback(shutil.rmtree, bench.work, ignore_errors=True)
        for name in jobs:
            print(f"{name} (after {time.monotonic() - started:.0f} s)", flush=True)
            try:
                JOBS[name](bench)
            except ChildFailed as e:
                bench.results.unmeasured(name, "", str(e))
    report.print_verdicts(bench.results.verdicts)
    report.write_results(bench, output, seconds=time.monotonic() - started, missing=missing)
    print(f"written to {output}")
    return 1 if any(v.reached.startswith("failed") for v in bench.results.verdicts) else 0


def _installed(peer: Callable[[], environments.Peer], missing: list[str]) -> environments.Peer | None:
    try:
        return peer()
    except ChildFailed as e:
        missing.append(f"{peer.__name__} could not be installed: {' '.join(str(e).split())[:300]}")
        print(missing[-1], flush=True)
        return None


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(JOBS), metavar="JOB", help=f"of: {', '.join(JOBS)}")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows of the main input, {ROWS:,} by default")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"rounds of each job, {RUNS} by default")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="measure Penstock and the limits alone")
    parser.add_argument(
        "--output",
        type=Path,
        help="where results go: benchmarks/RESULTS.md for a whole run, .bench/RESULTS.md for anything less",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
