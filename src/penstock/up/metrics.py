"""Every metric that Penstock has, in one table: the code counts by it, and the reference page is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]
Origin = Literal["process", "ledger"]

PREFIX = "penstock_"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricInfo:
    """One metric.

    ``name`` is as Prometheus has it, a counter's with ``_total``. What comes from the ``process`` counts since
    ``penstock up`` started, and only its ``/metrics`` has it; what comes from the ``ledger`` is also printed by
    ``penstock metrics``.
    """

    name: str
    type: Kind
    labels: tuple[str, ...]
    help: str
    origin: Origin = "process"


def _process(name: str, type: Kind, labels: str, help: str) -> MetricInfo:
    return MetricInfo(name=f"{PREFIX}{name}", type=type, labels=tuple(labels.split()), help=help)


def _ledger(name: str, type: Kind, labels: str, help: str) -> MetricInfo:
    """All of them say which project they are of: several may leave theirs in one folder."""
    return MetricInfo(
        name=f"{PREFIX}{name}", type=type, labels=("project", *labels.split()), help=help, origin="ledger"
    )


_METRICS = (
    _process("build_info", "gauge", "version python project target", "1; the labels say what runs."),
    _process("records_read_total", "counter", "stream", "Records read."),
    _process("records_landed_total", "counter", "stream", "Records landed."),
    _process("records_duplicate_total", "counter", "stream", "Records that had landed before."),
    _process("records_quarantined_total", "counter", "stream", "Records that went to quarantine."),
    _process("read_bytes_total", "counter", "stream", "Bytes that were taken from sources."),
    _process("batch_duration_seconds", "histogram", "stream", "From a landing's start to its commit."),
    _process(
        "lag_messages",
        "gauge",
        "stream source",
        "Messages that have not landed: those that wait in the queue, and those received and not acknowledged.",
    ),
    _process(
        "lag_seconds",
        "gauge",
        "stream source",
        "Since the last commit, while there are such messages; else 0. None while the broker is away.",
    ),
    _process(
        "landing_blocked",
        "gauge",
        "stream source",
        "Whether what comes by the queue cannot land until somebody mends something.",
    ),
    _process("source_connected", "gauge", "stream source", "Whether the broker is connected."),
    _process("reconnects_total", "counter", "stream source", "Times the connection to the broker was made again."),
    _process("messages_received_total", "counter", "stream source", "Messages received, also those that came again."),
    _process("http_requests_total", "counter", "source outcome", "Requests to APIs: answered, refused or broken off."),
    _process("http_retries_total", "counter", "source", "Requests to APIs that were sent again."),
    _process("http_breaker_open", "gauge", "source host", "Whether a host that fails is left alone for a while."),
    _process("model_freshness_seconds", "gauge", "model", "Since the last load that the model holds."),
    _process("transform_duration_seconds", "histogram", "", "Builds of models that went well."),
    _process("transform_failures_total", "counter", "", "Builds that failed."),
    _process("transform_rows_total", "counter", "", "Rows that builds wrote, where the warehouse says so."),
    _process("transform_last_success_timestamp_seconds", "gauge", "", "When models were last found or made new."),
    _process("scheduled_runs_total", "counter", "schedule status", "Runs of a schedule, by how they ended."),
    _process("part_up", "gauge", "part", "Whether a part runs, and does its work."),
    _process("part_restarts_total", "counter", "part", "Times a part was started again."),
    _process(
        "expectation_ok",
        "gauge",
        "stream expectation",
        "1 for an expectation that is as it should be, 0 for one that is not; none while it cannot be told.",
    ),
    _process("lineage_events_total", "counter", "outcome", "Lineage events: sent, failed, or dropped unsent."),
    _ledger("ledger_loads_total", "counter", "stream", "Loads of all time."),
    _ledger("ledger_records_read_total", "counter", "stream", "Records read, of all time."),
    _ledger("ledger_records_landed_total", "counter", "stream", "Records landed, of all time."),
    _ledger("ledger_records_duplicate_total", "counter", "stream", "Records that had landed before, of all time."),
    _ledger("ledger_records_quarantined_total", "counter", "stream", "Records that went to quarantine, of all time."),
    _ledger("last_commit_timestamp_seconds", "gauge", "stream", "When a load of the stream was last committed."),
    _ledger("quarantine_records", "gauge", "stream reason", "Records in quarantine, neither replayed nor dropped."),
    _ledger("model_loads_behind", "gauge", "model", "Loads that the model has not taken in."),
    _ledger("model_loaded_timestamp_seconds", "gauge", "model", "When the last load that it holds was committed."),
    _ledger("schedule_last_success_timestamp_seconds", "gauge", "schedule", "When a run last ended well."),
    _ledger("schedule_last_run_success", "gauge", "schedule", "Whether the last run ended well."),
    _ledger("schedule_next_timestamp_seconds", "gauge", "schedule", "When it is due next."),
    _ledger("last_run_timestamp_seconds", "gauge", "kind", "When the last run of a kind ended."),
    _ledger("last_run_success", "gauge", "kind", "Whether the last run of a kind ended well."),
    _ledger("last_run_duration_seconds", "gauge", "kind", "How long the last run of a kind took."),
)
BY_NAME: Mapping[str, MetricInfo] = {metric.name: metric for metric in _METRICS}


def metric_catalogue() -> list[MetricInfo]:
    """All metrics, in the order in which pages show them."""
    return list(_METRICS)
