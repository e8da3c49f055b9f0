"""A project with one stream that is fed by a queue."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.land.session import Session
from penstock.project import RabbitMQ, load_project
from penstock.runs.consume import Consumer
from tests.support.fixtures import ENGINES
from tests.support.warehouse import table

PROJECT = """
name: p
target: {target}
destinations:
  duckdb: {{ type: duckdb, path: warehouse.duckdb, threads: 1 }}
  postgres: {{ type: postgres, url: "{url}" }}
  spark: {{ type: spark, ledger: postgres, warehouse: lake }}
sources:
  queue: {{ type: rabbitmq, url: "{broker}", queue: {queue}, queue_type: {kind}{more} }}
streams:
  events: {{ from: queue{stream} }}
"""


def write_project(
    folder: Path,
    settings: RabbitMQ,
    broker: str,
    *,
    target: str = "duckdb",
    url: str = "",
    more: str = "",
    stream: str = "",
) -> Path:
    """A project whose one stream is fed by the queue."""
    folder.mkdir(parents=True, exist_ok=True)
    text = PROJECT.format(
        target=target,
        url=url or "postgresql://nowhere/none",
        broker=broker,
        queue=settings.queue,
        kind=settings.queue_type,
        more=f", {more}" if more else "",
        stream=f", {stream}" if stream else "",
    )
    (folder / "penstock.yml").write_text(text)
    return folder


def consumer(folder: Path, stream: str = "events", **said: Any) -> Consumer:
    """A consumer of the project's queue."""
    return Consumer(load_project(folder, environ={}), stream, "queue", **said)


def rows(folder: Path) -> list[dict[str, Any]]:
    """The raw table."""
    with Session(load_project(folder, environ={})) as session:
        return table(session.destination, "events")


def until(true: Callable[[], object], seconds: float = 60) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.fixture(params=ENGINES)
def warehouse(request: pytest.FixtureRequest) -> dict[str, str]:
    """Each kind of warehouse in turn, as arguments of :func:`write_project`."""
    url = request.getfixturevalue("postgres_url") if request.param != "duckdb" else ""
    return {"target": request.param, "url": url}
