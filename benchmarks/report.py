"""Results as a table on the terminal and as ``RESULTS.md``: misses stand beside what is met."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.bench import Bench
from benchmarks.figures import Figure, Verdict, megabytes, met, middle
from benchmarks.provenance import confirmed

LIBRARIES = ("penstock-elt", "duckdb", "pyarrow", "adbc-driver-postgresql", "psycopg", "dbt-core")

_WRITTEN = {True: "yes", False: "**no**", None: ""}
_COLOURED = {True: "[green]yes", False: "[red]no", None: ""}

METHOD = """\
Input: user events of `penstock generate` with seed 1, NDJSON, about 285 bytes each; 1 % are exact copies of another,
5 % stand up to 20,000 records late. The operating system holds the file before the first run.

Nested records are orders of 16 fields, about 750 bytes each, with objects in objects and lists, which land as JSON; a
quarter as many.

Whole process means from the start of the process to its end, imports and commits included; peak memory is the largest
resident set of the process or of any one child it waited for. CPU seconds are user and kernel mode: of the process with
its children, and beside them those of the PostgreSQL server with all its processes. PostgreSQL is a private server on
the same machine with `fsync` on and its default settings; its memory is not in these figures. Each load starts with a
warehouse made anew and a disk at rest. The contenders take turns, round by round; figures are medians over the rounds,
ratios medians over the ratios of each round. After each load the rows in the table are counted; who has too many or too
few is out.

The contenders:
- Penstock: `penstock load --quiet`, contract and columns declared, identity by content, no dbt.
- dlt Arrow: pyarrow reads the file, DuckDB adds a hash of the content, dlt loads parquet files and merges by the hash
  (`delete-insert`: of dlt's strategies the one that drops copies inside one load). In the first two rounds, like those
  below.
- ingestr: merged by `id` and `received_at`, which it has to be told; it knows no identity by content.
- Sling: merged by the same fields, to PostgreSQL; it keeps the copies inside one load. To DuckDB it needs that engine's
  command line, and was not measured.
- the direct limit, DuckDB: `create table as select distinct * from` `read_json` or `read_csv`, columns declared.
- the direct limit, PostgreSQL: DuckDB parses and makes an MD5 key, ADBC copies into an unlogged stage, then
  `insert ... on conflict do nothing` into a table with that primary key.

Start-up, for the same file again, is the same command for a project whose one file is empty and known. Batches and
the models' step are timed inside a running process: batches each as a new file, from the look at the folder to the
commit; the step as all that `penstock transform` does, tests included. The sizes take turns. The histories of the step
have 1,000 events a day at each size, so the larger one is longer, not denser. In the table, their rows and seconds are
those of one batch.
"""


def print_verdicts(verdicts: Sequence[Verdict]) -> None:
    """The bars as a table on the terminal."""
    table = Table("job", "bar", "Penstock", "others", "met", show_lines=True)
    for v in verdicts:
        table.add_row(v.job, v.bar, v.reached, v.others, _COLOURED[v.met])
    Console().print(table)


def verdict_lines(verdicts: Sequence[Verdict]) -> list[str]:
    """The bars as a table in Markdown."""
    return [
        "| job | bar | Penstock | others (× is how many times as fast Penstock is) | met |",
        "|---|---|---|---|---|",
        *(row(v.job, v.bar, v.reached, v.others, _WRITTEN[v.met]) for v in verdicts),
    ]


def write_results(bench: Bench, path: Path, *, seconds: float, missing: Sequence[str]) -> None:
    """Write ``RESULTS.md``."""
    lines = [
        "# Speed",
        "",
        confirmed("RESULTS.md", bench.measured),
        f"It took {seconds / 60:.1f} minutes: {bench.rows:,} rows, {bench.runs} rounds. {met(bench.results.verdicts)}",
        "",
        *verdict_lines(bench.results.verdicts),
        "",
        "## All figures",
        "",
        *figure_lines(bench.results.figures),
        "",
        *(f"Not measured: {why}\n" for why in missing),
        "## Method",
        "",
        METHOD,
        "## Machine and versions",
        "",
        *machine(bench),
        "",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")


def figure_lines(figures: Sequence[Figure]) -> list[str]:
    """All figures as a table in Markdown."""
    return [
        "| job | contender | runs | median s | least s | most s | CPU s | server's CPU s | rows/s | peak memory |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(_figure(figure) for figure in figures),
    ]


def machine(bench: Bench) -> list[str]:
    """The machine and all that took part, one a line."""
    peers = [peer for peer in (bench.dlt, bench.ingestr, bench.sling) if peer]
    return [
        *machine_lines(LIBRARIES),
        *([f"- {', '.join(peer.name for peer in peers)}, with the same DuckDB"] if peers else []),
        *(f"- {peer.older}" for peer in peers if peer.older),
    ]


def machine_lines(libraries: Sequence[str]) -> list[str]:
    """The machine, Python with its libraries, and PostgreSQL."""
    versions = ", ".join(f"{name} {found}" for name in libraries if (found := _version(name)))
    return [
        f"- {os.cpu_count()} cores, {_processor()}, {_memory_bytes() / 2**30:.0f} GiB of memory, {platform.system()}",
        f"- Python {platform.python_version()}; {versions}",
        f"- {_postgres_version()}",
    ]


def row(*cells: str) -> str:
    """A row of a table in Markdown."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _figure(figure: Figure) -> str:
    if not figure.seconds:
        why = f"failed: {figure.trouble}" if figure.trouble else "not measured"
        return row(figure.job, figure.contender, "0", why, "", "", "", "", "", "")
    seconds = (figure.median, min(figure.seconds), max(figure.seconds))
    return row(
        figure.job,
        figure.contender,
        str(len(figure.seconds)),
        *(f"{s:.3f}" if figure.median < 1 else f"{s:.2f}" for s in seconds),
        middle(figure.cpu_seconds),
        middle(figure.server_cpu_seconds),
        f"{figure.rows_per_second:,.0f}" if figure.rows > 10 else "",
        megabytes(figure.peak_bytes) if figure.peak_bytes else "",
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _postgres_version() -> str:
    from penstock.testing.postgres import server_binaries
    from penstock.testing.private import MissingServer

    try:
        command = [str(server_binaries() / "postgres"), "--version"]
    except MissingServer:
        return "no PostgreSQL"
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
