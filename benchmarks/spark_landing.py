"""The same file into Iceberg tables and into DuckDB, by turns; and what a batch reads to know which records are new."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count, groupby
from pathlib import Path
from statistics import median

from benchmarks import inputs
from benchmarks.bench import Bench
from benchmarks.figures import Figure, megabytes, rate
from benchmarks.lakes import Lake
from benchmarks.process import ChildFailed, Worker, run
from benchmarks.projects import load_command, worker_command, write_project
from benchmarks.warehouses import DuckDBFile, PostgresDatabase

JOB = "a file of user events, whole process"
ICEBERG, DUCKDB = "into Iceberg tables", "into DuckDB"
LEAST_SHARE, MOST_BYTES = 0.7, 600e6
BATCH, DAILY = 5_000, 10_000
MOST_GROWTH = 1.2
_BATCHES = 3
_START = date(2020, 1, 1)
_LOAD_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class LookUp:
    """Bytes that a batch read with so many rows in the table: what it did, and of each batch the bytes."""

    rows: int
    what: str
    read_bytes: list[int] = field(default_factory=list)


FIXED = "identity fixes the day; half are known"
FIRST, LATER = "it does not: the first batch, half are known", "it does not: later ones, all new"


def lake(bench: Bench, name: str, master: str = "") -> Lake:
    """New, empty Iceberg tables."""
    made = Lake(bench.folder(name) / "lake", PostgresDatabase(bench.server(), f"bench_{name}"), master)
    made.fresh()
    return made


def land(bench: Bench) -> float:
    """Measure the landing, and give the bytes that an event takes at rest."""
    path = inputs.user_events(bench.rows)
    iceberg = lake(bench, "landed")
    duckdb = DuckDBFile(bench.folder("landed_duckdb") / "w.duckdb")
    figures = {name: bench.results.figure(JOB, name, bench.rows) for name in (ICEBERG, DUCKDB)}
    for _ in range(bench.runs):
        for name, warehouse in ((ICEBERG, iceberg), (DUCKDB, duckdb)):
            warehouse.fresh()
            project = write_project(bench.folder(f"{warehouse.kind}-project"), warehouse, [path])
            _measure(bench, figures[name], load_command(project), warehouse)
            if (rows := warehouse.count()) != inputs.distinct(bench.rows):
                raise ChildFailed(f"{name}: {rows:,} rows in the table, {inputs.distinct(bench.rows):,} expected")
    mine, other = figures[ICEBERG], figures[DUCKDB]
    share, peak = mine.faster_than(other), mine.peak_bytes
    bench.results.judge(
        "landing into Iceberg tables", f"at least {LEAST_SHARE:g} of the rows/s into DuckDB, round by round",
        f"{share:.2f} of them: {rate(mine)}", f"{DUCKDB} {rate(other)}", share >= LEAST_SHARE,
    )  # fmt: skip
    bench.results.judge(
        "its peak memory", f"under {megabytes(int(MOST_BYTES))}", megabytes(peak),
        f"{DUCKDB} {megabytes(other.peak_bytes)}", peak < MOST_BYTES,
    )  # fmt: skip
    at_rest = iceberg.data_bytes("raw/user_events") / inputs.distinct(bench.rows)
    iceberg.drop()
    duckdb.drop()
    return at_rest


def _measure(bench: Bench, figure: Figure, command: list[str], warehouse: Lake | DuckDBFile) -> None:
    served = warehouse.server_cpu_seconds()
    ran = run(command, timeout_seconds=_LOAD_SECONDS)
    figure.seconds.append(ran.seconds)
    figure.cpu_seconds.append(ran.cpu_seconds)
    figure.server_cpu_seconds.append(warehouse.server_cpu_seconds() - served)
    figure.peak_bytes = max(figure.peak_bytes, ran.peak_bytes)
    bench.say(f"  {figure.contender}: {ran.seconds:.2f} s, CPU {ran.cpu_seconds:.2f} s, {megabytes(ran.peak_bytes)}")


def look_up(bench: Bench, fixed: Sequence[int], anywhere: Sequence[int]) -> Iterator[LookUp]:
    """Measure what batches read, by the rows of the table and by what an identity is made of."""
    peaks = []
    for rows in fixed:
        of_size = LookUp(rows, FIXED, [*_batches(bench, rows, "[n, at]", [BATCH // 2] * _BATCHES)])
        bench.say(f"  {rows:,} rows, {FIXED}: {_told(of_size)}")
        peaks.append(median(of_size.read_bytes))
        yield of_size
    growth = peaks[-1] / peaks[0]
    told = ", ".join(f"{size / 1e6:.2f} MB at {rows / 1e6:g} M" for size, rows in zip(peaks, fixed, strict=True))
    bench.results.judge(
        f"bytes read by a batch of {BATCH:,} records, {FIXED}",
        f"at {fixed[-1] / 1e6:g} M rows at most {MOST_GROWTH} times those at {fixed[0] / 1e6:g} M",
        f"{growth:.2f} times ({told})", "", growth <= MOST_GROWTH,
    )  # fmt: skip
    for rows in anywhere:
        first, *later = _batches(bench, rows, "[n]", [BATCH // 2, *[0] * _BATCHES])
        for of_size in (LookUp(rows, FIRST, [first]), LookUp(rows, LATER, later)):
            bench.say(f"  {rows:,} rows, {of_size.what}: {_told(of_size)}")
            yield of_size


def _told(one: LookUp) -> str:
    return f"{median(one.read_bytes) / 1e6:.2f} MB"


def _batches(bench: Bench, rows: int, identity: str, known: Sequence[int]) -> Iterator[int]:
    """Fill a table, and give the bytes that each batch after that read, its own file left out, by a new process: of
    each so many are known."""
    tables = lake(bench, f"looked_up_{rows}")
    folder = bench.folder(f"looked_up_{rows}-project")
    stream = f"{{from: FILES, identity: {identity}, event_time: at, columns: {{n: bigint, at: timestamp, text: text}}}}"
    (folder / "penstock.yml").write_text(
        f"name: bench\ntarget: here\ndestinations: {{here: {tables.settings}}}\nsources:\n"
        f"  files: {{type: files, path: {folder}/incoming/*.ndjson}}\n"
        f"  warming: {{type: files, path: {folder}/warming/*.ndjson}}\n"
        f"streams:\n  numbered: {stream.replace('FILES', 'files')}\n  warm: {stream.replace('FILES', 'warming')}\n",
        encoding="utf-8",
    )
    incoming = folder / "incoming"
    history = _write(incoming / "history.ndjson", range(rows))
    run(load_command(folder, "numbered"), timeout_seconds=_LOAD_SECONDS)
    history.unlink()
    fresh = count(rows)
    with Worker(worker_command(folder), timeout_seconds=_LOAD_SECONDS) as worker:
        # what a process imports at its first load is none of a batch's
        _write(folder / "warming" / "warm.ndjson", range(10))
        worker.ask(do="load", stream="warm", source="warming")
        for number, again in enumerate(known):
            end = rows - number * DAILY
            # none is as long as another: such a one would be read twice, to see whether it is the same
            new = [next(fresh) for _ in range(BATCH - again - number)]
            path = _write(incoming / f"{number}.ndjson", [*range(end - again, end), *new])
            before, own = worker.read_bytes, path.stat().st_size
            landed = worker.ask(do="load", stream="numbered", source="files")["landed"]
            if landed != len(new):
                raise ChildFailed(f"{landed} of {len(new)} new records landed")
            yield worker.read_bytes - before - own
            path.unlink()
    tables.drop()
    shutil.rmtree(folder)


def _write(path: Path, numbers: Sequence[int]) -> Path:
    """Records with these numbers, which fix all else of them; whole when it is seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        for day, of_day in groupby(numbers, lambda n: n // DAILY):
            on = _START + timedelta(day)
            file.writelines(f'{{"n": {n}, "at": "{on}T{_time(n)}", "text": "record {n * 7919}"}}\n' for n in of_day)
    part.rename(path)
    return path


def _time(n: int) -> str:
    """Of a record's day."""
    second = n % DAILY * 8
    return f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
