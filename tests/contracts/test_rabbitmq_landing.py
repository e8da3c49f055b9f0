"""A queue landed by the loop that lands files: commit first, then acknowledge."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from penstock.land.loop import Stop, load
from penstock.land.session import Session
from penstock.project import RabbitMQ, load_project
from penstock.runs.plan import plan_loads
from penstock.sources.kinds import Until, consume_source
from tests.support.queues import a_queue, numbered, publish, waiting


def project_of(folder: Path, settings: RabbitMQ, url: str) -> Session:
    """A project with one stream, fed by the queue."""
    kind = settings.queue_type
    (folder / "penstock.yml").write_text(
        "name: p\ndestinations: {local: {type: duckdb, path: w.duckdb}}\n"
        f"sources: {{q: {{type: rabbitmq, url: '{url}', queue: {settings.queue}, queue_type: {kind}}}}}\n"
        "streams: {events: {from: q}}\n"
    )
    return Session(load_project(folder, environ={}))


@pytest.mark.parametrize("kind", ["classic", "quorum", "stream"])
def test_a_queue_is_landed_and_acknowledged(rabbitmq_url: str, tmp_path: Path, kind: str) -> None:
    """All land once, rejects are in quarantine, and the queue is empty; a stream is not read again.

    The ledger keeps how far a stream was read. Of a queue it keeps nothing: what a broker wants back is no position.
    """
    assert urlsplit(rabbitmq_url).scheme == "amqp"
    settings = a_queue(rabbitmq_url, kind)
    publish(settings, [*numbered(0, 500), *numbered(0, 5)])
    publish(settings, [b"none"], content_encoding="gzip")
    with project_of(tmp_path, settings, rabbitmq_url) as session:
        (step,) = plan_loads(session.project)
        totals = []
        for _ in range(2):
            with consume_source(session.project, step, Until(empty=True)) as source:
                landed = load(
                    source,
                    session.destination,
                    session.shapers("events"),
                    step.target(session.project),
                    commit_bytes=1,
                    stop=Stop(),
                )
            totals.append([landed.total(n) for n in ("read", "landed", "duplicates", "quarantined")])
        assert totals == [[506, 500, 5, 1], [0, 0, 0, 0]]
        rows = session.destination.query("select count(*), min(_pen_origin) from raw.events").rows
        place = "stream" if kind == "stream" else "queue"
        kept = session.destination.ledger.positions("events", "q")
        assert kept == ({f"stream {settings.queue}": {"offset": 505}} if kind == "stream" else {})
        assert rows[0][0] == 500
        assert rows[0][1].startswith(f"{place} {settings.queue}")
    assert kind == "stream" or waiting(settings) == 0


def test_a_stop_ends_a_queue_that_is_quiet(rabbitmq_url: str, tmp_path: Path) -> None:
    """The loop looks at its stop while nothing comes."""
    settings = a_queue(rabbitmq_url)
    publish(settings, numbered(0, 5))
    with project_of(tmp_path, settings, rabbitmq_url) as session:
        (step,) = plan_loads(session.project)
        stop = Stop()
        with consume_source(session.project, step, Until()) as source:
            landed = load(
                source,
                session.destination,
                session.shapers("events"),
                step.target(session.project),
                commit_bytes=1,
                stop=stop,
                progress=lambda _: stop.set(),
            )
        assert landed.stopped
        assert landed.total("landed") == 5
    assert waiting(settings) == 0
