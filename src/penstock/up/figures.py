"""What the parts of ``penstock up`` have done, counted for Prometheus in a registry of their own, and what the ledger
says, as figures. Which there are is in ``catalogue.py``."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from penstock.ledger import ledger_sql
from penstock.up.metrics import BY_NAME, PREFIX, MetricInfo
from penstock.version import __version__

if TYPE_CHECKING:
    from datetime import datetime

    from penstock.ports import Receipt, Rows
    from penstock.project import Project

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_COUNTS = {
    "records_read_total": "read",
    "records_landed_total": "landed",
    "records_duplicate_total": "duplicates",
    "records_quarantined_total": "quarantined",
    "read_bytes_total": "bytes",
}

# when a counter was made says nothing that process_start_time_seconds does not
disable_created_metrics()  # type: ignore[no-untyped-call]

Values = Mapping[tuple[str, ...], float]
"""The values of now, by their labels."""
Query = Callable[[str], "Rows"]


class Figures:
    """Counts commits and builds; the other figures are measured when somebody asks for them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._measured = _Measured()
        self._registry.register(self._measured)
        ProcessCollector(registry=self._registry)
        self._counters = {field: self._counter(name) for name, field in _COUNTS.items()}
        self._batch_seconds = self._histogram("batch_duration_seconds")
        self._transform_seconds = self._histogram("transform_duration_seconds")
        self._transform_rows = self._counter("transform_rows_total")

    def project(self, project: Project) -> None:
        """Say whose figures these are."""
        labels = (__version__, platform.python_version(), project.name, project.target)
        self.measure("build_info", lambda: {labels: 1.0})

    def stream(self, name: str) -> None:
        """Have a stream counted from zero."""
        for counter in self._counters.values():
            counter.labels(name)
        self._batch_seconds.labels(name)

    def committed(self, receipt: Receipt) -> None:
        """Count a commit."""
        for field, counter in self._counters.items():
            counter.labels(receipt.stream).inc(getattr(receipt, field))
        seconds = (receipt.committed_at - receipt.started_at).total_seconds()
        self._batch_seconds.labels(receipt.stream).observe(seconds)

    def built(self, seconds: float, rows: int = 0) -> None:
        """Count a build of models."""
        self._transform_seconds.observe(seconds)
        self._transform_rows.inc(rows)

    def measure(self, name: str, measure: Callable[[], Values]) -> None:
        """Add a figure of the catalogue that is measured when asked for."""
        info = BY_NAME[f"{PREFIX}{name}"]
        self._measured.add(lambda: {info.name: measure()})

    def measure_all(self, measure: Callable[[], Mapping[str, Values]]) -> None:
        """Add figures of the catalogue that are measured together; by their whole names."""
        self._measured.add(measure)

    def page(self) -> bytes:
        """All figures, in Prometheus' text format."""
        return generate_latest(self._registry)

    def _counter(self, name: str) -> Counter:
        info = BY_NAME[f"{PREFIX}{name}"]
        return Counter(info.name.removesuffix("_total"), info.help, info.labels, registry=self._registry)

    def _histogram(self, name: str) -> Histogram:
        info = BY_NAME[f"{PREFIX}{name}"]
        return Histogram(info.name, info.help, info.labels, buckets=_SECONDS, registry=self._registry)


class LedgerFigures:
    """What the ledger says, as figures. Asked again, it reads only what is new of loads and runs, of which there may be
    millions."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._seen = 0
        self._sums: dict[str, dict[str, float]] = {}
        self._last: dict[str, float] = {}
        self._runs: dict[str, tuple[int, str, datetime, datetime]] = {}
        self._good: dict[str, datetime] = {}

    def read(self, query: Query) -> dict[str, Values]:
        """The figures of now, by their whole names."""
        self._add_loads(query)
        figures: dict[str, dict[tuple[str, ...], float]] = {n: {} for n, m in BY_NAME.items() if m.origin == "ledger"}

        def put(name: str, label: str, value: Any, *more: str) -> None:
            if value is not None:
                figures[f"{PREFIX}{name}"][(self._project, label, *more)] = float(value)

        for stream, sums in self._sums.items():
            for name, number in sums.items():
                put(f"ledger_{name}_total", stream, number)
            put("last_commit_timestamp_seconds", stream, self._last[stream])
        for stream, reason, waiting, *_ in query(ledger_sql("status_quarantine")).rows:
            put("quarantine_records", stream, waiting, reason)
        for model, _, behind, _ in query(ledger_sql("status_models")).rows:
            put("model_loads_behind", model, behind)
        for model, loaded in query(ledger_sql("freshness")).rows:
            put("model_loaded_timestamp_seconds", model, loaded.timestamp())
        since = str(max((run_id for run_id, *_ in self._runs.values()), default=_RUNS_AT_ONCE) - _RUNS_AT_ONCE)
        for schedule, due, status, good in query(ledger_sql("metrics_schedules", since=since)).rows:
            self._good |= {schedule: good} if good is not None else {}
            put("schedule_next_timestamp_seconds", schedule, _stamp(due))
            put("schedule_last_success_timestamp_seconds", schedule, _stamp(self._good.get(schedule)))
            put("schedule_last_run_success", schedule, None if status is None else status == "success")
        self._runs |= {kind: tuple(run) for kind, *run in query(ledger_sql("metrics_runs", since=since)).rows}
        for kind, (_, status, started, ended) in self._runs.items():
            put("last_run_timestamp_seconds", kind, ended.timestamp())
            put("last_run_success", kind, status == "success")
            put("last_run_duration_seconds", kind, (ended - started).total_seconds())
        return dict(figures)

    def _add_loads(self, query: Query) -> None:
        for stream, seq, last, *numbers in query(ledger_sql("metrics_loads", seen=str(self._seen))).rows:
            sums = self._sums.setdefault(stream, dict.fromkeys(_SUMS, 0.0))
            for name, number in zip(_SUMS, numbers, strict=True):
                sums[name] += float(number)
            self._last[stream] = last.timestamp()
            self._seen = max(self._seen, int(seq))


_RUNS_AT_ONCE = 100_000
"""A run that ends after so many later ones have begun is not seen. ``penstock up`` begins a few a second at most."""
_SUMS = ("loads", "records_read", "records_landed", "records_duplicate", "records_quarantined")


def text_page(values: Mapping[str, Values]) -> bytes:
    """Figures by their whole names, in Prometheus' text format."""
    registry = CollectorRegistry()
    measured = _Measured()
    measured.add(lambda: values)
    registry.register(measured)
    return generate_latest(registry)


def _stamp(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


class _Measured:
    """A collector of figures that are measured when they are collected."""

    def __init__(self) -> None:
        self._measures: list[Callable[[], Mapping[str, Values]]] = []

    def add(self, measure: Callable[[], Mapping[str, Values]]) -> None:
        self._measures.append(measure)

    def describe(self) -> Iterator[Metric]:
        """Nothing is measured at registration."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Measure."""
        for measure in self._measures:
            for name, values in measure().items():
                yield _family(BY_NAME[name], values)


def _family(info: MetricInfo, values: Values) -> Metric:
    kind = CounterMetricFamily if info.type == "counter" else GaugeMetricFamily
    family = kind(info.name, info.help, labels=info.labels)
    for labels, value in values.items():
        family.add_metric(list(labels), value)
    return family
