"""What was measured, and how it is told: figures of each contender, and the bars they are held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

PENSTOCK = "Penstock"


@dataclass(slots=True)
class Figure:
    """One contender at one job: the wall and CPU seconds of each run, and the largest peak memory of them.

    ``cpu_seconds`` are those of the process and its children, ``server_cpu_seconds`` those of the database server.
    """

    job: str
    contender: str
    rows: int = 0
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    server_cpu_seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    trouble: str = ""

    @property
    def median(self) -> float:
        """Median seconds."""
        return median(self.seconds)

    @property
    def whole_cpu_seconds(self) -> list[float]:
        """CPU seconds of each run, those of the server too."""
        served = self.server_cpu_seconds or [0.0] * len(self.cpu_seconds)
        return [own + server for own, server in zip(self.cpu_seconds, served, strict=True)]

    @property
    def rows_per_second(self) -> float:
        """Rows of the input by the median."""
        return self.rows / self.median

    def faster_than(self, other: Figure) -> float:
        """How many times as fast: the median over the rounds in which both ran, each round compared in itself."""
        return median(theirs / mine for mine, theirs in zip(self.seconds, other.seconds, strict=False))

    def cheaper_than(self, other: Figure) -> float:
        """How many times less CPU its process took, likewise; a server's is not in it."""
        return median(theirs / mine for mine, theirs in zip(self.cpu_seconds, other.cpu_seconds, strict=False))

    def clear(self) -> None:
        """Forget all runs."""
        for measured in (self.seconds, self.cpu_seconds, self.server_cpu_seconds):
            measured.clear()

    def beyond(self, other: Figure) -> float:
        """How many seconds more: the median over the rounds."""
        return median(mine - theirs for mine, theirs in zip(self.seconds, other.seconds, strict=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A bar, what Penstock reached, what others did, and whether the bar is met; None where there is no bar."""

    job: str
    bar: str
    reached: str
    others: str
    met: bool | None


@dataclass(slots=True)
class Results:
    """All that one run found."""

    figures: list[Figure] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)

    def figure(self, job: str, contender: str, rows: int = 0) -> Figure:
        """The figure of a contender at a job, made at its first use."""
        for known in self.figures:
            if (known.job, known.contender) == (job, contender):
                return known
        self.figures.append(Figure(job, contender, rows))
        return self.figures[-1]

    def at(self, job: str) -> dict[str, Figure]:
        """The contenders that finished a job."""
        return {f.contender: f for f in self.figures if f.job == job and f.seconds}

    def troubles(self, job: str) -> str:
        """Why contenders have no result."""
        return "; ".join(f"{f.contender}: {f.trouble}" for f in self.figures if f.job == job and f.trouble)

    def judge(self, job: str, bar: str, reached: str, others: str, met: bool | None) -> None:
        """Note a verdict."""
        self.verdicts.append(Verdict(job=job, bar=bar, reached=reached, others=others, met=met))

    def unmeasured(self, job: str, bar: str, why: str) -> None:
        """Note a bar that Penstock failed to be measured against: a miss."""
        self.judge(job, bar, f"failed: {shortened(why)}", "", False)


def met(verdicts: Sequence[Verdict]) -> str:
    """``6 of 8 bars are met.``"""
    return f"{sum(v.met is True for v in verdicts)} of {sum(v.met is not None for v in verdicts)} bars are met."


def shortened(text: str) -> str:
    """A long error on one line: how it starts, and how it ends, which is where the cause stands."""
    line = " ".join(text.split())
    return line if len(line) <= 400 else f"{line[:100]} … {line[-300:]}"


def rate(figure: Figure) -> str:
    """``213 k rows/s``."""
    return f"{figure.rows_per_second / 1000:,.0f} k rows/s"


def middle(seconds: Sequence[float]) -> str:
    """The median, ``2.03``; empty when nothing was measured."""
    return f"{median(seconds):.2f}" if seconds else ""


def others_by_rate(mine: Figure, others: Sequence[Figure]) -> str:
    """The others, the fastest first, with how many times as fast Penstock is."""
    ordered = sorted(others, key=lambda f: f.median)
    return "; ".join(f"{f.contender} {rate(f)} ({mine.faster_than(f):.2f}×)" for f in ordered)


def megabytes(size: int) -> str:
    """``412 MB``, in units of 10^6 bytes."""
    return f"{size / 1e6:,.0f} MB"
