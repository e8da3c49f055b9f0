"""Law 4 by queue: in whatever order events are published and however batches fall, the models come out the same."""

from __future__ import annotations

import json
import random
import shutil
import threading
import time
from pathlib import Path

import pytest

from penstock import Session, load_project
from penstock.land.loop import Stop
from penstock.project import Project
from penstock.project.steps import LoadStep
from penstock.runs.consume import Consumer
from penstock.transform.perform import Transformer
from penstock.up.trigger import Trigger
from tests.dbt.stories import lives
from tests.support.example import EXAMPLE, LAYERS, without_tests
from tests.support.queues import a_queue, publish, until

FEW, MANY = 40, 160
"""Users of a round. Each of them has an order of events of its own, so that one round of many users says as much as
four of few, and builds the models once."""
ORGANIZATIONS = LoadStep(stream="organizations", source="organization_files")
NEWEST = "select max(seq) from penstock.loads where landed > 0 or deleted > 0"
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


_expected: dict[tuple[str, int], dict[str, list[str]]] = {}
"""By target and number of users: it is the same for all rounds."""


def _bodies(users: int) -> list[bytes]:
    return [json.dumps(e, default=str).encode() for e in lives(seed=7, users=users)]


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
    session.destination.prepare()


class Orders:
    """The example, fed by a queue, and what its models hold after one load of all events from a file."""

    def __init__(self, folder: Path, target: str, users: int, postgres_url: str, rabbitmq_url: str) -> None:
        self.queue = a_queue(rabbitmq_url, "classic")
        self.bodies = _bodies(users)
        self._folder = folder
        self._said = {"target": target, "url": postgres_url, "broker": rabbitmq_url, "queue": self.queue.queue}
        shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".penstock", "*.duckdb*", "target", "logs"))
        shutil.rmtree(folder / "data" / "user_events")
        without_tests(folder)  # what they say is compared as a whole
        (folder / "data" / "user_events").mkdir()
        (folder / "data" / "user_events" / "all.ndjson").write_bytes(b"\n".join(self.bodies))
        if (target, users) not in _expected:
            with Session(self.project("event_files", 1)) as session:
                session.load(ORGANIZATIONS)
                session.load(LoadStep(stream="user_events", source="event_files"))
                Transformer(session).run()
                _expected[target, users] = _content(session)
                _empty(session)
                session.release()
        self.expected = _expected[target, users]
        assert all(self.expected.values())

    def project(self, source: str, batch: int) -> Project:
        """The project, its events from a source, in batches of so many messages."""
        (self._folder / "penstock.yml").write_text(PROJECT.format(**self._said, source=source, batch=batch))
        return load_project(self._folder, environ={})


@pytest.fixture
def orders(rabbitmq_url: str, postgres_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Orders:
    """On a kind of warehouse, of so many users."""
    target, users = request.param
    return Orders(tmp_path / "project", target, users, postgres_url, rabbitmq_url)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("orders", "seeds"),
    [
        pytest.param(("local", FEW), range(1), marks=pytest.mark.slow),
        pytest.param(("local", MANY), range(1, 6), marks=pytest.mark.slow),
        pytest.param(("production", MANY), range(2), marks=pytest.mark.slow),
    ],
    indirect=["orders"],
)
def test_orders_and_splits_by_queue(orders: Orders, seeds: range) -> None:
    """Random orders and splits, models built in between at random, equal one load of a file."""
    for seed in seeds:
        chance = random.Random(seed)
        with Session(orders.project("event_queue", chance.randint(1, 60))) as session:
            transformer = Transformer(session)
            shuffled = chance.sample(orders.bodies, len(orders.bodies))
            cut = chance.randrange(1, len(shuffled))
            for number, part in enumerate((shuffled[:cut], shuffled[cut:])):
                publish(orders.queue, part)
                session.release()
                Consumer(session.project, "user_events", "event_queue", until_empty=True).run()
                session.load(ORGANIZATIONS)
                if number or chance.random() < 0.7:
                    transformer.run()
            transformer.run()
            assert _content(session) == orders.expected, f"seed {seed}"
            _empty(session)


@pytest.mark.slow
@pytest.mark.parametrize("orders", [("local", MANY), ("production", MANY)], indirect=True)
def test_orders_and_splits_with_the_trigger(orders: Orders) -> None:
    """The same while the trigger builds whenever something has landed, in a thread of its own."""
    chance = random.Random(100)
    shuffled = chance.sample(orders.bodies, len(orders.bodies))
    project, stop = orders.project("event_queue", chance.randint(1, 30)), Stop()
    trigger = Trigger(project, stop=stop)
    consumer = Consumer(project, "user_events", "event_queue", stop=stop, on_commit=trigger.landed)
    with Session(project) as session:
        for receipt in session.load(ORGANIZATIONS).receipts:
            trigger.landed(receipt)
        threads = [threading.Thread(target=run, daemon=True) for run in (consumer.run, trigger.run)]
        for thread in threads:
            thread.start()
        while shuffled:
            publish(orders.queue, [shuffled.pop() for _ in range(min(len(shuffled), chance.randint(1, 60)))])
            time.sleep(chance.uniform(0, 0.6))
        until(lambda: consumer.read == len(orders.bodies), lambda: consumer.last_error)
        newest = session.destination.query(NEWEST).rows[0][0]
        until(lambda: trigger.upper_seq == newest, lambda: trigger.last_error)
        stop.set()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        assert trigger.builds > 1
        assert _content(session) == orders.expected
