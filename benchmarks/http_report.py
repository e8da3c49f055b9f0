"""The HTTP source's results as a table on the terminal and as ``RESULTS-http.md``: misses stand beside what is met."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.figures import Verdict, megabytes, met
from benchmarks.provenance import Provenance, confirmed
from benchmarks.report import machine_lines, print_verdicts, row, verdict_lines

FETCHED, LANDED, DLT = "httpx2, 8 tasks, thrown away", "penstock load", "dlt rest_api"

METHOD = """\
Input: user events of `penstock generate` with seed 1, about 270 bytes each, 1 % exact copies, answered by an API on
this machine in pages of 1,000 records, each after 50 ms, over as many connections as are opened. API, client and
warehouse share the machine's cores.

`penstock load` is a process of its own, with `concurrency: 8` and all else as it is by default, into an empty DuckDB:
it lands by content identity, with a ledger entry in each commit. Its seconds are those from the first request to the
end of its process; *whole* counts the process from its start to its end, its imports included. The rows are counted
afterwards: fewer or more than the distinct events is a failure. httpx2 fetches the same pages with 8 tasks and throws
them away; its seconds are those from the first request to the last answer. Both are run in turn, and compared within
each round.

dlt's `rest_api` source asks for one page after the other, since a page tells it of the next; it gets a tenth of the
records, and its rate is that of the pipeline's run, without identity (`append`).

Peak memory is the largest resident set.
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One contender: records, seconds of its work, and of the whole process."""

    name: str
    records: int
    seconds: float
    whole: float
    cpu_seconds: float
    peak_bytes: int

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / self.seconds


@dataclass(slots=True)
class Results:
    """All that one run found. ``shares`` are Penstock's speeds in those of fetching alone, round by round."""

    records: int
    measured: Provenance
    seconds: float = 0.0
    lines: list[Line] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    troubles: list[str] = field(default_factory=list)

    def add(self, line: Line) -> None:
        """Note one, and say it."""
        self.lines.append(line)
        print(f"  {line.name}: {line.rate:,.0f} records/s, {megabytes(line.peak_bytes)}", flush=True)

    def line(self, name: str) -> Line | None:
        """A contender's; None when it was not measured."""
        return next((line for line in self.lines if line.name == name), None)


def verdicts(results: Results) -> Iterator[Verdict]:
    """What the bars say of the run."""
    mine, fetched, dlt = results.line(LANDED), results.line(FETCHED), results.line(DLT)
    reached = f"{mine.rate:,.0f} records/s" if mine else "not measured"
    share = median(results.shares) if results.shares else 0.0
    yield Verdict(
        job="an API to DuckDB, deduplicated",
        bar="0.9 of fetching alone",
        reached=reached,
        others=f"httpx2 {fetched.rate:,.0f} ({share:.2f}×)" if fetched else "",
        met=share >= 0.9,
    )
    yield Verdict(
        job="an API to DuckDB, deduplicated",
        bar="faster than dlt",
        reached=reached,
        others=f"dlt {dlt.rate:,.0f} ({mine.rate / dlt.rate:.1f}×)" if dlt and mine else "dlt not measured",
        met=mine is not None and dlt is not None and mine.rate > dlt.rate,
    )
    yield Verdict(
        job=f"memory for {results.records:,} records",
        bar="under 350 MB",
        reached=megabytes(results.peak_bytes),
        others="",
        met=0 < results.peak_bytes < 350e6,
    )


def show(results: Results) -> None:
    """The bars as a table."""
    print_verdicts(list(verdicts(results)))


def write(results: Results, path: Path) -> None:
    """Write ``RESULTS-http.md``."""
    found = list(verdicts(results))
    lines = [
        "# Speed of HTTP APIs",
        "",
        confirmed("RESULTS-http.md", results.measured),
        f"It took {results.seconds / 60:.1f} minutes: {results.records:,} records. {met(found)}",
        "",
        *verdict_lines(found),
        "",
        "## All figures",
        "",
        "| contender | records | records/s | seconds | whole process | CPU seconds | peak memory |",
        "|---|---|---|---|---|---|---|",
        *(
            row(
                line.name,
                f"{line.records:,}",
                f"{line.rate:,.0f}",
                f"{line.seconds:.1f}",
                f"{line.whole:.1f}",
                f"{line.cpu_seconds:.1f}",
                megabytes(line.peak_bytes),
            )
            for line in results.lines
        ),
        "",
        f"Penstock's speed in that of fetching alone, round by round: {', '.join(f'{s:.2f}' for s in results.shares)}.",
        "",
        *(f"Not measured: {trouble}" for trouble in results.troubles),
        "## How it was measured",
        "",
        METHOD,
        "## The machine",
        "",
        *machine_lines(["duckdb", "pyarrow", "httpx2"]),
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
