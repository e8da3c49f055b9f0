"""The figures of Iceberg tables and of Spark, from their results, and what follows from them by arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil

from tools.reference.capacity import number, sized
from tools.reference.markdown import table
from tools.reference.results import found_in, rows_of

PAGE = "RESULTS-spark.md"
_ICEBERG, _DUCKDB = "into Iceberg tables", "into DuckDB"
_DAY_SECONDS, _PEAK, _BILLION = 86_400, 5, 1e9


def landing() -> Iterator[str]:
    """A million rows into Iceberg tables and into DuckDB."""
    rows = []
    for row in rows_of(PAGE, "Landing"):
        served = row["server's CPU s"]
        spent = row["CPU s"] if served in ("", "0.00") else f"{row['CPU s']} + {served} of the ledger's server"
        rows.append([row["contender"], row["rows/s"], spent, row["peak memory"]])
    yield from table(["a file of user events", "rows/s", "CPU seconds", "peak memory"], rows)


def look_ups() -> Iterator[str]:
    """What batches read, by the rows of the table."""
    rows = _if_measured("What a batch reads")
    if not rows:
        yield "Not measured."
        return
    yield from table(list(rows[0]), [list(row.values()) for row in rows])


def steps() -> Iterator[str]:
    """Seconds of a step by cores and size, beside plain Spark."""
    rows = _if_measured("A step of a model")
    contenders = list(dict.fromkeys(row["contender"] for row in rows))
    jobs = list(dict.fromkeys(row["job"] for row in rows))
    seconds = {(row["job"], row["contender"]): row["median s"] for row in rows}
    if not rows:
        yield "Not measured."
        return
    yield from table(
        ["seconds", *(job.rpartition(", ")[2] for job in jobs)],
        [[contender, *(seconds.get((job, contender), "") for job in jobs)] for contender in contenders],
    )


def event() -> Iterator[str]:
    """What an event takes there as it was measured, and a billion of them a day, extrapolated."""
    at_rest = int(found_in(PAGE, r"An event takes (\d+) bytes in the files"))
    landed = next(row for row in rows_of(PAGE, "Landing") if row["contender"] == _ICEBERG)
    micro = ceil(
        _spent(landed, "CPU s", "server's CPU s") / (number(landed["rows/s"]) * number(landed["median s"])) * 1e6
    )
    peak = _BILLION * _PEAK / _DAY_SECONDS
    rows = [
        ("raw rows at rest", f"{at_rest} bytes", f"{sized(_BILLION * at_rest)} a day"),
        ("CPU of landing files, the ledger's server too", f"{micro} µs", f"{_BILLION * micro / 1e6:,.0f} s a day"),
        ("the same at the peak", "", f"{peak:,.0f} × {micro} µs = {peak * micro / 1e6:.1f} cores"),
    ]
    for row in _if_measured("All models of the example"):
        if row["step"].startswith("model"):
            spent = _spent(row, "CPU seconds", "of the ledger's server")
            each = f"{spent:,.0f} CPU seconds for {row['events']} events"
            rows.append((f"all models of the example, {row['step'].removeprefix('model ')}", each, "not extrapolated"))
    yield from table(["on Iceberg", "measured", "a billion a day"], rows)


def _if_measured(heading: str) -> list[Mapping[str, str]]:
    try:
        return rows_of(PAGE, heading)
    except KeyError:
        return []


def _spent(row: Mapping[str, str], own: str, served: str) -> float:
    return number(row[own]) + number(row[served] or "0")
