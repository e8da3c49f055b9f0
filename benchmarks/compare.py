"""Two work trees side by side, before and after a change: what a load takes in each, round by round.

Usage: python -m benchmarks.compare BEFORE AFTER [--rows N] [--rounds N] [--to duckdb postgres]

Each tree loads by its own code, with its own ``.venv`` where it has one. The trees take turns, and who is first changes
from round to round, so that what else the machine does meets both alike. What counts are the ratios, each within one
round, and their medians; PostgreSQL's own CPU seconds are part of the sums. Each load's rows are counted.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks import inputs
from benchmarks.process import ChildFailed, Ran, run
from benchmarks.projects import load_command, write_project
from benchmarks.warehouses import DuckDBFile, PostgresDatabase, Warehouse, postgres_server

ROWS = 300_000
ROUNDS = 5
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


def compare(trees: tuple[Path, Path], warehouse: Warehouse, path: Path, rows: int, rounds: int, work: Path) -> Compared:
    """Load one file by both trees, turn about.

    Raises:
        ChildFailed: a load failed, or did not land each record once.
    """
    compared = Compared(warehouse.kind)
    projects = [write_project(work / f"{warehouse.kind}-{n}", warehouse, [path]) for n in range(2)]
    for turn in range(rounds + 1):
        for side in (0, 1) if turn % 2 else (1, 0):
            taken = _load(trees[side], projects[side], warehouse, rows)
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


def _load(tree: Path, project: Path, warehouse: Warehouse, rows: int) -> Taken:
    warehouse.fresh()
    shutil.rmtree(project / ".penstock", ignore_errors=True)
    served = warehouse.server_cpu_seconds()
    ran = in_tree(tree, load_command(project)[1:])
    taken = Taken(
        seconds=ran.seconds,
        client_cpu_seconds=ran.cpu_seconds,
        server_cpu_seconds=warehouse.server_cpu_seconds() - served,
        peak_bytes=ran.peak_bytes,
    )
    if warehouse.count() != rows:
        raise ChildFailed(f"{tree}: {warehouse.count():,} rows in the table, {rows:,} expected")
    return taken


def in_tree(tree: Path, arguments: Sequence[str]) -> Ran:
    """Run Python as a tree does: its code, in its environment where it has one.

    Raises:
        ChildFailed: it failed.
    """
    own = tree / ".venv" / "bin" / "python"
    return run(
        [own if own.exists() else sys.executable, *arguments],
        timeout_seconds=_SECONDS,
        environment={"PYTHONPATH": str(tree / "src")},
        directory=tree,
    )


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
    chosen = parser.parse_args(arguments)
    trees = (chosen.before.resolve(), chosen.after.resolve())
    for tree in trees:
        if not (tree / "src" / "penstock").is_dir():
            parser.error(f"{tree} is no work tree: it has no src/penstock")
    path = inputs.user_events(chosen.rows)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-compare-")))
        lines = []
        for kind in chosen.to:
            warehouse: Warehouse
            if kind == "duckdb":
                warehouse = DuckDBFile(work / "compared.duckdb")
            else:
                warehouse = PostgresDatabase(stack.enter_context(postgres_server()), "compared")
            lines += compare(trees, warehouse, path, inputs.distinct(chosen.rows), chosen.rounds, work).lines()
    print(f"\n{chosen.rows:,} records, {chosen.rounds} rounds; medians, and the median of each round's ratio")
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
