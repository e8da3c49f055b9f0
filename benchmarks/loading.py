"""Whole loads of the main input: to DuckDB, the same file again, and to PostgreSQL; the contenders take turns."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import environments, inputs
from benchmarks.bench import Bench
from benchmarks.figures import PENSTOCK, megabytes, others_by_rate, rate
from benchmarks.projects import load_command, write_project
from benchmarks.warehouses import Warehouse

FIRST = {"duckdb": "to DuckDB, deduplicated", "postgres": "to PostgreSQL, deduplicated"}
AGAIN = "the same file again, fingerprint off"
SEEN = "the same file again"
START_UP = "start-up: an empty file again"
DIRECT = {"duckdb": "read_json + distinct", "postgres": "COPY + on conflict"}
MEMORY_BARS = "under 700 MB"
_MEMORY_BYTES = 700e6
_READ_BYTES = 1 << 24


@dataclass(slots=True)
class Contender:
    """A tool: how it loads the file, and what it does after that into the same warehouse.

    ``rounds`` is for one so slow that its turn comes in the first rounds only; ``forget`` drops what it keeps
    outside of the warehouse.
    """

    name: str
    first: list[str]
    then: list[tuple[str, list[str]]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    forget: Callable[[], object] = lambda: None
    rounds: int = 1_000_000


def load_all(bench: Bench, kind: str) -> None:
    """Measure one destination: every contender once a round, each into a warehouse made anew."""
    path = inputs.user_events(bench.rows)
    warehouse = bench.warehouse(kind, kind)
    contenders = [
        _penstock(bench, kind, warehouse, path),
        Contender(DIRECT[kind], [sys.executable, "-m", "benchmarks.limits", kind, str(path), _address(warehouse)]),
        *_peers(bench, kind, warehouse, path),
    ]
    _warm(path)
    for turn in range(bench.runs):
        for contender in contenders:
            if turn < contender.rounds:
                _take_turn(bench, kind, contender, warehouse)
    if kind == "duckdb":
        _judge_duckdb(bench)
        _judge_again(bench)
    else:
        _judge_postgres(bench)
    _release(warehouse)


def memory(bench: Bench) -> None:
    """Peak memory at the main size and at ten times that, to DuckDB. The table stays for the batches."""
    mine = [(size, bench.loaded("duckdb", size)[1]) for size in (bench.rows, bench.rows * 10)]
    bench.results.judge(
        "peak memory",
        f"{MEMORY_BARS} at {_millions(bench.rows)} and at {_millions(bench.rows * 10)} rows alike",
        ", ".join(f"{megabytes(peak)} at {_millions(size)}" for size, peak in mine),
        "; ".join(
            f"{f.contender} {megabytes(f.peak_bytes)} at {_millions(f.rows)}"
            for name, f in bench.results.at(FIRST["duckdb"]).items()
            if name != PENSTOCK
        ),
        all(peak < _MEMORY_BYTES for _, peak in mine),
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


def _peers(bench: Bench, kind: str, warehouse: Warehouse, path: Path) -> list[Contender]:
    found = []
    if bench.dlt:
        for how, name, rounds in (("arrow", "Arrow", 1_000_000), ("json", "JSON", 1)):
            state = bench.folder(f"{kind}-dlt-{how}")
            command = environments.dlt_load(bench.dlt, how, path, warehouse, state)
            found.append(
                Contender(
                    f"{bench.dlt.name} {name}",
                    command,
                    [(AGAIN, command)] if kind == "duckdb" and how == "arrow" else [],
                    forget=_forgetting(state),
                    rounds=rounds,
                )
            )
    if bench.ingestr:
        state = bench.folder(f"{kind}-ingestr")
        command = environments.ingestr_load(bench.ingestr, path, warehouse, state)
        found.append(
            Contender(
                bench.ingestr.name,
                command,
                [(AGAIN, command)] if kind == "duckdb" else [],
                bench.ingestr.environment,
                _forgetting(state),
            )
        )
    return found


def _take_turn(bench: Bench, kind: str, contender: Contender, warehouse: Warehouse) -> None:
    figure = bench.results.figure(FIRST[kind], contender.name, bench.rows)
    if figure.trouble:
        return
    warehouse.fresh()
    contender.forget()
    if not bench.measure(figure, contender.first, contender.environment):
        return
    if not bench.expect(figure, warehouse, inputs.distinct(bench.rows)):
        return
    for job, command in contender.then:
        later = bench.results.figure(job, contender.name, bench.rows)
        if not later.trouble and bench.measure(later, command, contender.environment):
            bench.expect(later, warehouse, inputs.distinct(bench.rows))


def _judge_duckdb(bench: Bench) -> None:
    found = bench.results.at(FIRST["duckdb"])
    bar = "200,000 rows/s, and at least 0.7 of the direct limit"
    mine, direct = found.pop(PENSTOCK, None), found.get(DIRECT["duckdb"])
    if mine is None or direct is None:
        bench.results.unmeasured(FIRST["duckdb"], bar, bench.results.troubles(FIRST["duckdb"]))
        return
    share = mine.faster_than(direct)
    bench.results.judge(
        FIRST["duckdb"],
        bar,
        f"{rate(mine)}, {share:.2f} of the limit",
        others_by_rate(mine, list(found.values())),
        mine.rows_per_second >= 200_000 and share >= 0.7,
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
    found = bench.results.at(AGAIN)
    mine = found.pop(PENSTOCK, None)
    bar = "250,000 rows/s"
    if mine is None:
        bench.results.unmeasured(AGAIN, bar, bench.results.troubles(AGAIN))
        return
    others = others_by_rate(mine, list(found.values()))
    bench.results.judge(AGAIN, bar, rate(mine), others, mine.rows_per_second >= 250_000)


def _judge_postgres(bench: Bench) -> None:
    found = bench.results.at(FIRST["postgres"])
    mine = found.pop(PENSTOCK, None)
    bar = "120,000 rows/s, and above every peer"
    if mine is None:
        bench.results.unmeasured(FIRST["postgres"], bar, bench.results.troubles(FIRST["postgres"]))
        return
    peers = [p.name for p in (bench.dlt, bench.ingestr) if p]
    measured = len(peers) == 2 and all(any(name.startswith(peer) for name in found) for peer in peers)
    ahead = measured and all(mine.faster_than(f) > 1 for name, f in found.items() if name != DIRECT["postgres"])
    bench.results.judge(
        FIRST["postgres"],
        bar,
        rate(mine) + ("" if measured else ", peers not all measured"),
        others_by_rate(mine, list(found.values())),
        mine.rows_per_second >= 120_000 and ahead,
    )


def _address(warehouse: Warehouse) -> str:
    return str(warehouse.path) if warehouse.kind == "duckdb" else warehouse.url


def _release(warehouse: Warehouse) -> None:
    if warehouse.kind == "postgres":
        warehouse.drop()
    else:
        warehouse.fresh()


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


def _millions(rows: int) -> str:
    return f"{rows / 1e6:g} M"
