"""The queue's results as a table on the terminal and as ``RESULTS-queue.md``: misses stand beside what is met."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from benchmarks.figures import Verdict, megabytes, met
from benchmarks.provenance import Provenance, confirmed
from benchmarks.queue_fresh import Fresh
from benchmarks.report import machine_lines, print_verdicts, row, verdict_lines

CONSUME, PIKA = "penstock consume", "pika, received and thrown away"
_PUBLISH, _SCRIPT = "penstock publish, confirmed", "the script people write"
_KINDS = ("classic", "quorum")
_SHARES = {"classic": 0.8, "quorum": 1.0}

METHOD = """\
Input: user events of `penstock generate` with seed 1, about 285 bytes each, 1 % exact copies; published by
`penstock publish`, persistent, each with a message id of its content, every one confirmed, to durable queues with
RabbitMQ's own settings. Queue, warehouse and everything else are on this one machine, and share its cores.

`penstock consume --until-empty` is a process of its own: it lands by content identity, commits a batch with its
ledger entry, and then acknowledges it. The queue was full before its start, the table empty. *Messages a second* are
all messages but 1,000 by the seconds of the process but those that the same command takes for 1,000 (the median of
three); *whole process* is all by all its seconds, imports included. The rows in the table are counted afterwards:
fewer or more than the distinct events is a failure. Publishing counts likewise. The script people write, pika's bare
receive (a callback for each message, an acknowledgement for each 5,000) and the bare socket are measured from when
they ask for messages; neither script deduplicates.

On classic and quorum queues, Penstock and the bare receives take turns, each at a queue of its own, in three rounds,
every other one backwards: figures are medians, *of pika's bare receive* the median of the ratios of each round. All
else was run once.

Published to visible: `penstock up` on the example's models, which hold 100,000 events, a quorum queue, 1,000 messages
a second for 70 s, half of them of users who are in the models; of one message in 500, the time from when it was due to
be published until `dim_user` has its user and the report counts it, looked for every 0.1 s; in DuckDB by asking the
process that is up. The first 10 s do not count. A slower rate is a failure.

Peak memory is the largest resident set of one consumer; growth is how much more it held in the last third of its work
than in the second, by medians, for streams, which hold the messages four times over. PostgreSQL keeps its promises to
the disk (`fsync` on), and has its own settings otherwise.
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One contender at one kind of queue, in messages a second."""

    name: str
    kind: str
    rate: float
    whole: float | None = None
    peak_bytes: int = 0
    growth: float | None = None
    loads: int | None = None


@dataclass(slots=True)
class Results:
    """All that one run found."""

    messages: int
    measured: Provenance
    seconds: float = 0.0
    lines: list[Line] = field(default_factory=list)
    fresh: dict[str, Fresh] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)

    def add(self, line: Line) -> None:
        """Note one, and say it."""
        self.lines.append(line)
        print(f"  {line.kind}, {line.name}: {line.rate:,.0f} messages/s", flush=True)

    def failed(self, job: str, error: Exception) -> None:
        """Note why something was not measured, and say it."""
        self.troubles.append(f"{job}: {error}")
        print(error, flush=True)

    def rates(self, name: str, kind: str) -> list[float]:
        """Messages a second of a contender, round by round; none when it was not measured."""
        return [line.rate for line in self.lines if (line.name, line.kind) == (name, kind)]

    def rate(self, name: str, kind: str) -> float | None:
        """The median of its rates."""
        return median(self.rates(name, kind)) if self.rates(name, kind) else None

    def share(self, name: str, kind: str) -> float | None:
        """Its rate in that of pika's bare receive, by the median over the rounds; of its median where it had others."""
        mine, limit = self.rates(name, kind), self.rates(PIKA, kind)
        if not mine or not limit:
            return None
        if len(mine) != len(limit):
            return median(mine) / median(limit)
        return median(rate / bare for rate, bare in zip(mine, limit, strict=True))

    def medians(self) -> list[Line]:
        """One line for each contender at each kind of queue: the one with the median rate, at the largest memory."""
        rounds: dict[tuple[str, str], list[Line]] = {}
        for line in self.lines:
            rounds.setdefault((line.kind, line.name), []).append(line)
        return [
            replace(
                sorted(lines, key=lambda line: line.rate)[len(lines) // 2],
                peak_bytes=max(line.peak_bytes for line in lines),
            )
            for lines in rounds.values()
        ]


def verdicts(results: Results) -> Iterator[Verdict]:
    """What the bars say of the run."""
    script = results.rate(_SCRIPT, "classic")
    for kind in _KINDS:
        mine, pika, share = results.rate(CONSUME, kind), results.rate(PIKA, kind), results.share(CONSUME, kind)
        job = f"{kind} queue to PostgreSQL, deduplicated, durable, acknowledged"
        yield _verdict(job, "16,000 messages/s", mine, "", mine is not None and mine >= 16_000)
        least = _SHARES[kind]
        others = f"pika {pika:,.0f} ({share:.2f}×)" if pika and share else "not measured"
        yield _verdict(job, f"{least:g} of pika's bare receive", mine, others, share is not None and share >= least)
        others = f"the script {script:,.0f} ({mine / script:.1f}×)" if mine and script else "not measured"
        reached = mine is not None and script is not None and mine >= 10 * script
        yield _verdict(job, "10 times the script people write", mine, others, reached)
    fast = results.rate(CONSUME, "stream protocol")
    by_amqp = results.rate(CONSUME, "stream by AMQP")
    said = f"by AMQP {by_amqp:,.0f} ({fast / by_amqp:.2f}×)" if fast and by_amqp else ""
    yield _verdict(
        "stream protocol to PostgreSQL", "100,000 messages/s", fast, said, fast is not None and fast >= 100_000
    )
    for kind in _KINDS:
        sent = results.rate(_PUBLISH, kind)
        met = sent is not None and sent >= 15_000
        yield _verdict(f"publish to a {kind} queue with confirms", "15,000 messages/s", sent, "", met)
    for kind in ("postgres", "duckdb"):
        fresh = results.fresh.get(kind)
        yield Verdict(
            job="published to visible in `dim_user` and `reports.user_events_daily`, 1,000 messages/s,"
            f" 100,000 events there before, {kind}",
            bar="median under 0.8 s, 95th percentile under 1.3 s",
            reached=f"{fresh.middle:.2f} s, {fresh.late:.2f} s" if fresh else "not measured",
            others="",
            met=fresh is not None and fresh.middle < 0.8 and fresh.late < 1.3,
        )
    peak = max((line.peak_bytes for line in results.lines if line.name == CONSUME), default=0)
    grown = max((line.growth for line in results.lines if line.growth is not None), default=None)
    told = "not measured" if grown is None else f"{grown / 1e6:+.0f} MB in the last third of a stream"
    yield Verdict(
        job="memory of the consumer",
        bar="under 300 MB, flat",
        reached=f"{megabytes(peak)} at most, {told}",
        others="",
        met=0 < peak < 300e6 and grown is not None and grown < 20e6,
    )


def show(results: Results) -> None:
    """The bars as a table."""
    print_verdicts(list(verdicts(results)))


def write(results: Results, path: Path) -> None:
    """Write ``RESULTS-queue.md``."""
    found = list(verdicts(results))
    lines = [
        "# Speed of queues",
        "",
        confirmed("RESULTS-queue.md", results.measured),
        f"It took {results.seconds / 60:.1f} minutes: {results.messages:,} messages. {met(found)}",
        "",
        *verdict_lines(found),
        "",
        "## All figures",
        "",
        "| queue | contender | messages/s | of pika's bare receive | whole process | loads | peak memory | growth |",
        "|---|---|---|---|---|---|---|---|",
        *(
            line_row(line, None if line.name == _PUBLISH else results.share(line.name, line.kind))
            for line in results.medians()
        ),
        "",
        *(f"Failed: {trouble}\n" for trouble in results.troubles),
        "## Method",
        "",
        METHOD,
        "## Machine and versions",
        "",
        *machine_lines(("penstock-elt", "duckdb", "pyarrow", "adbc-driver-postgresql", "psycopg", "pika")),
        f"- {_rabbitmq_version()}",
        "",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")


def _verdict(job: str, bar: str, rate: float | None, others: str, met: bool) -> Verdict:
    reached = "not measured" if rate is None else f"{rate:,.0f} messages/s"
    return Verdict(job=job, bar=bar, reached=reached, others=others, met=met)


def line_row(line: Line, share: float | None) -> str:
    """A contender's row in the table of all figures; ``share`` is its rate in that of pika's bare receive."""
    return row(
        line.kind,
        line.name,
        f"{line.rate:,.0f}",
        "" if share is None else f"{share:.2f}",
        "" if line.whole is None else f"{line.whole:,.0f}",
        "" if line.loads is None else str(line.loads),
        megabytes(line.peak_bytes) if line.peak_bytes else "",
        "" if line.growth is None else f"{line.growth / 1e6:+.0f} MB",
    )


def _rabbitmq_version() -> str:
    from penstock.testing.rabbitmq import server_scripts

    folder = next(iter(sorted((server_scripts().parent / "plugins").glob("rabbit-*"))), None)
    return "RabbitMQ" if folder is None else f"RabbitMQ {folder.name.removeprefix('rabbit-').removesuffix('.ez')}"
