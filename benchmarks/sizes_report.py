"""Sizes as ``RESULTS-sizes.md``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.bench import Bench
from benchmarks.figures import met
from benchmarks.growth import MORE, Step
from benchmarks.provenance import confirmed
from benchmarks.report import figure_lines, machine_lines, row, verdict_lines

_LIBRARIES = ("penstock-elt", "duckdb", "adbc-driver-postgresql", "dbt-core", "dbt-duckdb", "dbt-postgres")

METHOD = """\
Input: `penstock generate` with seed 1, NDJSON, a tenth of the events a day, 1 % exact copies, 5 % late, with 1,000
organisations. The models are those of `examples/user_events`, from staging to history and daily reports. *One more day*
is another tenth, landed and modelled on top; with `wal_compression = lz4` it starts from a copy of the same database.

CPU seconds are those of the whole command, its imports and the tests of the models included; the server's are those of
PostgreSQL with all its processes. The bytes of DuckDB are those of its closed file. PostgreSQL has `fsync` on, and its
own settings otherwise; the bytes of a schema are those of its tables, TOAST included, and of their indexes. WAL is what
was written during the step, from one checkpoint on. Bytes an event are divided by the events of the step or, at rest,
by all events so far.

The models' step is what `penstock transform` does after 1,000 new events in a process that has done so before, tests
included. *Wide* histories are those of the generator: about one user for three events, each with one to six of them.
*Deep* ones are the same events of 4,096 users. Both have 1,000 events a day, so the larger ones are longer, not denser.
The sizes take turns; ratios are medians over the ratios of each round.

Peak memory is the largest resident set of a `penstock load` of so many rows into an empty DuckDB file.
"""


@dataclass(slots=True)
class Sizes:
    """What the days took; bytes of an event as NDJSON, and compressed; users and schemas in PostgreSQL."""

    steps: list[Step] = field(default_factory=list)
    event_bytes: float = 0.0
    packed_bytes: float = 0.0
    users: int = 0
    schemas: list[tuple[str, int, int]] = field(default_factory=list)


def page(bench: Bench, sizes: Sizes, *, seconds: float) -> str:
    """The results."""
    lines = [
        "# Size of a warehouse",
        "",
        confirmed("RESULTS-sizes.md", bench.measured),
        f"It took {seconds / 60:.1f} minutes: {bench.rows:,} events. {met(bench.results.verdicts)}",
        "",
        *verdict_lines(bench.results.verdicts),
        "",
        "## The models' step",
        "",
        *figure_lines(bench.results.figures),
        "",
    ]
    if sizes.steps:
        lines += _growth(bench.rows, sizes)
    lines += ["## Method", "", METHOD, "## Machine and versions", "", *machine_lines(_LIBRARIES), ""]
    return "\n".join(lines)


def _growth(rows: int, sizes: Sizes) -> Iterator[str]:
    yield from ("## All days, then one more", "")
    yield (
        f"An event is {sizes.event_bytes:,.0f} bytes of NDJSON, and {sizes.packed_bytes:,.0f} bytes compressed with"
        f" zstd. All of them are of {sizes.users:,} users."
    )
    yield ""
    yield row("warehouse", "step", "events", "CPU seconds", "of the server", "peak memory", "WAL, bytes/event")
    yield "|---|---|---|---|---|---|---|"
    for s in sizes.steps:
        yield row(
            s.warehouse,
            s.name,
            f"{s.events:,}",
            f"{s.cpu_seconds:.1f}",
            "" if s.server_cpu_seconds is None else f"{s.server_cpu_seconds:.1f}",
            f"{s.peak_bytes / 1e6:,.0f} MB",
            "" if s.wal_bytes is None else f"{s.wal_bytes / s.events:,.0f}",
        )
    yield from ("", "## At rest", "", row("warehouse", "what", "bytes", "bytes/event"), "|---|---|---|---|")
    total = rows + next((s.events for s in sizes.steps if s.name.endswith(MORE)), 0)
    for s in sizes.steps:
        held = s.held_bytes / (total if s.name.endswith(MORE) else rows)
        yield row(s.warehouse, f"all, after: {s.name}", f"{s.held_bytes:,}", f"{held:,.0f}")
    for name, table, index in sizes.schemas:
        yield row("postgres", f"schema `{name}`, tables", f"{table:,}", f"{table / total:,.0f}")
        yield row("postgres", f"schema `{name}`, indexes", f"{index:,}", f"{index / total:,.0f}")
    yield ""
