"""Law 4 by queue: in whatever order events are published and however batches fall, the models come out the same."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from penstock import Session, load_project
from penstock.consume import Consumer
from penstock.transform.transform import Transformer
from tests.dbt.stories import lives
from tests.end_to_end.test_example import EXAMPLE, LAYERS
from tests.queues import a_queue, publish

ORDERS = 20
MODELS = ("historical.user_event", "snapshots.user_snapshot", "dimensional.dim_user", "dimensional.fct_user_daily")
REPORTS = ("reports.user_events_daily", "reports.events_by_date", "reports.events_by_organization")
PROJECT = """
name: user_events
target: {target}
destinations:
  local: {{ type: duckdb, path: warehouse.duckdb }}
  production: {{ type: postgres, url: "{url}" }}
sources:
  event_queue: {{ type: rabbitmq, url: "{broker}", queue: {queue}, queue_type: classic, batch_messages: {batch} }}
  event_files: {{ type: files, path: data/user_events }}
  organization_files: {{ type: files, path: data/organizations }}
streams:
  user_events:
    from: {source}
    event_time: received_at
    columns: {{ received_at: timestamp, plan_name: text, organization_name: text, user_type: text, username: text }}
  organizations:
    from: organization_files
    identity: [organization_key]
    disposition: merge
    version: created_at
    columns: {{ organization_key: text, created_at: timestamp }}
"""


def _bodies(seed: int) -> list[bytes]:
    return [json.dumps(e, default=str).encode() for e in lives(seed=seed, users=40)]


def _content(session: Session) -> dict[str, list[str]]:
    """Rows of the models as text, in one order."""
    found = {}
    for name in (*MODELS, *REPORTS):
        answer = session.destination.query(f"select * from {name}")
        kept = [i for i, c in enumerate(answer.columns) if not c.startswith("_pen_")]
        found[name] = sorted(repr([str(row[i]) for i in kept]) for row in answer.rows)
    return found


def _empty(session: Session) -> None:
    for schema in (*LAYERS, "penstock"):
        session.destination.query(f"drop schema if exists {schema} cascade")
    session.release()


@pytest.mark.parametrize("target", ["local", "production"])
def test_orders_and_splits_by_queue(rabbitmq_url: str, postgres_url: str, tmp_path: Path, target: str) -> None:
    """Twenty random orders and splits, models built in between at random, equal one load of a file."""
    folder = tmp_path / "project"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".penstock", "*.duckdb*", "target", "logs"))
    shutil.rmtree(folder / "data" / "user_events")
    (folder / "data" / "user_events").mkdir()
    bodies = _bodies(7)
    (folder / "data" / "user_events" / "all.ndjson").write_bytes(b"\n".join(bodies))
    settings = a_queue(rabbitmq_url, "classic")

    def project(source: str, batch: int) -> Any:
        text = PROJECT.format(
            target=target, url=postgres_url, broker=rabbitmq_url, queue=settings.queue, batch=batch, source=source
        )
        (folder / "penstock.yml").write_text(text)
        return load_project(folder, environ={})

    from penstock.plan import LoadStep

    with Session(project("event_files", 1)) as session:
        session.load(LoadStep(stream="organizations", source="organization_files"))
        session.load(LoadStep(stream="user_events", source="event_files"))
        Transformer(session).run()
        expected = _content(session)
        _empty(session)
    assert all(expected.values())
    for seed in range(ORDERS if target == "local" else ORDERS // 4):
        chance = random.Random(seed)
        shuffled = chance.sample(bodies, len(bodies))
        with Session(project("event_queue", chance.randint(1, 60))) as session:
            cut = chance.randrange(1, len(shuffled))
            transformer = Transformer(session)
            for number, part in enumerate((shuffled[:cut], shuffled[cut:])):
                publish(settings, part)
                session.release()
                Consumer(session.project, "user_events", "event_queue", until_empty=True).run()
                session.load(LoadStep(stream="organizations", source="organization_files"))
                if number or chance.random() < 0.7:
                    transformer.run()
            transformer.run()
            assert _content(session) == expected, f"seed {seed}"
            _empty(session)
