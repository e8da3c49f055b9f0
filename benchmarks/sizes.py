"""What a warehouse takes for each event, of disk and of CPU: the figures of capacity planning.

Usage: python -m benchmarks.sizes [--rows N] [--output PATH]

Loads N events, builds the example's models, and then lands and models one more day, a tenth of N, on DuckDB and on a
private PostgreSQL. Writes ``benchmarks/RESULTS-sizes.md``.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import zstandard

from benchmarks.process import ROOT, run
from benchmarks.projects import load_command, write_project
from benchmarks.report import machine_lines, row
from benchmarks.warehouses import DuckDBFile, PostgresDatabase, Warehouse, postgres_server

ROWS = 1_000_000
DAYS = 10
RESULTS = ROOT / "benchmarks" / "RESULTS-sizes.md"
_SECONDS = 1800
_USERS = "(select distinct username from raw.user_events) as users"
_LIBRARIES = ("penstock-elt", "duckdb", "adbc-driver-postgresql", "dbt-core", "dbt-duckdb", "dbt-postgres")
_SCHEMAS = """
    select n.nspname, sum(pg_table_size(c.oid))::bigint, sum(pg_indexes_size(c.oid))::bigint
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
    group by 1 order by 2 desc
"""

METHOD = """\
Input: `penstock generate` with seed 1, NDJSON, a tenth of the events a day, 1 % exact copies, 5 % late, with 1,000
organisations. The models are those of `examples/user_events`: 13 of them, from staging to history and daily reports.
*One more day* is another tenth, landed and modelled on top.

CPU seconds are those of the whole command, its imports and the tests of the models included; the server's are those of
PostgreSQL's connections. The bytes of DuckDB are those of its closed file. PostgreSQL has `fsync` on, and its own
settings otherwise; the bytes of a schema are those of its tables, TOAST included, and of their indexes. WAL is what was
written during the step, from one checkpoint on. Bytes an event are divided by the events of the step or, at rest, by
all events so far.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step on one warehouse."""

    warehouse: str
    name: str
    events: int
    cpu_seconds: float
    server_cpu_seconds: float | None
    peak_bytes: int
    held_bytes: int
    wal_bytes: int | None


def events(folder: Path, rows: int) -> tuple[Path, Path]:
    """The events of the first days, and those of the one more."""
    whole = folder / "events.ndjson"
    more = rows // DAYS
    _penstock(
        "generate",
        whole,
        "--count",
        rows + more,
        "--events-per-day",
        more,
        "--duplicates",
        0.01,
        "--out-of-order",
        0.05,
    )
    first, last = folder / "first.ndjson", folder / "last.ndjson"
    with whole.open("rb") as lines, first.open("wb") as start, last.open("wb") as rest:
        start.writelines(itertools.islice(lines, rows))
        rest.writelines(lines)
    whole.unlink()
    return first, last


def measured(folder: Path, warehouse: Warehouse, first: Path, last: Path, organizations: Path) -> Iterator[Step]:
    """The four steps."""
    warehouse.fresh()
    counts = [_lines(first), _lines(last)]
    for files, words, count in (([first], "all days", counts[0]), ([first, last], "one more day", counts[1])):
        project = write_project(folder / warehouse.kind, warehouse, files, organizations=organizations)
        transform = [sys.executable, "-m", "penstock", "transform", "--quiet", "--project-dir", str(project)]
        for deed, command in (("load", load_command(project)), ("model", transform)):
            before, served = _wal(warehouse), warehouse.server_cpu_seconds()
            ran = run(command, timeout_seconds=_SECONDS)
            after, then = _wal(warehouse), warehouse.server_cpu_seconds()
            yield Step(
                warehouse=warehouse.kind,
                name=f"{deed} {words}",
                events=count,
                cpu_seconds=ran.cpu_seconds,
                server_cpu_seconds=then - served if warehouse.kind == "postgres" else None,
                peak_bytes=ran.peak_bytes,
                held_bytes=_held(warehouse),
                wal_bytes=None if before is None or after is None else after - before,
            )


def schemas(warehouse: PostgresDatabase) -> list[tuple[str, int, int]]:
    """Schema, bytes of its tables, bytes of its indexes."""
    import psycopg

    with psycopg.connect(warehouse.url) as connection:
        return [(str(name), int(table), int(index)) for name, table, index in connection.execute(_SCHEMAS)]


def page(
    rows: int, users: int, raw: int, packed: int, steps: Sequence[Step], found: Sequence[tuple[str, int, int]]
) -> str:
    """The results."""
    total = sum({s.name: s.events for s in steps if s.name.startswith("load")}.values())
    lines = [
        "# Size of a warehouse",
        "",
        f"Written by `make bench-sizes` on {datetime.now(UTC):%Y-%m-%d}: {rows:,} events, then {rows // DAYS:,} more.",
        "",
        f"An event is {raw / rows:,.0f} bytes of NDJSON, and {packed / rows:,.0f} bytes compressed with zstd.",
        f"They are about {users:,} users.",
        "",
        row("warehouse", "step", "events", "CPU seconds", "of the server", "peak memory", "WAL, bytes/event"),
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        row(
            s.warehouse,
            s.name,
            f"{s.events:,}",
            f"{s.cpu_seconds:.1f}",
            "" if s.server_cpu_seconds is None else f"{s.server_cpu_seconds:.1f}",
            f"{s.peak_bytes / 1e6:,.0f} MB",
            "" if s.wal_bytes is None else f"{s.wal_bytes / s.events:,.0f}",
        )
        for s in steps
    ]
    lines += ["", "## At rest", "", row("warehouse", "what", "bytes", "bytes/event"), "|---|---|---|---|"]
    for step in steps:
        sofar = total if "one more" in step.name else rows
        lines.append(
            row(step.warehouse, f"all, after: {step.name}", f"{step.held_bytes:,}", f"{step.held_bytes / sofar:,.0f}")
        )
    for name, table, index in found:
        lines.append(row("postgres", f"schema `{name}`, tables", f"{table:,}", f"{table / total:,.0f}"))
        lines.append(row("postgres", f"schema `{name}`, indexes", f"{index:,}", f"{index / total:,.0f}"))
    lines += ["", "## Method", "", METHOD.strip(), "", "## Machine and versions", "", *machine_lines(_LIBRARIES), ""]
    return "\n".join(lines)


def main() -> None:
    """Measure, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    steps: list[Step] = []
    with tempfile.TemporaryDirectory() as name, postgres_server() as server:
        folder = Path(name)
        first, last = events(folder, chosen.rows)
        organizations = folder / "organizations.json"
        _penstock("generate", organizations, "--organizations", "--count", 1000)
        database = PostgresDatabase(server, "sizes")
        for warehouse in (DuckDBFile(folder / "sizes.duckdb"), database):
            for step in measured(folder, warehouse, first, last, organizations):
                print(f"  {step.warehouse}, {step.name}: {step.cpu_seconds:.1f} CPU seconds", flush=True)
                steps.append(step)
        packed = len(zstandard.compress(first.read_bytes(), 3))
        text = page(chosen.rows, database.count(_USERS), first.stat().st_size, packed, steps, schemas(database))
    chosen.output.write_text(text, encoding="utf-8")


def _penstock(*words: object) -> None:
    run([sys.executable, "-m", "penstock", *map(str, words), "--quiet"], timeout_seconds=_SECONDS)


def _lines(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(1 for _ in lines)


def _held(warehouse: Warehouse) -> int:
    if isinstance(warehouse, DuckDBFile):
        return warehouse.path.stat().st_size
    return sum(table + index for _, table, index in schemas(warehouse))


def _wal(warehouse: Warehouse) -> int | None:
    """Bytes ever written to the write-ahead log, after a checkpoint."""
    if isinstance(warehouse, DuckDBFile):
        return None
    import psycopg

    with psycopg.connect(warehouse.server.url, autocommit=True) as connection:
        connection.execute("checkpoint")
        found = connection.execute("select pg_current_wal_lsn() - '0/0'::pg_lsn").fetchone()
    assert found is not None
    return int(found[0])


if __name__ == "__main__":
    main()
