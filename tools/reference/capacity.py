"""The figures of capacity planning: what an event takes, from the results, and what follows from it by arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import ceil

from tools.reference.markdown import table
from tools.reference.results import found_in, rows_of

_SPEED, _SIZES, _QUEUE, _HTTP = "RESULTS.md", "RESULTS-sizes.md", "RESULTS-queue.md", "RESULTS-http.md"
_CORES = 2
_DAY_SECONDS = 86_400
_PEAK = 5
_VOLUMES = {"10 k": 1e4, "1 M": 1e6, "100 M": 1e8, "1 G": 1e9}
_BYTES = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What one event takes: bytes at rest and of WAL, microseconds of CPU; messages a second of each queue."""

    json: int
    lake: int
    duckdb_raw: int
    duckdb_all: int
    postgres_raw: int
    postgres_index: int
    postgres_all: int
    landing_wal_large: int
    landing_wal: int
    first_wal: int
    later_wal: int
    landing_duckdb: int
    landing_postgres: int
    first_duckdb: int
    first_postgres: int
    later_duckdb: int
    later_postgres: int
    classic: float
    quorum: float
    stream: float

    @property
    def message(self) -> int:
        """Microseconds of a message from a quorum queue at most: all cores, for as long as it took."""
        return ceil(_CORES * 1e6 / self.quorum)


@cache
def event() -> Event:
    """As the results have it."""
    rest = {(row["warehouse"], row["what"]): number(row["bytes/event"]) for row in rows_of(_SIZES, "At rest")}
    steps = {(row["warehouse"], row["step"]): row for row in rows_of(_SIZES, "All days, then one more")}
    queues = {
        row["queue"]: number(row["messages/s"])
        for row in rows_of(_QUEUE, "All figures")
        if row["contender"] == "penstock consume"
    }

    def wal(step: str) -> int:
        return round(number(steps["postgres", step]["WAL, bytes/event"]))

    def modelling(warehouse: str, step: str) -> int:
        row = steps[warehouse, step]
        spent = number(row["CPU seconds"]) + number(row["of the server"] or "0")
        return ceil(spent / number(row["events"]) * 1e6)

    return Event(
        json=int(found_in(_SIZES, r"An event is (\d+) bytes of NDJSON")),
        lake=int(found_in(_SIZES, r"and (\d+) bytes compressed")),
        duckdb_raw=round(rest["duckdb", "all, after: load all days"]),
        duckdb_all=round(rest["duckdb", "all, after: model one more day"]),
        postgres_raw=round(rest["postgres", "schema `raw`, tables"]),
        postgres_index=round(rest["postgres", "schema `raw`, indexes"]),
        postgres_all=round(rest["postgres", "all, after: model one more day"]),
        landing_wal_large=wal("load all days"),
        landing_wal=wal("load one more day"),
        first_wal=wal("model all days"),
        later_wal=wal("model one more day"),
        landing_duckdb=_landing("to DuckDB, deduplicated"),
        landing_postgres=_landing("to PostgreSQL, deduplicated"),
        first_duckdb=modelling("duckdb", "model all days"),
        first_postgres=modelling("postgres", "model all days"),
        later_duckdb=modelling("duckdb", "model one more day"),
        later_postgres=modelling("postgres", "model one more day"),
        classic=queues["classic"],
        quorum=queues["quorum"],
        stream=queues["stream protocol"],
    )


def takes() -> Iterator[str]:
    """What an event takes."""
    e = event()
    sizes, speed, queues = (f"[{name}](../benchmarks/{page})" for name, page in _LINKS)
    rows = [
        ("JSON, as it comes", f"{e.json} bytes", sizes),
        ("in the lake, zstd", f"{e.lake} bytes; real texts compress less well", sizes),
        ("DuckDB, raw table", f"{e.duckdb_raw} bytes", sizes),
        ("DuckDB, raw and models", f"{e.duckdb_all} bytes", sizes),
        ("PostgreSQL, raw table", f"{e.postgres_raw} bytes, and {e.postgres_index} of its index", sizes),
        ("PostgreSQL, raw and models, with indexes", f"{e.postgres_all:,} bytes", sizes),
        (
            "PostgreSQL, WAL of landing",
            f"{e.landing_wal_large} bytes in one large load, {e.landing_wal} in a day",
            sizes,
        ),
        ("PostgreSQL, WAL of modelling", f"{e.first_wal:,} bytes at first, {e.later_wal:,} of one more day", sizes),
        ("CPU of landing a file in DuckDB", f"{e.landing_duckdb} µs", speed),
        ("CPU of landing a file in PostgreSQL, server and all", f"{e.landing_postgres} µs", speed),
        ("CPU of a message in PostgreSQL, with broker and server", f"at most {e.message} µs, quorum queue", queues),
        (
            "CPU of modelling, first build",
            f"{e.first_duckdb:,} µs on DuckDB, {e.first_postgres:,} µs on PostgreSQL",
            sizes,
        ),
        (
            "CPU of modelling one more day",
            f"{e.later_duckdb:,} µs on DuckDB, {e.later_postgres:,} µs on PostgreSQL",
            sizes,
        ),
    ]
    yield from table(["what", "an event", "measured"], rows)


def volumes() -> Iterator[str]:
    """What so many events a day take: formulas, and what they give."""
    e = event()
    rates = [
        ("events a second, average", f"N ÷ {_DAY_SECONDS:,}", 1 / _DAY_SECONDS),
        ("events a second, peak", f"N × {_PEAK} ÷ {_DAY_SECONDS:,}", _PEAK / _DAY_SECONDS),
    ]
    sizes = [
        ("JSON", e.json),
        ("lake, zstd", e.lake),
        ("DuckDB, raw", e.duckdb_raw),
        ("DuckDB, raw and models", e.duckdb_all),
        ("PostgreSQL, raw with index", e.postgres_raw + e.postgres_index),
        ("PostgreSQL, raw and models", e.postgres_all),
        ("WAL of landing", e.landing_wal),
        ("WAL of modelling", e.later_wal),
    ]
    times = [
        ("CPU of landing, PostgreSQL, files", e.landing_postgres),
        ("CPU of landing, PostgreSQL, quorum queue", e.message),
        ("CPU of modelling, PostgreSQL", e.later_postgres),
        ("CPU of modelling, DuckDB", e.later_duckdb),
    ]
    rows = [(name, formula, *(_figures(n * factor) for n in _VOLUMES.values())) for name, formula, factor in rates]
    rows += [(name, f"N × {each:,} B", *(sized(n * each) for n in _VOLUMES.values())) for name, each in sizes]
    rows += [
        (name, f"N × {each:,} µs", *(f"{_figures(n * each / 1e6)} s" for n in _VOLUMES.values()))
        for name, each in times
    ]
    yield from table(["a day", "formula", *_VOLUMES], rows)


def memory() -> Iterator[str]:
    """What processes hold."""
    loads = found_in(_SIZES, r"\| peak memory \| [^|]* \| ([^|]*) \|")
    api = next(row for row in rows_of(_HTTP, "All figures") if row["contender"] == "penstock load")
    consumers = [row["peak memory"] for row in rows_of(_QUEUE, "All figures") if "consume" in row["contender"]]
    models = {
        row["warehouse"]: row["peak memory"]
        for row in rows_of(_SIZES, "All days, then one more")
        if row["step"] == "model all days"
    }
    rows = [
        ("`penstock load`", loads, "1 GB"),
        ("`penstock load` of an API", api["peak memory"], "1 GB"),
        ("`penstock consume`, one queue", f"{max(consumers, key=number)} at most", "0.5 GB"),
        ("models, on PostgreSQL", models["postgres"], "0.5 GB"),
        (
            "models, on DuckDB, which is inside the process",
            f"{models['duckdb']}; DuckDB spills to disk beyond its `memory_limit`",
            "a quarter of what the touched rows take",
        ),
    ]
    yield from table(["process", "measured", "plan"], rows)


def brokers() -> Iterator[str]:
    """How many queues a peak takes."""
    e = event()
    peaks = [n * _PEAK / _DAY_SECONDS for n in (1e8, 1e9)]
    rows = [
        (name, f"{rate:,.0f}", *(str(ceil(peak / (0.5 * rate))) for peak in peaks))
        for name, rate in (("classic", e.classic), ("quorum", e.quorum), ("stream, stream protocol", e.stream))
    ]
    heads = [f"queues for the peak of {n} ({peak:,.0f}/s)" for n, peak in zip(("100 M", "1 G"), peaks, strict=True)]
    yield from table(["queue", "messages/s", *heads], rows)


def settings() -> Iterator[str]:
    """Settings of PostgreSQL by volume."""
    e = event()
    peak = 1e8 * _PEAK / _DAY_SECONDS
    each = e.landing_wal + e.later_wal
    rows = [
        ("`wal_compression`", "`lz4`, or `on` where that is not built in: whole pages take less", "`lz4`"),
        (
            "`max_wal_size`",
            f"15 minutes of the peak's WAL, twice: peak × {each:,} B × 900 s × 2; less with compression",
            f"{peak:,.0f} × {each:,} × 1,800 = {sized(peak * each * 1_800)}",
        ),
        ("`checkpoint_timeout`", "15 minutes: whole pages are written once after each checkpoint", "15 minutes"),
        ("`shared_buffers`", "a quarter of the memory", "32 GB of 128"),
        ("`effective_cache_size`", "three quarters", "96 GB"),
        ("`maintenance_work_mem`", "1 GB", "vacuum of large indexes in one go"),
        ("`autovacuum_vacuum_scale_factor`", "of report tables, which are rewritten by day: 0.02", ""),
    ]
    yield from table(["setting", "how to find it", "at 100 M a day"], rows)


def billion() -> Iterator[str]:
    """A billion events a day, on paper."""
    e = event()
    peak = 1e9 * _PEAK / _DAY_SECONDS
    raw = e.postgres_raw + e.postgres_index
    rows = [
        ("landing, with broker and database", f"{peak:,.0f} × {e.message} µs", f"{peak * e.message / 1e6:.1f} cores"),
        ("queues", f"{peak:,.0f} ÷ (0.5 × {e.stream:,.0f}), stream protocol", str(ceil(peak / (0.5 * e.stream)))),
        ("raw rows of 3 days", f"3 × {sized(1e9 * raw)}", sized(3e9 * raw)),
        ("their index, to be held in memory", f"3 billion × {e.postgres_index} B", sized(3e9 * e.postgres_index)),
        ("WAL of landing, at the peak", f"{peak:,.0f} × {e.landing_wal} B", f"{sized(peak * e.landing_wal)}/s"),
        ("lake", f"{sized(1e9 * e.lake)} × 365", f"{sized(1e9 * e.lake * 365)} a year"),
        (
            "models of the example",
            f"{e.postgres_all - raw:,} B × 1 G a day, {e.later_postgres:,} µs × 1 G",
            f"{sized(1e9 * (e.postgres_all - raw))} and {_figures(1e3 * e.later_postgres)} CPU seconds a day",
        ),
    ]
    yield from table(["part", "arithmetic", "gives"], rows)


_LINKS = (("sizes", _SIZES), ("speed", _SPEED), ("queues", _QUEUE))


def _landing(job: str) -> int:
    row = next(r for r in rows_of(_SPEED, "All figures") if (r["job"], r["contender"]) == (job, "Penstock"))
    spent = number(row["CPU s"]) + number(row["server's CPU s"] or "0")
    rows = number(row["rows/s"]) * number(row["median s"])
    return ceil(spent / rows * 1e6)


def number(text: str) -> float:
    """What a cell says."""
    return float(text.removesuffix(" MB").replace(",", ""))


def sized(size: float) -> str:
    """``40.2 MB``."""
    unit, factor = next(((unit, factor) for unit, factor in _BYTES if size >= factor), _BYTES[-1])
    return f"{_figures(size / factor)} {unit}"


def _figures(value: float) -> str:
    """Three digits, and all of those before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
