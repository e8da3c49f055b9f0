"""``penstock up``, or its warehouse, killed under load: in the end each event is in its table and its models once."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from penstock.testing.postgres import PrivatePostgres
from tests.support.up import Up, a_project, an_event, eventually, send, up

EVENTS = 3_600
KILLS = 3
USERS = 200
COUNTS = (
    "select (select count(*) from raw.user_events where id like 'u%'),"
    " (select count(*) from dimensional.dim_user where user_id like 'u%' and is_current),"
    " (select cast(sum(events) as bigint) from reports.user_events_daily where organization_name = 'Piper')"
)


def _events() -> list[dict[str, str]]:
    """Events of some users, each at a moment of its own, in no order."""
    events = [
        an_event(f"u{n % USERS}", "User Updated", f"2025-05-{1 + n % 28:02}T10:{n // 60 % 60:02}:{n % 60:02}.{n:04}",
                 username=f"name {n}", organization_name="Piper")
        for n in range(EVENTS)
    ]  # fmt: skip
    return random.Random(5).sample(events, len(events))


def _ready(process: Up) -> None:
    eventually(lambda: process.get("/readyz")[0], 200)


def _right(process: Up) -> None:
    eventually(lambda: process.query(COUNTS), [[EVENTS, USERS, EVENTS]])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_up_is_killed(kind: str, tmp_path: Path, rabbitmq_url: str, request: pytest.FixtureRequest) -> None:
    """SIGKILL at random moments, with messages in flight and models half built; each start goes on."""
    warehouse = {"type": "duckdb", "path": "warehouse.duckdb"}
    if kind == "postgres":
        warehouse = {"type": "postgres", "url": request.getfixturevalue("postgres_url")}
    project = a_project(tmp_path, warehouse, rabbitmq_url)
    chance = random.Random(11)
    events = _events()
    for _ in range(KILLS):
        (project / ".penstock" / "up.json").unlink(missing_ok=True)
        process = Up(project)
        _ready(process)
        for _ in range(4):
            send(project, [events.pop() for _ in range(EVENTS // KILLS // 4)])
            time.sleep(chance.uniform(0, 0.8))
        process.process.kill()
        assert process.process.wait(30) == -signal.SIGKILL
    assert not events
    (project / ".penstock" / "up.json").unlink()
    with up(project) as process:
        _right(process)
        assert process.end() == 0


@pytest.mark.slow
def test_the_warehouse_is_killed(tmp_path: Path, rabbitmq_url: str) -> None:
    """PostgreSQL dies under load, twice: what is in hand waits, the models that were at work are built again."""
    with PrivatePostgres(durable=True) as server:
        project = a_project(tmp_path, {"type": "postgres", "url": server.url}, rabbitmq_url)
        chance = random.Random(12)
        events = _events()
        with up(project) as process:
            _ready(process)
            for _ in range(2):
                for _ in range(4):
                    send(project, [events.pop() for _ in range(EVENTS // 8)])
                    time.sleep(chance.uniform(0, 0.5))
                server.kill()
                time.sleep(1)
                server.start()
            _right(process)
            assert process.process.poll() is None
            assert process.end() == 0
