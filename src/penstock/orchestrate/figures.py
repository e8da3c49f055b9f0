"""What the parts of ``penstock up`` have done, counted for Prometheus in a registry of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

if TYPE_CHECKING:
    from penstock.ports import Receipt

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_COUNTS = (
    ("read", "Records read."),
    ("landed", "Records landed."),
    ("duplicates", "Records that had landed before."),
    ("quarantined", "Records that went to quarantine."),
)

Measure = Callable[[], Mapping[tuple[str, ...], float]]
"""Gives the values of now, by their labels."""


class Figures:
    """Counts commits and builds; the other figures are measured when somebody asks for them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._measured = _Measured()
        self._registry.register(self._measured)
        self._counters = {
            name: Counter(f"penstock_{name}", text, ["stream"], registry=self._registry) for name, text in _COUNTS
        }
        self._batch_seconds = Histogram(
            "penstock_batch_seconds",
            "From a landing's start to its commit.",
            ["stream"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._transform_seconds = Histogram(
            "penstock_transform_seconds", "Builds of models.", buckets=_SECONDS, registry=self._registry
        )

    def stream(self, name: str) -> None:
        """Have a stream counted from zero."""
        for counter in self._counters.values():
            counter.labels(name)
        self._batch_seconds.labels(name)

    def committed(self, receipt: Receipt) -> None:
        """Count a commit."""
        for name, counter in self._counters.items():
            counter.labels(receipt.stream).inc(getattr(receipt, name))
        seconds = (receipt.committed_at - receipt.started_at).total_seconds()
        self._batch_seconds.labels(receipt.stream).observe(seconds)

    def built(self, seconds: float) -> None:
        """Count a build of models."""
        self._transform_seconds.observe(seconds)

    def measure(self, name: str, text: str, labels: Sequence[str], measure: Measure, *, counter: bool = False) -> None:
        """Add a figure that is measured when asked for."""
        self._measured.add((name, text, tuple(labels), measure, counter))

    def page(self) -> bytes:
        """All figures, in Prometheus' text format."""
        return generate_latest(self._registry)


class _Measured:
    """A collector of figures that are measured when they are collected."""

    def __init__(self) -> None:
        self._figures: list[tuple[str, str, tuple[str, ...], Measure, bool]] = []

    def add(self, figure: tuple[str, str, tuple[str, ...], Measure, bool]) -> None:
        self._figures.append(figure)

    def describe(self) -> Iterator[Metric]:
        """Nothing is measured at registration."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Measure."""
        for name, text, labels, measure, counter in self._figures:
            kind = CounterMetricFamily if counter else GaugeMetricFamily
            family = kind(f"penstock_{name}", text, labels=labels)
            for values, figure in measure().items():
                family.add_metric(list(values), figure)
            yield family
