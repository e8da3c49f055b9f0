"""What the jobs of one run share: sizes, peers, the server, a folder to work in, and where results go."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.environments import Peer
from benchmarks.figures import Figure, Results, megabytes, shortened
from benchmarks.inputs import BENCH, distinct, user_events
from benchmarks.process import ChildFailed, Ran, run
from benchmarks.projects import load_command, write_project
from benchmarks.provenance import Provenance
from benchmarks.warehouses import DuckDBFile, PostgresDatabase, Warehouse
from penstock.testing.postgres import PrivatePostgres

_SETUP_SECONDS = 1_500


@dataclass(slots=True)
class Bench:
    """One run.

    Args:
        rows: of the main input; the other sizes are a tenth, five times and ten times as many.
        runs: rounds of each whole-process job.
        server: the private PostgreSQL, started when a job asks for it.
    """

    rows: int
    runs: int
    dlt: Peer | None
    ingestr: Peer | None
    sling: Peer | None
    server: Callable[[], PrivatePostgres]
    say: Callable[[str], None]
    measured: Provenance
    results: Results = field(default_factory=Results)
    work: Path = BENCH / "work"
    _loaded: dict[tuple[str, int], tuple[Path, int]] = field(default_factory=dict)

    def folder(self, name: str) -> Path:
        """A folder to work in, made anew."""
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def warehouse(self, kind: str, name: str) -> Warehouse:
        """A new, empty warehouse."""
        found: Warehouse
        found = DuckDBFile(self.folder(name) / "w.duckdb") if kind == "duckdb" else self._database(name)
        found.fresh()
        return found

    def measure(
        self, figure: Figure, command: list[str], warehouse: Warehouse, environment: dict[str, str] | None = None
    ) -> Ran | None:
        """Run a command and add what it took to a figure; None, and the trouble noted, when it fails."""
        seconds = max(180.0, figure.rows / 2_000)
        served = warehouse.server_cpu_seconds()
        try:
            ran = run(command, timeout_seconds=seconds, environment=environment)
        except ChildFailed as e:
            self.fail(figure, str(e))
            return None
        figure.seconds.append(ran.seconds)
        figure.cpu_seconds.append(ran.cpu_seconds)
        if warehouse.kind == "postgres":
            figure.server_cpu_seconds.append(warehouse.server_cpu_seconds() - served)
        figure.peak_bytes = max(figure.peak_bytes, ran.peak_bytes)
        took = f"{ran.seconds:.2f} s, CPU {ran.cpu_seconds:.2f} s, {megabytes(ran.peak_bytes)}"
        self.say(f"  {figure.job}: {figure.contender}: {took}")
        return ran

    def expect(self, figure: Figure, warehouse: Warehouse, rows: int, table: str = "raw.user_events") -> bool:
        """Whether a contender landed what it should have; if not it is out: what it took counts for nothing."""
        found = warehouse.count(table)
        if found != rows:
            self.fail(figure, f"{found:,} rows in the table, {rows:,} expected")
        return found == rows

    def setup(self, command: list[str]) -> Ran:
        """Run a command whose time is of no interest.

        Raises:
            ChildFailed: it failed.
        """
        return run(command, timeout_seconds=_SETUP_SECONDS)

    def loaded(self, kind: str, rows: int) -> tuple[Path, int]:
        """A Penstock project with its first load done, and the peak memory of that load; made at the first use.

        It also reads what is put into the folder ``incoming`` of the project.

        Raises:
            ChildFailed: the load failed.
        """
        if (kind, rows) not in self._loaded:
            name = f"{kind}_{rows}"
            warehouse = self.warehouse(kind, name)
            folder = self.folder(f"{name}-project")
            write_project(folder, warehouse, [user_events(rows), folder / "incoming" / "*.ndjson"])
            self.say(f"  loading {rows:,} rows to {kind}")
            self._loaded[kind, rows] = folder, self.setup(load_command(folder)).peak_bytes
            if warehouse.count() != distinct(rows):
                raise ChildFailed(f"{warehouse.count():,} rows in the table, {distinct(rows):,} expected")
        return self._loaded[kind, rows]

    def fail(self, figure: Figure, trouble: str) -> None:
        """Note what went wrong, and that the contender has no result."""
        figure.trouble = shortened(trouble)
        figure.clear()
        self.say(f"  {figure.job}: {figure.contender}: {trouble}")

    def _database(self, name: str) -> PostgresDatabase:
        return PostgresDatabase(self.server(), f"bench_{name}")
