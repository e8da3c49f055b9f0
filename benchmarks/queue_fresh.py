"""How long after an event was published the models show it, with ``penstock up`` on either engine."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any, cast

import pika
import psycopg

from benchmarks import inputs
from benchmarks.process import ChildFailed, run
from benchmarks.projects import write_project
from benchmarks.warehouses import DuckDBFile, Warehouse
from penstock import load_project
from penstock.project import RabbitMQ
from penstock.publish.publisher import Message, Publisher, Route
from penstock.sources.rabbitmq.amqp import connected, declare_topology
from penstock.up.running_process import Running, running_process

EVENTS = 100_000
RATE = 1_000
SECONDS = 60
WARM_SECONDS = 10
MARK_EVERY = 500
_PATIENCE_SECONDS = 60
_POLL_SECONDS = 0.1
_TIME = "%Y-%m-%d %H:%M:%S.%f"


@dataclass(frozen=True, slots=True)
class Fresh:
    """Seconds from published to visible, of one event in :data:`MARK_EVERY`."""

    seconds: list[float] = field(default_factory=list)

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.seconds)

    @property
    def late(self) -> float:
        """The 95th percentile."""
        return quantiles(self.seconds, n=20)[-1]


def measure(folder: Path, warehouse: Warehouse, settings: RabbitMQ) -> Fresh:
    """Land events and build the models, start ``penstock up``, publish, and look for the marked events.

    PostgreSQL is asked by itself; a DuckDB file belongs to the process that is up, which answers for it.
    """
    warehouse.fresh()
    events = inputs.user_events(EVENTS)
    users = sorted({json.loads(line)["id"] for line in events.read_bytes().splitlines()})
    project = write_project(folder, warehouse, [events], organizations=inputs.organizations(500))
    file = project / "penstock.yml"
    said = settings.model_dump(mode="json", exclude_defaults=True, exclude={"password"})
    said["password"] = settings.password.get_secret_value()
    text = file.read_text(encoding="utf-8")
    text = text.replace("sources:\n", f"sources:\n  event_queue: {json.dumps(said)}\n", 1)
    file.write_text(
        text.replace("    from: event_files\n", "    from: [event_files, event_queue]\n", 1), encoding="utf-8"
    )
    penstock = [sys.executable, "-m", "penstock"]
    run([*penstock, "run", "--project-dir", str(project), "--quiet"], timeout_seconds=600)
    with connected(settings) as connection:
        declare_topology(connection.channel(), settings)
    up = subprocess.Popen([*penstock, "up", "--project-dir", str(project), "--port", "0", "--quiet"])
    try:
        running = _running(project)
        if isinstance(warehouse, DuckDBFile):
            return _observe(lambda sql: running.query(sql, read_only=True).rows, settings, users)
        with psycopg.connect(warehouse.url, autocommit=True) as asked:
            return _observe(lambda sql: asked.execute(sql).fetchall(), settings, users)
    finally:
        _end(up)


def _end(up: subprocess.Popen[bytes]) -> None:
    up.terminate()
    try:
        code = up.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        up.kill()
        code = up.wait()
    if code:
        raise ChildFailed(f"penstock up ended with {code}")


def _running(project: Path) -> Running:
    """The process that is up, as soon as it answers."""
    loaded = load_project(project)
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < give_up:
        running = running_process(loaded)
        if running is not None:
            return running
        time.sleep(_POLL_SECONDS)
    raise ChildFailed(f"penstock up does not answer after {_PATIENCE_SECONDS} s")


def _observe(ask: Callable[[str], Sequence[Sequence[Any]]], settings: RabbitMQ, users: Sequence[str]) -> Fresh:
    def seen(since: float) -> tuple[set[str], int]:
        """Users marked at that time or later, found by it: rows lie, and are indexed, in its order."""
        oldest = datetime.fromtimestamp(since, UTC).strftime(_TIME)
        recent = f"valid_from >= '{oldest}' and user_id like 'mark-%'"
        marks = ask(f"select user_id from dimensional.dim_user where {recent}")
        ((total,),) = ask("select sum(events) from reports.user_events_daily")
        return {user for (user,) in marks}, int(total or 0)

    before = seen(time.time())[1]
    published: dict[str, tuple[float, int]] = {}
    publisher = threading.Thread(target=_publish, args=(settings, users, published))
    publisher.start()
    latencies: dict[str, float] = {}
    give_up = time.monotonic() + WARM_SECONDS + SECONDS + _PATIENCE_SECONDS
    while publisher.is_alive() or len(latencies) < len(published):
        awaited = [at for user, (at, _) in list(published.items()) if user not in latencies]
        visible, total = seen(min(awaited, default=time.time()))
        now = time.time()
        for user, (at, number) in list(published.items()):
            if user not in latencies and user in visible and total >= before + number:
                latencies[user] = now - at
        if time.monotonic() > give_up:
            raise ChildFailed(f"{len(published) - len(latencies)} of {len(published)} events are not in the models")
        time.sleep(_POLL_SECONDS)
    publisher.join()
    expected = (WARM_SECONDS + SECONDS) * RATE // MARK_EVERY
    if len(published) < int(0.99 * expected):
        raise ChildFailed(f"{len(published)} of {expected} marked events were published: this machine is too slow")
    warm = min(at for at, _ in published.values()) + WARM_SECONDS
    return Fresh([latencies[user] for user, (at, _) in published.items() if at >= warm])


def _publish(settings: RabbitMQ, users: Sequence[str], published: dict[str, tuple[float, int]]) -> None:
    """Publish at the rate. ``published`` is by marked user when the event was due, and how many were until then."""
    chance = random.Random(3)
    encode = cast("Any", pika.BasicProperties)(delivery_mode=2, content_type="application/json").encode
    properties = b"".join(encode())
    known = set(users)
    with connected(settings) as connection:
        publisher = Publisher(connection, Route(exchange="", key=settings.queue))
        number = 0
        started = time.time()
        while (passed := time.time() - started) < WARM_SECONDS + SECONDS:
            due = int(passed * RATE)
            messages = []
            for n in range(number + 1, due + 1):
                if n % MARK_EVERY == 0:
                    user = f"mark-{n}"
                    published[user] = (started + n / RATE, n)
                else:
                    user = chance.choice(users) if n % 2 else f"user-{n}"
                messages.append(Message(properties, _event(n, user, known=user in known)))
            if messages:
                publisher.send(messages)
                number = due
            publisher.wait(0.01)
        publisher.settle()


def _event(number: int, user: str, *, known: bool) -> bytes:
    at = datetime.now(UTC).strftime(_TIME)
    event = {
        "id": user,
        "event_type": "User Updated" if known else "User Created",
        "username": f"user {number}",
        "user_email": f"user{number}@example.com",
        "user_type": "Admin",
        "organization_name": "Metal Gear",
        "plan_name": "Medium",
        "received_at": at,
    }
    return json.dumps(event).encode()
