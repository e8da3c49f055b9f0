"""Whole loads of one file: to DuckDB, the same file again, to PostgreSQL, and other records; contenders take turns."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import environments, inputs
from benchmarks.bench import Bench
from benchmarks.figures import PENSTOCK, megabytes, others_by_rate, rate
from benchmarks.projects import load_command, write_project
from benchmarks.shapes import ORDERS, USER_EVENTS, Shape
from benchmarks.warehouses import DuckDBFile, Warehouse

FIRST = {"duckdb": "to DuckDB, deduplicated", "postgres": "to PostgreSQL, deduplicated"}
AGAIN = "the same file again, fingerprint off"
SEEN = "the same file again"
START_UP = "start-up: an empty file again"
NESTED = "nested records of 16 fields, to DuckDB, deduplicated"
CSV = "CSV, to DuckDB, deduplicated"
DIRECT = {"duckdb": "read_json + distinct", "postgres": "COPY + on conflict"}
DIRECT_CSV = "read_csv + distinct"
MOST_BYTES = 600e6
NEAR = 1.15
"""Peaks of memory are alike when the largest is at most so many times the smallest."""
NESTED_SHARE = 4
"""Of the main input's number of records, one in so many are nested."""
_SLOW_ROUNDS = 2
_READ_BYTES = 1 << 24


@dataclass(slots=True)
class Contender:
    """A tool: how it loads the file, and what it does after that into the same warehouse.

    ``rounds`` is for a slow one, whose turn comes in the first rounds only; ``forget`` drops what it keeps outside of
    the warehouse; ``keeps_copies`` is for one that lands the same record twice.
    """

    name: str
    first: list[str]
    then: list[tuple[str, list[str]]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    forget: Callable[[], object] = lambda: None
    rounds: int = 1_000_000
    keeps_copies: bool = False


def load_all(bench: Bench, kind: str) -> None:
    """Measure user events to one destination."""
    path = inputs.user_events(bench.rows)
    warehouse = bench.warehouse(kind, kind)
    direct = _direct(DIRECT[kind], kind, USER_EVENTS, path, warehouse)
    contenders = [_penstock(bench, kind, warehouse, path), direct, *_peers(bench, kind, warehouse, path)]
    _take_turns(bench, FIRST[kind], contenders, warehouse, path, USER_EVENTS, bench.rows)
    if kind == "duckdb":
        _judge_duckdb(bench)
        _judge_again(bench)
    else:
        _judge_postgres(bench)
    warehouse.drop()


def load_csv(bench: Bench) -> None:
    """The same user events as CSV, to DuckDB."""
    path = inputs.user_events(bench.rows, format="csv")
    warehouse = bench.warehouse("duckdb", "csv")
    project = write_project(bench.folder("csv-project"), warehouse, [path])
    contenders = [
        Contender(PENSTOCK, load_command(project)),
        _direct(DIRECT_CSV, "duckdb", USER_EVENTS, path, warehouse),
    ]
    if bench.dlt:
        contenders.append(_dlt(bench, warehouse, path))
    if bench.ingestr:
        contenders.append(_ingestr(bench, warehouse, path))
    _take_turns(bench, CSV, contenders, warehouse, path, USER_EVENTS, bench.rows)
    _tell(bench, CSV)
    warehouse.drop()


def load_nested(bench: Bench) -> None:
    """Nested records of 16 fields, whose objects and lists land as JSON."""
    rows = bench.rows // NESTED_SHARE
    path = inputs.orders(rows)
    warehouse = bench.warehouse("duckdb", "nested")
    project = write_project(bench.folder("nested-project"), warehouse, [path], shape=ORDERS)
    direct = _direct(DIRECT["duckdb"], "duckdb", ORDERS, path, warehouse)
    contenders = [Contender(PENSTOCK, load_command(project)), direct]
    _take_turns(bench, NESTED, contenders, warehouse, path, ORDERS, rows)
    _tell(bench, NESTED)
    warehouse.drop()


def memory(bench: Bench, sizes: Sequence[int]) -> None:
    """Peak memory of loads to DuckDB by their size."""
    peaks = [bench.loaded("duckdb", size)[1] for size in sizes]
    names = [f"{size / 1e6:g} M" for size in sizes]
    told = ", ".join(f"{megabytes(peak)} at {name}" for peak, name in zip(peaks, names, strict=True))
    bench.results.judge(
        "peak memory",
        f"under {megabytes(int(MOST_BYTES))}, and within 15 % of each other, at {' and '.join(names)} rows",
        told,
        "; ".join(
            f"{f.contender} {megabytes(f.peak_bytes)} at {f.rows / 1e6:g} M"
            for name, f in bench.results.at(FIRST["duckdb"]).items()
            if name != PENSTOCK
        ),
        max(peaks) < MOST_BYTES and max(peaks) <= NEAR * min(peaks),
    )


def _penstock(bench: Bench, kind: str, warehouse: Warehouse, path: Path) -> Contender:
    project = write_project(bench.folder(f"{kind}-project"), warehouse, [path])
    then = []
    if kind == "duckdb":
        nothing = bench.folder("nothing")
        empty = nothing / "empty.ndjson"
        empty.touch()
        idle = write_project(nothing, bench.warehouse("duckdb", "idle"), [empty])
        bench.setup(load_command(idle))
        then = [
            (START_UP, load_command(idle)),
            (SEEN, load_command(project)),
            (AGAIN, load_command(project, "--no-fingerprint")),
        ]
    return Contender(PENSTOCK, load_command(project), then)


def _direct(name: str, kind: str, shape: Shape, path: Path, warehouse: Warehouse) -> Contender:
    address = str(warehouse.path) if isinstance(warehouse, DuckDBFile) else warehouse.url
    return Contender(name, [sys.executable, "-m", "benchmarks.limits", kind, shape.stream, str(path), address])


def _peers(bench: Bench, kind: str, warehouse: Warehouse, path: Path) -> list[Contender]:
    peers = []
    if bench.dlt:
        peers.append(_dlt(bench, warehouse, path))
        if kind == "duckdb":
            peers[-1].then.append((AGAIN, peers[-1].first))
    if bench.ingestr:
        peers.append(_ingestr(bench, warehouse, path))
    if bench.sling and kind == "postgres":
        command = environments.sling_load(bench.sling, path, warehouse)
        name = f"{bench.sling.name}, copies kept"
        peers.append(
            Contender(name, command, environment=bench.sling.environment, rounds=_SLOW_ROUNDS, keeps_copies=True)
        )
    return peers


def _dlt(bench: Bench, warehouse: Warehouse, path: Path) -> Contender:
    assert bench.dlt is not None
    state = bench.folder(f"{warehouse.kind}-dlt")
    command = environments.dlt_load(bench.dlt, path, warehouse, state)
    return Contender(f"{bench.dlt.name} Arrow", command, forget=_forgetting(state), rounds=_SLOW_ROUNDS)


def _ingestr(bench: Bench, warehouse: Warehouse, path: Path) -> Contender:
    assert bench.ingestr is not None
    state = bench.folder(f"{warehouse.kind}-ingestr")
    command = environments.ingestr_load(bench.ingestr, path, warehouse, state)
    return Contender(
        bench.ingestr.name,
        command,
        environment=bench.ingestr.environment,
        forget=_forgetting(state),
        rounds=_SLOW_ROUNDS,
    )


def _take_turns(
    bench: Bench, job: str, contenders: Sequence[Contender], warehouse: Warehouse, path: Path, shape: Shape, rows: int
) -> None:
    """Every contender once a round, each into a warehouse made anew; every other round backwards, so that nobody always
    has the machine as the same other left it."""
    _warm(path)
    for turn in range(bench.runs):
        for contender in contenders[::-1] if turn % 2 else contenders:
            if turn < contender.rounds:
                _take_turn(bench, job, contender, warehouse, shape.table, rows)


def _take_turn(bench: Bench, job: str, contender: Contender, warehouse: Warehouse, table: str, rows: int) -> None:
    figure = bench.results.figure(job, contender.name, rows)
    if figure.trouble:
        return
    warehouse.fresh()
    contender.forget()
    expected = rows if contender.keeps_copies else inputs.distinct(rows)
    if not bench.measure(figure, contender.first, warehouse, contender.environment):
        return
    if not bench.expect(figure, warehouse, expected, table):
        return
    for later, command in contender.then:
        another = bench.results.figure(later, contender.name, rows)
        if not another.trouble and bench.measure(another, command, warehouse, contender.environment):
            bench.expect(another, warehouse, expected, table)


def _judge_duckdb(bench: Bench) -> None:
    job, bar = FIRST["duckdb"], "at least 0.45 of the direct limit, and 2.2 times dlt"
    contenders = bench.results.at(job)
    mine, direct = contenders.pop(PENSTOCK, None), contenders.get(DIRECT["duckdb"])
    if mine is None or direct is None:
        bench.results.unmeasured(job, bar, bench.results.troubles(job))
        return
    dlt = next((f for name, f in contenders.items() if name.startswith("dlt")), None)
    share = mine.faster_than(direct)
    bench.results.judge(
        job,
        bar,
        f"{rate(mine)}, {share:.2f} of the limit, {mine.cheaper_than(direct):.2f} by CPU",
        others_by_rate(mine, list(contenders.values())),
        share >= 0.45 and dlt is not None and mine.faster_than(dlt) >= 2.2,
    )


def _judge_again(bench: Bench) -> None:
    seen, nothing = (bench.results.at(job).get(PENSTOCK) for job in (SEEN, START_UP))
    bar = "under 0.5 s beyond start-up"
    if seen is None or nothing is None:
        bench.results.unmeasured(SEEN, bar, bench.results.troubles(SEEN))
    else:
        beyond = seen.beyond(nothing)
        reached = f"{beyond:.2f} s beyond start-up ({seen.median:.2f} s in all)"
        bench.results.judge(SEEN, bar, reached, "", beyond < 0.5)
    contenders = bench.results.at(AGAIN)
    mine = contenders.pop(PENSTOCK, None)
    bar = "250,000 rows/s"
    if mine is None:
        bench.results.unmeasured(AGAIN, bar, bench.results.troubles(AGAIN))
        return
    others = others_by_rate(mine, list(contenders.values()))
    bench.results.judge(AGAIN, bar, rate(mine), others, mine.rows_per_second >= 250_000)


def _judge_postgres(bench: Bench) -> None:
    job, bar = FIRST["postgres"], "COPY + on conflict: 1.6 times as fast, its process 2.0 times as cheap"
    contenders = bench.results.at(job)
    mine, direct = contenders.pop(PENSTOCK, None), contenders.get(DIRECT["postgres"])
    if mine is None or direct is None:
        bench.results.unmeasured(job, bar, bench.results.troubles(job))
        return
    faster, cheaper = mine.faster_than(direct), mine.cheaper_than(direct)
    bench.results.judge(
        job,
        bar,
        f"{rate(mine)}, {faster:.2f}× by wall, {cheaper:.2f}× by the process's CPU",
        others_by_rate(mine, list(contenders.values())),
        faster >= 1.6 and cheaper >= 2.0,
    )


def _tell(bench: Bench, job: str) -> None:
    """A job without a bar."""
    contenders = bench.results.at(job)
    mine = contenders.pop(PENSTOCK, None)
    if mine is None:
        bench.results.unmeasured(job, "", bench.results.troubles(job))
    else:
        bench.results.judge(job, "", rate(mine), others_by_rate(mine, list(contenders.values())), None)


def _forgetting(folder: Path) -> Callable[[], None]:
    def forget() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()

    return forget


def _warm(path: Path) -> None:
    """Have the operating system hold the file, so that nobody pays for being the first to read it."""
    with path.open("rb", buffering=0) as file:
        while file.read(_READ_BYTES):
            pass
