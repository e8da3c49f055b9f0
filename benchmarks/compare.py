"""Two work trees side by side, before and after a change: what a load or a models' step takes in each.

Usage: python -m benchmarks.compare BEFORE AFTER [--rows N] [--rounds N] [--to duckdb postgres]
           [--records ndjson|csv|nested] [--step wide|deep]

Each tree works by its own code and models, with its own ``.venv`` where it has one. The trees take turns, and who is
first changes from round to round, so that what else the machine does meets both alike. What counts are the ratios, each
within one round, and their medians; PostgreSQL's own CPU seconds are part of the sums. Each load's rows are counted.

With ``--step``, both land and model the rows first, and are then compared by what the models take after 1,000 more.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import inputs, steps
from benchmarks.figures import Figure
from benchmarks.process import ChildFailed, run
from benchmarks.projects import load_command, python_of, write_project
from benchmarks.shapes import ORDERS, USER_EVENTS, Shape
from benchmarks.warehouses import DuckDBFile, PostgresDatabase, Warehouse, postgres_server
from penstock.testing.postgres import PrivatePostgres

ROWS = 300_000
ROUNDS = 5
RECORDS: Mapping[str, tuple[Shape, Callable[[int], Path]]] = {
    "ndjson": (USER_EVENTS, inputs.user_events),
    "csv": (USER_EVENTS, partial(inputs.user_events, format="csv")),
    "nested": (ORDERS, inputs.orders),
}
_SECONDS = 1_800


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What one load took."""

    seconds: float
    client_cpu_seconds: float
    server_cpu_seconds: float
    peak_bytes: int

    @property
    def cpu_seconds(self) -> float:
        """Of the process and of its server."""
        return self.client_cpu_seconds + self.server_cpu_seconds


@dataclass(slots=True)
class Compared:
    """One destination: what each round took before, and after."""

    kind: str
    before: list[Taken] = field(default_factory=list)
    after: list[Taken] = field(default_factory=list)

    def ratio(self, measure: Callable[[Taken], float]) -> float:
        """The median over the rounds of what it took after in what it took before: under 1 is better."""
        pairs = zip(self.before, self.after, strict=True)
        return median(measure(after) / measure(before) for before, after in pairs)

    def lines(self) -> list[str]:
        """As text, a line a measure."""
        measures: tuple[tuple[str, Callable[[Taken], float], float, str], ...] = (
            ("CPU, process and server", lambda taken: taken.cpu_seconds, 1, "s"),
            ("CPU, process", lambda taken: taken.client_cpu_seconds, 1, "s"),
            ("wall", lambda taken: taken.seconds, 1, "s"),
            ("peak memory", lambda taken: taken.peak_bytes, 1e6, "MB"),
        )
        return [
            f"{self.kind:9} {name:24} {median(map(measure, self.before)) / unit:8.2f}"
            f" → {median(map(measure, self.after)) / unit:8.2f} {symbol:2}   {self.ratio(measure):.3f}"
            for name, measure, unit, symbol in measures
        ]


def compare(
    trees: tuple[Path, Path], warehouse: Warehouse, records: str, rows: int, rounds: int, work: Path
) -> Compared:
    """Load one file by both trees, turn about.

    Raises:
        ChildFailed: a load failed, or did not land each record once.
    """
    compared = Compared(warehouse.kind)
    shape, made = RECORDS[records]
    path = made(rows)
    projects = [write_project(work / f"{warehouse.kind}-{n}", warehouse, [path], shape=shape) for n in range(2)]
    for turn in range(rounds + 1):
        for side in (0, 1) if turn % 2 else (1, 0):
            taken = _load(trees[side], projects[side], warehouse, shape.table, inputs.distinct(rows))
            if turn:  # the first round warms the file, the imports' byte code and the server
                (compared.before, compared.after)[side].append(taken)
        if turn:
            before, after = compared.before[-1], compared.after[-1]
            print(
                f"  {warehouse.kind}: CPU {before.cpu_seconds:.2f} → {after.cpu_seconds:.2f} s,"
                f" wall {before.seconds:.2f} → {after.seconds:.2f} s",
                flush=True,
            )
    return compared


def compare_steps(
    trees: tuple[Path, Path],
    warehouses: tuple[Warehouse, Warehouse],
    users: inputs.Users,
    rows: int,
    rounds: int,
    work: Path,
) -> Compared:
    """Model one history by both trees, each in a warehouse of its own, and then 1,000 more events a round.

    Raises:
        ChildFailed: a load or a build failed.
    """
    compared = Compared(warehouses[0].kind)
    with ExitStack() as stack:
        sides = []
        for number, (tree, warehouse) in enumerate(zip(trees, warehouses, strict=True)):
            warehouse.fresh()
            folder = work / f"{warehouse.kind}-{number}"
            past = steps.past(rows, steps.WARM_UP + rounds, folder / "new", users)
            side, built = steps.begun(stack, warehouse, folder / "project", past, Figure("", str(tree)), tree=tree)
            print(f"  {warehouse.kind}: {tree}: the first build took {built['seconds']:.1f} s", flush=True)
            sides.append(side)
        for turn in range(steps.WARM_UP + rounds):
            for side in sides if turn % 2 else reversed(sides):
                side.step(side.new[turn], measured=turn >= steps.WARM_UP)
    compared.before, compared.after = (_taken(side.figure) for side in sides)
    return compared


def _taken(figure: Figure) -> list[Taken]:
    rounds = zip(figure.seconds, figure.cpu_seconds, figure.server_cpu_seconds, strict=True)
    return [
        Taken(seconds=wall, client_cpu_seconds=own, server_cpu_seconds=server, peak_bytes=figure.peak_bytes)
        for wall, own, server in rounds
    ]


def _load(tree: Path, project: Path, warehouse: Warehouse, table: str, rows: int) -> Taken:
    warehouse.fresh()
    shutil.rmtree(project / ".penstock", ignore_errors=True)
    served = warehouse.server_cpu_seconds()
    ran = run(
        [python_of(tree), *load_command(project)[1:]],
        timeout_seconds=_SECONDS,
        environment={"PYTHONPATH": str(tree / "src")},
        directory=tree,
    )
    taken = Taken(
        seconds=ran.seconds,
        client_cpu_seconds=ran.cpu_seconds,
        server_cpu_seconds=warehouse.server_cpu_seconds() - served,
        peak_bytes=ran.peak_bytes,
    )
    if warehouse.count(table) != rows:
        raise ChildFailed(f"{tree}: {warehouse.count(table):,} rows in the table, {rows:,} expected")
    return taken


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__.split("\n")[0])
    parser.add_argument("before", type=Path, help="a work tree")
    parser.add_argument("after", type=Path, help="another one")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"records of the file, {ROWS:,} by default")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help=f"{ROUNDS} by default, after one that does not count"
    )
    parser.add_argument("--to", nargs="+", choices=("duckdb", "postgres"), default=["duckdb", "postgres"])
    parser.add_argument("--records", choices=list(RECORDS), default="ndjson", help="user events as NDJSON by default")
    parser.add_argument("--step", choices=("wide", "deep"), help="compare the models' step, of such a history")
    chosen = parser.parse_args(arguments)
    trees = (chosen.before.resolve(), chosen.after.resolve())
    for tree in trees:
        if not (tree / "src" / "penstock").is_dir():
            parser.error(f"{tree} is no work tree: it has no src/penstock")
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-compare-")))
        lines = []
        for kind in chosen.to:
            server = stack.enter_context(postgres_server()) if kind == "postgres" else None
            warehouses = (_warehouse(server, work, "before"), _warehouse(server, work, "after"))
            if chosen.step:
                compared = compare_steps(trees, warehouses, chosen.step, chosen.rows, chosen.rounds, work)
            else:
                compared = compare(trees, warehouses[0], chosen.records, chosen.rows, chosen.rounds, work)
            lines += compared.lines()
    print(f"\n{chosen.rows:,} records, {chosen.rounds} rounds; medians, and the median of each round's ratio")
    print("\n".join(lines))
    return 0


def _warehouse(server: PrivatePostgres | None, work: Path, name: str) -> Warehouse:
    return DuckDBFile(work / f"{name}.duckdb") if server is None else PostgresDatabase(server, name)


if __name__ == "__main__":
    sys.exit(main())
