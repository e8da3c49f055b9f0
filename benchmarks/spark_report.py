"""What was measured of Iceberg tables and Spark as ``RESULTS-spark.md``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.bench import Bench
from benchmarks.figures import met
from benchmarks.growth import Step
from benchmarks.provenance import confirmed
from benchmarks.report import figure_lines, machine_lines, row, verdict_lines
from benchmarks.spark_landing import BATCH, DAILY, JOB, LookUp
from benchmarks.spark_models import BATCH as NEW
from benchmarks.spark_models import WARM_UP

PAGE = "RESULTS-spark.md"
LANDING, LOOK_UPS, STEPS, DAYS = "Landing", "What a batch reads", "A step of a model", "All models of the example"
_LIBRARIES = ("penstock-elt", "duckdb", "pyarrow", "pyiceberg", "pyspark", "dbt-core", "dbt-spark")

METHOD = f"""\
**Landing.** User events of `penstock generate` with seed 1 over a year, NDJSON, about 285 bytes each, 1 % exact
copies, 5 % late. `penstock load --quiet` as a whole process, contract and columns declared, identity by content,
into an empty warehouse; both take turns, and the ratio is the median over the ratios of each round. The rows in the
table are counted after each load. Iceberg tables are in a folder of this machine, the ledger and the catalog in a
private PostgreSQL with `fsync` on, whose CPU stands beside that of the process. Peak memory is the largest resident
set. No Java takes part.

**What a batch reads** are all bytes that a running process asked the operating system to read while it took in
{BATCH:,} records, less the file of the batch itself: data, metadata, manifests, whether or not the system had them
in memory. Records of 70 bytes with a number, a time and a text, {DAILY:,} a day. The process has not filled the
table, and has loaded something else before. With an identity of number and time, the time is fixed by the identity;
with one of the number alone it is not. Medians of three batches.

**A step of a model**: {NEW:,} new events land, then one model of each user's events (a count, two times and a text,
by `scope`) is brought up to date by what `penstock transform` does in a running process, and a table of plain
Spark's by one `merge` of the same select, limited to the users of the new load, written by hand. Both read the same
raw table, have a session of their own with the same settings and 2 GB, and take turns; CPU and memory are those of
Python with Java. After the last step both tables have to be alike. {WARM_UP} steps warm up: Java compiles what it runs
often, and of its first steps that is most of the CPU. About a third as many users as events.

**All models of the example**: `examples/user_events` with its tests, after so many events, and after a tenth more;
a process of its own each time, with Spark on two cores. Bytes are those of all Parquet files that are there, those
of older snapshots too.
"""

LIMITS = """\
- **Landing**: one thread takes the batches in turn: which identities are new, and their texts. Beside it all cores
  shape records, and put days in order and compress them. Half a second and more of each process goes into importing
  PyIceberg, SQLAlchemy and the driver, which counts for less the longer a load is.
- **A batch** reads the footers and the identities of the files of its days, and the metadata of the table: one
  manifest list, and the manifests whose days match. What grows with the table are the list and, until they are
  merged, manifests.
- **A step**: Spark plans and runs some statements for each step, each in some tenths of a second, however little is
  new; beyond that the columns that a step reads of the raw table and of its own, and the files that it writes anew.
  A `merge` by hand has one statement, checks no key, and tells nobody what it has taken in. It reads the raw table
  twice, once to find the files that it will write anew; a step reads it once, keeps the differences in memory, and has
  them counted before it merges them. What a step takes beyond a `merge` by hand goes into planning its statements, into
  code that Spark makes for them and Java compiles, and into the ledger.
- **What two cores cannot show**: whether steps get faster with machines. Here `local[1]` and `local[2]` share two
  cores with Python, PostgreSQL and the other session; no network and no object store lies between them and the
  files; shuffles never leave the machine. One node tells what a step costs in CPU and bytes, and not how it
  spreads. A standalone cluster of one master and two workers on one machine is tested for its rows, not for its
  speed.
"""


@dataclass(slots=True)
class Found:
    """What is no figure of a contender: bytes of an event at rest, look-ups, days; and what was left out."""

    at_rest_bytes: float = 0.0
    look_ups: list[LookUp] = field(default_factory=list)
    days: list[Step] = field(default_factory=list)
    missing: Sequence[str] = ()


def page(bench: Bench, found: Found, *, seconds: float) -> str:
    """The results."""
    lines = [
        "# Iceberg tables and Spark",
        "",
        confirmed(PAGE, bench.measured),
        f"It took {seconds / 60:.1f} minutes: {bench.rows:,} rows, {bench.runs} rounds. {met(bench.results.verdicts)}",
        "",
        *verdict_lines(bench.results.verdicts),
        "",
    ]
    if found.missing:
        lines += [f"Not measured: {', '.join(found.missing)}.", ""]
    landing = [figure for figure in bench.results.figures if figure.job == JOB]
    steps = [figure for figure in bench.results.figures if figure.job != JOB]
    if landing:
        lines += [f"## {LANDING}", "", *figure_lines(landing), ""]
        lines += [f"An event takes {found.at_rest_bytes:.0f} bytes in the files of its table.", ""]
    if found.look_ups:
        lines += [f"## {LOOK_UPS}", "", *_look_ups(found.look_ups), ""]
    if steps:
        lines += [f"## {STEPS}", "", *figure_lines(steps), ""]
    if found.days:
        lines += [f"## {DAYS}", "", *_days(found.days), ""]
    lines += ["## What limits it", "", LIMITS, "## Method", "", METHOD]
    lines += ["## Machine and versions", "", *machine_lines(_LIBRARIES), ""]
    return "\n".join(lines)


def _look_ups(look_ups: Sequence[LookUp]) -> Iterator[str]:
    whats = list(dict.fromkeys(one.what for one in look_ups))
    yield row("rows in the table", *whats)
    yield "|---" * (1 + len(whats)) + "|"
    for rows in dict.fromkeys(one.rows for one in look_ups):
        cells = {one.what: f"{median(one.read_bytes) / 1e6:.2f} MB" for one in look_ups if one.rows == rows}
        yield row(f"{rows:,}", *(cells.get(what, "") for what in whats))


def _days(days: Sequence[Step]) -> Iterator[str]:
    yield row("step", "events", "CPU seconds", "of the ledger's server", "peak memory", "bytes of all files")
    yield "|---|---|---|---|---|---|"
    for step in days:
        server = "" if step.server_cpu_seconds is None else f"{step.server_cpu_seconds:.1f}"
        yield row(
            step.name, f"{step.events:,}", f"{step.cpu_seconds:.1f}", server,
            f"{step.peak_bytes / 1e6:,.0f} MB", f"{step.held_bytes:,}",
        )  # fmt: skip
