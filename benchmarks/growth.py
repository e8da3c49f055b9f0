"""A warehouse that grows: all days landed and modelled, then one more; and what each step wrote and took."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.process import run
from benchmarks.projects import load_command, write_project
from benchmarks.warehouses import DuckDBFile, PostgresDatabase, Warehouse

DAYS = 10
ALL, MORE = "all days", "one more day"
COMPRESSION = "wal_compression = lz4"
_SECONDS = 3_600
_SCHEMAS = """
    select n.nspname, sum(pg_table_size(c.oid))::bigint, sum(pg_indexes_size(c.oid))::bigint
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
    group by 1 order by 2 desc
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step on one warehouse: the name of the warehouse has what is set beyond the default."""

    warehouse: str
    name: str
    events: int
    cpu_seconds: float
    server_cpu_seconds: float | None
    peak_bytes: int
    held_bytes: int
    wal_bytes: int | None


@dataclass(frozen=True, slots=True)
class Days:
    """Files of the first days, of the one more, and of the organisations; with their numbers of events."""

    first: Path
    last: Path
    organizations: Path
    rows: int
    more: int


def write_days(folder: Path, rows: int) -> Days:
    """Generate ``rows`` events, and a tenth as many on top."""
    whole, more = folder / "events.ndjson", rows // DAYS
    shares = ("--duplicates", 0.01, "--out-of-order", 0.05)
    _penstock("generate", whole, "--count", rows + more, "--events-per-day", more, *shares)
    first, last, organizations = folder / "first.ndjson", folder / "last.ndjson", folder / "organizations.json"
    with whole.open("rb") as lines, first.open("wb") as start, last.open("wb") as rest:
        start.writelines(itertools.islice(lines, rows))
        rest.writelines(lines)
    whole.unlink()
    _penstock("generate", organizations, "--organizations", "--count", 1000)
    return Days(first, last, organizations, rows, more)


def grown(folder: Path, warehouse: Warehouse, days: Days) -> Iterator[Step]:
    """The steps: all days, then one more; on PostgreSQL that twice, from the same state, with compressed WAL too."""
    warehouse.fresh()
    yield from _steps(folder, warehouse, days, ALL)
    compressed = None
    if isinstance(warehouse, PostgresDatabase):
        compressed = _copied(warehouse)
    yield from _steps(folder, warehouse, days, MORE)
    if compressed is not None:
        for step in _steps(folder, compressed, days, MORE):
            yield replace(step, warehouse=f"{step.warehouse}, {COMPRESSION}")
        compressed.drop()


def schemas(warehouse: PostgresDatabase) -> list[tuple[str, int, int]]:
    """Schema, bytes of its tables, bytes of its indexes."""
    import psycopg

    with psycopg.connect(warehouse.url) as connection:
        return [(str(name), int(table), int(index)) for name, table, index in connection.execute(_SCHEMAS)]


def _steps(folder: Path, warehouse: Warehouse, days: Days, which: str) -> Iterator[Step]:
    files, count = ([days.first], days.rows) if which == ALL else ([days.first, days.last], days.more)
    name = warehouse.name if isinstance(warehouse, PostgresDatabase) else warehouse.kind
    project = write_project(folder / name, warehouse, files, organizations=days.organizations)
    transform = [sys.executable, "-m", "penstock", "transform", "--quiet", "--project-dir", str(project)]
    for deed, command in (("load", load_command(project)), ("model", transform)):
        before, served = _wal(warehouse), warehouse.server_cpu_seconds()
        ran = run(command, timeout_seconds=_SECONDS)
        then, after = warehouse.server_cpu_seconds(), _wal(warehouse)
        yield Step(
            warehouse=warehouse.kind,
            name=f"{deed} {which}",
            events=count,
            cpu_seconds=ran.cpu_seconds,
            server_cpu_seconds=then - served if warehouse.kind == "postgres" else None,
            peak_bytes=ran.peak_bytes,
            held_bytes=_held(warehouse),
            wal_bytes=None if before is None or after is None else after - before,
        )


def _copied(warehouse: PostgresDatabase) -> PostgresDatabase:
    """The same database once more, whose sessions compress whole pages in the WAL."""
    import psycopg

    another = PostgresDatabase(warehouse.server, f"{warehouse.name}_compressed")
    another.drop()
    with psycopg.connect(warehouse.server.url, autocommit=True) as connection:
        connection.execute(f"create database {another.name} template {warehouse.name}")
        connection.execute(f"alter database {another.name} set wal_compression = 'lz4'")
    return another


def _held(warehouse: Warehouse) -> int:
    if isinstance(warehouse, DuckDBFile):
        return warehouse.path.stat().st_size
    return sum(table + index for _, table, index in schemas(warehouse))


def _wal(warehouse: Warehouse) -> int | None:
    """Bytes ever written to the write-ahead log, and then a checkpoint, so that the next step starts from one."""
    if isinstance(warehouse, DuckDBFile):
        return None
    import psycopg

    with psycopg.connect(warehouse.server.url, autocommit=True) as connection:
        written = connection.execute("select pg_current_wal_lsn() - '0/0'::pg_lsn").fetchone()
        connection.execute("checkpoint")
    assert written is not None
    return int(written[0])


def _penstock(*words: object) -> None:
    run([sys.executable, "-m", "penstock", *map(str, words), "--quiet"], timeout_seconds=_SECONDS)
