"""Tables of figures, made from the results of the benchmarks, between marks of the pages that show them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks import provenance
from tools.reference import capacity, spark
from tools.reference.markdown import table
from tools.reference.results import found_in, rows_of, text_of

_MARKED = re.compile(
    r"(<!-- (?P<name>[a-z]+) figures: made by `make reference` -->\n).*?(<!-- (?P=name) figures end -->)", re.S
)
_MINE, _LIMITS = "Penstock", {"read_json + distinct", "read_csv + distinct", "COPY + on conflict"}
_JOBS = {
    "to DuckDB, deduplicated": "to DuckDB",
    "the same file again, fingerprint off": "the same file again, without its fingerprint",
    "to PostgreSQL, deduplicated": "to PostgreSQL",
    "CSV, to DuckDB, deduplicated": "CSV, to DuckDB",
    "nested records of 16 fields, to DuckDB, deduplicated": "nested records of 16 fields, to DuckDB",
}
_TEN = "a 10-row file, whole process, without dbt"
_BATCH = "one more batch of 1,000 rows in a running process"


def with_figures(page: str) -> str:
    """The page with each of its marked tables made anew.

    Raises:
        KeyError: a mark names no table, or the results lack what a table is made of.
    """
    return _MARKED.sub(lambda match: f"{match[1]}\n{chr(10).join(TABLES[match['name']]())}\n\n{match[3]}", page)


def speed() -> Iterator[str]:
    """Rows a second of each contender, and the peak memory of a load to DuckDB."""
    figures = [row for row in rows_of("RESULTS.md", "All figures") if row["job"] in _JOBS and row["runs"] != "0"]
    peers = _in_order(row["contender"] for row in figures if row["contender"] not in {_MINE, *_LIMITS})
    rows = []
    for job, name in _JOBS.items():
        of_job = {row["contender"]: row for row in figures if row["job"] == job}
        if not of_job:
            continue
        limit = next((row for contender, row in of_job.items() if contender in _LIMITS), None)
        rows.append([name, *(_rate(of_job.get(contender)) for contender in (_MINE, *peers)), _limit(limit)])
    to_duckdb = {row["contender"]: row["peak memory"] for row in figures if row["job"] == next(iter(_JOBS))}
    limit_memory = next((peak for contender, peak in to_duckdb.items() if contender in _LIMITS), "")
    memory = [to_duckdb.get(contender, "") for contender in (_MINE, *peers)]
    yield _measured("RESULTS.md")
    yield ""
    yield from table(
        ["rows/s", _MINE, *peers, "direct limit"], [*rows, ["peak memory, to DuckDB", *memory, limit_memory]]
    )
    older = re.findall(r"(?m)^- (.*, the newest, was not measured: .*)$", text_of("RESULTS.md"))
    if older:
        yield ""
        yield " ".join(f"{sentence}." for sentence in older)


def seconds() -> Iterator[str]:
    """What small loads take."""
    figures = rows_of("RESULTS.md", "All figures")
    jobs = {
        _TEN: "a file of ten rows, whole process",
        f"{_BATCH}, duckdb": "1,000 more rows in a running process, DuckDB",
        f"{_BATCH}, postgres": "1,000 more rows in a running process, PostgreSQL",
    }
    small = [row for row in figures if row["job"] in jobs and row["runs"] != "0"]
    contenders = _in_order(row["contender"].partition(", ")[0] for row in small)
    rows = []
    for job, name in jobs.items():
        first: dict[str, str] = {}
        for row in small:
            if row["job"] == job:
                first.setdefault(row["contender"].partition(", ")[0], row["median s"])
        rows.append([name, *(first.get(contender, "") for contender in contenders)])
    yield from table(["seconds", *contenders], rows)


def queues() -> Iterator[str]:
    """Messages a second of each way to take a queue."""
    figures = rows_of("RESULTS-queue.md", "All figures")
    rates = {(row["queue"], row["contender"]): row["messages/s"] for row in figures}
    ways = {
        "penstock consume": _MINE,
        "pika, received and thrown away": "pika, received and thrown away",
        "the script people write": "a script with one insert a message",
        "the same, batches of 100": "the same, batches of 100",
    }
    kinds = {"classic": "classic queue", "quorum": "quorum queue", "stream protocol": "stream, stream protocol"}
    yield _measured("RESULTS-queue.md")
    yield ""
    yield from table(
        ["messages/s", *ways.values()],
        [[name, *(rates.get((kind, way), "") for way in ways)] for kind, name in kinds.items()],
    )


def apis() -> Iterator[str]:
    """Records a second from an API."""
    yield _measured("RESULTS-http.md")
    yield ""
    yield from table(
        ["from an API to DuckDB", "records/s", "CPU seconds", "peak memory"],
        [
            [row["contender"], row["records/s"], row["CPU seconds"], row["peak memory"]]
            for row in rows_of("RESULTS-http.md", "All figures")
        ],
    )


def steps() -> Iterator[str]:
    """What the models' step takes, by the history."""
    rows = rows_of("RESULTS-sizes.md", "The models' step")
    sizes = _in_order(row["contender"].removeprefix(f"{_MINE}, ") for row in rows)
    jobs = _in_order(row["job"] for row in rows)
    cells = {(row["job"], row["contender"].removeprefix(f"{_MINE}, ")): row for row in rows}
    yield _measured("RESULTS-sizes.md")
    yield ""
    yield from table(
        ["CPU seconds, process + server", *sizes],
        [[job.partition(", ")[2], *(_cpu(cells.get((job, size))) for size in sizes)] for job in jobs],
    )


def wal() -> Iterator[str]:
    """WAL an event, as PostgreSQL comes and with compression."""
    rows = [row for row in rows_of("RESULTS-sizes.md", "All days, then one more") if row["WAL, bytes/event"]]
    yield from table(
        ["PostgreSQL", "step", "WAL, bytes an event"],
        [[row["warehouse"].partition(", ")[2] or "as it comes", row["step"], row["WAL, bytes/event"]] for row in rows],
    )


TABLES: Mapping[str, Callable[[], Iterator[str]]] = {
    "speed": speed,
    "seconds": seconds,
    "queue": queues,
    "api": apis,
    "step": steps,
    "wal": wal,
    "event": capacity.takes,
    "volume": capacity.volumes,
    "memory": capacity.memory,
    "broker": capacity.brokers,
    "setting": capacity.settings,
    "billion": capacity.billion,
    "iceberg": spark.event,
    "landing": spark.landing,
    "lookup": spark.look_ups,
    "sparkstep": spark.steps,
}
"""Name in a mark → what makes its lines."""


def _measured(page: str) -> str:
    """When and on what the figures were measured, in a sentence."""
    named = provenance.read(text_of(page))
    when = f"on {named.date}" if named else "some time ago"
    commit = f" at commit {named.commit[:8]}" if named and named.commit else ""
    if named and named.changed:
        commit += " with changes on top"
    machine = found_in(page, r"(?m)^- (\d+ cores, .*?), Linux$")
    size = found_in(page, r"It took [\d.]+ minutes: ([\d,]+ [a-z]+)")
    return f"Measured {when}{commit}, {size}, on one machine: {machine}."


def _rate(row: Mapping[str, str] | None) -> str:
    """``183 k``; with two digits where that is less than 10 k."""
    if row is None:
        return ""
    thousands = float(row["rows/s"].replace(",", "")) / 1000
    return f"{thousands:,.1f} k" if thousands < 10 else f"{thousands:,.0f} k"


def _limit(row: Mapping[str, str] | None) -> str:
    if row is None:
        return ""
    return f"{_rate(row)} ({', '.join(f'`{part}`' for part in row['contender'].split(' + '))})"


def _cpu(row: Mapping[str, str] | None) -> str:
    if row is None or row["runs"] == "0":
        return ""
    own, server = row["CPU s"], row["server's CPU s"]
    return own if server in ("", "0.00") else f"{own} + {server}"


def _in_order(names: Iterator[str]) -> Sequence[str]:
    """Each name once, in the order of its first use."""
    return list(dict.fromkeys(names))
