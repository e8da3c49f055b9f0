"""The figures of ``penstock up`` that are read off its parts and off the ledger whenever somebody asks for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from penstock.lineage.emitter import counted
from penstock.runs.consume import Consumer
from penstock.sources.http import tally
from penstock.sources.http.standing import read_standing
from penstock.up.metrics import PREFIX

if TYPE_CHECKING:
    from penstock.project import Project
    from penstock.up.clocked import Clocked
    from penstock.up.figures import Figures, Values
    from penstock.up.keeping import Part
    from penstock.up.trigger import Trigger


def consumers_of(parts: Sequence[Part]) -> list[tuple[Part, Consumer]]:
    """The parts that consume, with what does so."""
    return [(part, part.job) for part in parts if isinstance(part.job, Consumer)]


def measure_parts(
    figures: Figures, project: Project, parts: Sequence[Part], schedules: Sequence[Clocked], trigger: Trigger | None
) -> None:
    """Have ``figures`` measure them."""
    measure = figures.measure

    def of_consumers(name: str, value: Callable[[Consumer], float]) -> None:
        measure(name, lambda: {(c.stream, c.source): float(value(c)) for _, c in consumers_of(parts)})

    figures.project(project)
    measure("lag_messages", lambda: _lag_messages(parts))
    measure("lag_seconds", lambda: _lag_seconds(parts))
    of_consumers("source_connected", lambda consumer: consumer.connected)
    of_consumers("reconnects_total", lambda consumer: consumer.reconnects)
    of_consumers("messages_received_total", lambda consumer: consumer.received)
    of_consumers("landing_blocked", lambda consumer: consumer.state == "blocked")
    measure("http_requests_total", lambda: {labels: float(n) for labels, n in tally.requests().items()})
    measure("http_retries_total", lambda: {(source,): float(n) for source, n in tally.retries().items()})
    measure("http_breaker_open", lambda: _breakers(project))
    measure("part_restarts_total", lambda: {(p.name,): float(p.restarts) for p in parts})
    measure("part_up", lambda: {(p.name,): float(p.condition == "running") for p in parts})
    measure(
        "scheduled_runs_total",
        lambda: {(j.name, s): float(n) for j in schedules for s, n in dict(j.runs).items()},
    )
    if trigger is not None:
        measure("transform_failures_total", lambda: {(): float(trigger.failures)})
        measure(
            "transform_last_success_timestamp_seconds",
            lambda: {} if trigger.succeeded_at is None else {(): trigger.succeeded_at},
        )
    measure("lineage_events_total", lambda: {(o,): float(n) for o, n in counted().items()})


def with_freshness(ledger: Mapping[str, Values]) -> Mapping[str, Values]:
    """What the ledger says, and how old models are by it; nothing where it says nothing."""
    if not ledger:
        return {}
    now = time.time()
    loaded = ledger[f"{PREFIX}model_loaded_timestamp_seconds"]
    freshness: Values = {(model,): max(0.0, now - at) for (_, model), at in loaded.items()}
    return {**ledger, f"{PREFIX}model_freshness_seconds": freshness}


def _breakers(project: Project) -> Values:
    hosts = read_standing(project.directory, project.sources)
    return {(h["source"], h["host"]): float(h["breaker"] == "open") for h in hosts}


def _lag_messages(parts: Sequence[Part]) -> Values:
    lags = {(c.stream, c.source): c.lag() for _, c in consumers_of(parts)}
    return {labels: float(lag) for labels, lag in lags.items() if lag is not None}


def _lag_seconds(parts: Sequence[Part]) -> Values:
    now = time.time()
    lags: dict[tuple[str, ...], float] = {}
    for part, consumer in consumers_of(parts):
        lag = consumer.lag()
        if lag is not None:
            since = consumer.last_commit_at or part.since.timestamp()
            lags[consumer.stream, consumer.source] = max(0.0, now - since) if lag else 0.0
    return lags
