"""The judge of lineage events finds what is wrong with one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from openlineage.client.serde import Serde

from penstock.lineage.events import run_event
from penstock.lineage.facts import Dataset, Event, Field, Run
from tests.support.lineage import judge

RUN = Run(id="01a1fedc-3b71-759c-99fa-9aaf1d803828", namespace="penstock", job="p.load.s.f")


def an_event(kind: Any = "START") -> dict[str, Any]:
    """A whole one."""
    read = Dataset(namespace="file", name="/data", uri="file:///data", columns=[("a", "")])
    made_of = {"a": [Field(namespace="file", dataset="/data", name="a")]}
    written = Dataset(
        namespace="duckdb:///w", name="w.raw.s", uri="duckdb:///w", columns=[("a", "text")], made_of=made_of, rows=3,
        bytes=9,
    )  # fmt: skip
    at = datetime(2026, 5, 1, tzinfo=UTC)
    event = Event(
        kind=kind, at=at, run=RUN, what="LOAD", parent=RUN, inputs=[read], outputs=[written], nominal=(at, at)
    )
    return Serde.to_dict(run_event(event))


def test_right() -> None:
    """What is written is right, with every facet."""
    judge([an_event(), an_event("COMPLETE")])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda e: e.pop("job"),
        lambda e: e.pop("producer"),
        lambda e: e.update(eventType="STARTED"),
        lambda e: e.update(eventTime="2026-05-01 00:00:00"),
        lambda e: e["run"].update(runId="7"),
        lambda e: e["run"]["facets"]["parent"].pop("job"),
        lambda e: e["run"]["facets"]["parent"].update(_schemaURL="https://example.com/Facet.json"),
        lambda e: e["run"]["facets"]["parent"].pop("_producer"),
        lambda e: e["outputs"][0]["outputFacets"]["outputStatistics"].update(rowCount="3"),
        lambda e: e["outputs"][0]["facets"]["columnLineage"]["fields"]["a"].pop("inputFields"),
        lambda e: e["outputs"][0]["facets"].update(extra={}),
        lambda e: e["inputs"][0]["facets"]["schema"]["fields"][0].pop("name"),
        lambda e: e["inputs"][0].update(colour="red"),
    ],
)
def test_wrong(spoil: Callable[[dict[str, Any]], object]) -> None:
    """An event that lacks what it must have, or has what it must not, is found."""
    event = copy.deepcopy(an_event())
    spoil(event)
    with pytest.raises((AssertionError, ValueError)):
        judge([event], ended=False)


def test_order() -> None:
    """So is a run that never began, or ends twice, or has not ended."""
    start, end = an_event(), an_event("COMPLETE")
    for events in ([end], [start, end, end], [start, start, end], [start]):
        with pytest.raises(AssertionError):
            judge(events)
