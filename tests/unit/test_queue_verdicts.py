"""What is told of a run of the queues' benchmark: a bar is met by what was measured, and by nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import provenance
from benchmarks.queue_fresh import Fresh
from benchmarks.queue_report import CONSUME, PIKA, Line, Results, verdicts

KINDS = ("classic", "quorum")
PUBLISH, SCRIPT = "penstock publish, confirmed", "the script people write"
AMQP, STREAM = "stream by AMQP", "stream protocol"


def run() -> Results:
    """One that meets each bar by little: 20,000 messages a second of 20,000, in each of three rounds."""
    measured = provenance.Provenance(date="2026-01-01", commit=None, changed=False, digest="0" * 64)
    results = Results(messages=100_000, measured=measured)
    for kind in KINDS:
        for rate in (20_000, 30_000, 16_000):
            results.lines += [Line(CONSUME, kind, rate, peak_bytes=299_000_000), Line(PIKA, kind, rate)]
        results.lines.append(Line(PUBLISH, kind, 15_000))
    results.lines += [Line(SCRIPT, "classic", 2_000), Line(CONSUME, AMQP, 50_000)]
    results.lines.append(Line(CONSUME, STREAM, 100_000, peak_bytes=299_000_000, growth=19e6))
    results.fresh = {kind: Fresh([0.79] * 30) for kind in ("postgres", "duckdb")}
    return results


def missed(results: Results) -> set[str]:
    """The jobs and bars that are not met."""
    return {f"{verdict.job}: {verdict.bar}" for verdict in verdicts(results) if not verdict.met}


def test_what_is_reached_is_met() -> None:
    """All bars, by a run that is just there."""
    assert missed(run()) == set()


@pytest.mark.parametrize("name", [CONSUME, PIKA, PUBLISH, SCRIPT])
def test_what_was_not_measured_is_not_met(name: str) -> None:
    """Each bar that needs a contender is told of without it too, as missed."""
    results = run()
    told = {(verdict.job, verdict.bar) for verdict in verdicts(results)}
    results.lines = [line for line in results.lines if line.name != name]
    assert {(verdict.job, verdict.bar) for verdict in verdicts(results)} == told
    assert missed(results)


@pytest.mark.parametrize(
    ("name", "kind", "factor", "bar"),
    [
        (CONSUME, "classic", 0.79, "classic queue to PostgreSQL, deduplicated, durable, acknowledged: 0.8 of pika's"),
        (CONSUME, "quorum", 0.99, "quorum queue to PostgreSQL, deduplicated, durable, acknowledged: 1 of pika's"),
        (CONSUME, STREAM, 0.99, "stream protocol to PostgreSQL: 100,000"),
        (PUBLISH, "classic", 0.99, "publish to a classic queue with confirms: 15,000"),
        (SCRIPT, "classic", 1.01, "classic queue to PostgreSQL, deduplicated, durable, acknowledged: 10 times"),
    ],
)
def test_just_below_is_missed(name: str, kind: str, factor: float, bar: str) -> None:
    """A contender that is a little slower, or faster, than the bar allows."""
    results = run()
    results.lines = [
        replace(line, rate=line.rate * factor) if (line.name, line.kind) == (name, kind) else line
        for line in results.lines
    ]
    assert any(each.startswith(bar) for each in missed(results))


def test_rounds_are_compared_in_themselves() -> None:
    """A machine that was slow in one round was slow for both: the share is the median of the rounds' own."""
    results = run()
    results.lines = [line for line in results.lines if line.kind != "classic"]
    for mine, bare in ((9_000, 10_000), (90_000, 100_000), (10_000, 40_000)):
        results.lines += [Line(PIKA, "classic", bare), Line(CONSUME, "classic", mine)]
    assert results.share(CONSUME, "classic") == pytest.approx(0.9)


@pytest.mark.parametrize("seconds", [[0.81] * 30, [0.5] * 27 + [1.4] * 3])
def test_late_events_are_missed(seconds: list[float]) -> None:
    """By the median, or by one in twenty."""
    results = run()
    results.fresh["duckdb"] = Fresh(seconds)
    assert any("duckdb" in each for each in missed(results))


@pytest.mark.parametrize(("peak_bytes", "growth"), [(300_000_000, 19e6), (299_000_000, 20e6), (299_000_000, None)])
def test_memory_is_small_and_flat(peak_bytes: int, growth: float | None) -> None:
    """The largest consumer counts, and growth has to have been measured."""
    results = run()
    results.lines = [
        replace(line, peak_bytes=peak_bytes, growth=growth) if line.kind == STREAM else line for line in results.lines
    ]
    assert missed(results) == {"memory of the consumer: under 300 MB, flat"}
