"""How fast an API lands: pages of 1,000 records after 50 ms each, beside fetching alone and beside dlt.

Usage: python -m benchmarks.http_bench [--records N] [--no-peers] [--output PATH]

One run, everything on this machine one after the other. Writes ``benchmarks/RESULTS-http.md``.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import duckdb

from benchmarks import environments, inputs, provenance
from benchmarks.http_report import DLT, FETCHED, LANDED, Line, Results, show, write
from benchmarks.process import ROOT, ChildFailed, run

RECORDS = 1_000_000
SIZE = 1_000
CONCURRENCY = 8
ANSWER_SECONDS = 0.05
RESULTS = ROOT / "benchmarks" / "RESULTS-http.md"
_ROUNDS = 3
_SHARE = 10
"""dlt, which asks for one page after the other, gets one in so many of the records."""
_SECONDS = 900

_PROJECT = """\
name: bench
destinations:
  duckdb: {{ type: duckdb, path: warehouse.duckdb }}
sources:
  api:
    type: http
    base_url: {url}
    concurrency: {concurrency}
    records: data
    endpoints:
      records: {{ pagination: {{ type: page, total: total }} }}
streams:
  records: {{ from: api }}
transform: false
"""


@contextmanager
def serving(path: Path) -> Iterator[str]:
    """The address of an API that answers a file's records."""
    command = [sys.executable, "-m", "benchmarks.http_server", str(path), str(SIZE), str(ANSWER_SECONDS)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
    finally:
        server.kill()
        server.wait()


def fetched(url: str, records: int) -> Line:
    """Fetch all pages, and throw them away."""
    _first(url)
    pages = -(-records // SIZE)
    ran = run(
        [sys.executable, "-m", "benchmarks.http_plain", url, str(pages), str(CONCURRENCY)], timeout_seconds=_SECONDS
    )
    return Line(FETCHED, records, float(ran.output), ran.seconds, ran.cpu_seconds, ran.peak_bytes)


def landed(url: str, records: int, work: Path) -> Line:
    """``penstock load`` into an empty warehouse: from the first request to the end of the process."""
    _first(url)
    folder = work / "project"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "penstock.yml").write_text(_PROJECT.format(url=url, concurrency=CONCURRENCY), encoding="utf-8")
    command = [sys.executable, "-m", "penstock", "load", "--quiet", "--project-dir", str(folder)]
    ran = run(command, timeout_seconds=_SECONDS)
    ended = time.time()
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        sql = "select sum(read), sum(landed) from penstock.loads"
        read, rows = connection.execute(sql).fetchall()[0]
    if (read, rows) != (records, inputs.distinct(records)):
        raise ChildFailed(f"{read:,} read and {rows:,} landed of {records:,}")
    return Line(LANDED, records, ended - _first(url), ran.seconds, ran.cpu_seconds, ran.peak_bytes)


def by_dlt(url: str, records: int, work: Path) -> Line:
    """dlt's rest_api source into an empty warehouse: its pipeline's run."""
    peer = environments.dlt()
    state, path = work / "dlt", work / "dlt.duckdb"
    shutil.rmtree(state, ignore_errors=True)
    path.unlink(missing_ok=True)
    command = environments.dlt_rest(peer, url, path, state, CONCURRENCY)
    ran = run(command, timeout_seconds=_SECONDS, environment=peer.environment)
    return Line(DLT, records, float(ran.output.split()[-1]), ran.seconds, ran.cpu_seconds, ran.peak_bytes)


def _first(url: str) -> float:
    with urllib.request.urlopen(f"{url}/first", timeout=10) as answer:
        return float(answer.read())


def _middle(lines: list[Line]) -> Line:
    wanted = median(line.seconds for line in lines)
    return min(lines, key=lambda line: abs(line.seconds - wanted))


def main() -> None:
    """Measure, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="measure Penstock and fetching alone")
    parser.add_argument("--output", type=Path, help="benchmarks/RESULTS-http.md when all is measured, else in .bench")
    chosen = parser.parse_args()
    started = time.monotonic()
    results = Results(records=chosen.records, measured=provenance.now(RESULTS.name))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        with serving(inputs.user_events(chosen.records)) as url:
            rounds = [(fetched(url, chosen.records), landed(url, chosen.records, work)) for _ in range(_ROUNDS)]
        results.shares = [theirs.seconds / mine.seconds for theirs, mine in rounds]
        results.add(_middle([theirs for theirs, _ in rounds]))
        results.add(_middle([mine for _, mine in rounds]))
        results.peak_bytes = max(mine.peak_bytes for _, mine in rounds)
        few = chosen.records // _SHARE
        if chosen.peers:
            with serving(inputs.user_events(few)) as url:
                try:
                    results.add(by_dlt(url, few, work))
                except ChildFailed as e:
                    results.troubles.append(f"dlt: {e}")
    results.seconds = time.monotonic() - started
    show(results)
    whole = chosen.records == RECORDS and chosen.peers
    output = chosen.output or (RESULTS if whole else inputs.BENCH / RESULTS.name)
    write(results, output)
    print(f"written to {output}")


if __name__ == "__main__":
    main()
