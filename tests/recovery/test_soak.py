"""A consumer under steady load and random faults: nothing lost, memory flat. ``make soak`` runs it for ten minutes."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from benchmarks import provenance
from penstock.publish.publisher import Message, Publisher, Route
from penstock.sources.rabbitmq.amqp import connected
from penstock.testing.postgres import PrivatePostgres
from penstock.testing.proxy import Proxy
from penstock.testing.rabbitmq import PrivateRabbitMQ
from tests.support.consuming import until, write_project
from tests.support.queues import PERSISTENT, a_queue, declare

SECONDS = float(os.environ.get("PENSTOCK_SOAK_SECONDS", "30"))
RATE = int(os.environ.get("PENSTOCK_SOAK_RATE", "500"))
SEED = int(os.environ.get("PENSTOCK_SOAK_SEED", "1"))
GROWTH_BYTES = 60 << 20
PAGE = "RESULTS-soak.md"


class Consuming:
    """``penstock consume`` as a process that can be killed and started again; keeps what memory it took."""

    def __init__(self, folder: Path) -> None:
        self._command = [sys.executable, "-m", "penstock", "consume", "--quiet", "--project-dir", str(folder)]
        self.lives: list[list[int]] = []
        self.start()

    def start(self) -> None:
        """Start it."""
        self._process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)
        self.lives.append([])

    def kill(self) -> None:
        """Kill it with SIGKILL, and start another."""
        self._process.kill()
        self._process.wait()
        self.start()

    def measure(self) -> None:
        """Note its resident memory."""
        assert self._process.poll() is None, "the consumer gave up"
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        self.lives[-1].append(pages * os.sysconf("SC_PAGE_SIZE"))

    def stop(self) -> int:
        """Ask it to end."""
        self._process.terminate()
        return self._process.wait(30)


@pytest.mark.slow
def test_soak(tmp_path: Path) -> None:
    """Connections are cut, reset and stalled, the warehouse and the consumer killed, while messages keep coming."""
    chance = random.Random(SEED)
    measured = provenance.now(PAGE)
    with PrivateRabbitMQ() as broker, PrivatePostgres(durable=True) as server:
        base = urlsplit(server.url)
        with Proxy("127.0.0.1", broker.port) as queue, Proxy("127.0.0.1", base.port or 5432) as warehouse:
            settings = a_queue(broker.url, "quorum")
            declare(settings)
            folder = write_project(
                tmp_path / "p",
                settings,
                queue.url_of(broker.url),
                target="postgres",
                url=warehouse.url_of(server.url),
                more="heartbeat_seconds: 5, batch_messages: 1000",
            )
            consuming = Consuming(folder)
            stop = threading.Event()
            published: list[int] = []
            publisher = threading.Thread(target=_publish, args=(settings, stop, published))
            publisher.start()
            faults: list[str] = []
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                quiet = time.monotonic() + chance.uniform(2, 6)
                while time.monotonic() < min(quiet, end):
                    time.sleep(0.5)
                    consuming.measure()
                faults.append(_fault(chance, queue, warehouse, server, consuming))
            stop.set()
            publisher.join(60)
            assert not publisher.is_alive()
            wanted = set(range(published[-1]))
            until(lambda: _landed(server.url) >= len(wanted), 120)
            assert consuming.stop() == 0
        with psycopg.connect(server.url) as connection:
            rows = connection.execute("select n from raw.events").fetchall()
            wrong = connection.execute(
                "select count(*) from penstock.loads where read <> landed + duplicates + quarantined"
            ).fetchone()
        assert sorted(n for (n,) in rows) == sorted(wanted)
        assert wrong == (0,)
    longest = max(consuming.lives, key=len)
    third = len(longest) // 3
    early, late = max(longest[third : 2 * third], default=0), max(longest[2 * third :], default=0)
    report = {"messages": len(wanted), "faults": faults, "most_bytes": max(longest), "growth_bytes": late - early}
    print(json.dumps(report))
    if output := os.environ.get("PENSTOCK_SOAK_OUTPUT"):
        Path(output).write_text(_page(report, measured), encoding="utf-8")
    assert late - early < GROWTH_BYTES


def _page(report: dict[str, Any], measured: provenance.Provenance) -> str:
    """What came of it, for people to read."""
    counts = Counter(report["faults"])
    listed = "\n".join(f"| {kind} | {count} |" for kind, count in sorted(counts.items()))
    return (
        f"# Soak\n\n{provenance.confirmed(PAGE, measured)}\n\n"
        "`penstock consume` takes a quorum queue into PostgreSQL, both behind proxies, while it is killed"
        " and they are.\n\n"
        f"- {SECONDS:.0f} s at {RATE:,} messages a second, 1 % of them twice: {report['messages']:,} different ones,"
        f" {sum(counts.values())} faults (seed {SEED}).\n"
        "- In the end the table holds each message once; the ledger's counts add up.\n"
        f"- Memory of the longest-lived process: {report['most_bytes'] / 1e6:.0f} MB at most,"
        f" {report['growth_bytes'] / 1e6:+.1f} MB from its second third to its last.\n\n"
        f"| fault | times |\n|---|---|\n{listed}\n"
    )


def _fault(chance: random.Random, queue: Proxy, warehouse: Proxy, server: PrivatePostgres, consuming: Consuming) -> str:
    kind = chance.choice(["cut", "reset", "stall", "refuse", "slow", "warehouse", "consumer"])
    proxy = chance.choice([queue, warehouse])
    where = "queue" if proxy is queue else "warehouse"
    if kind == "consumer":
        consuming.kill()
        return kind
    if kind == "warehouse":
        server.kill()
        time.sleep(chance.uniform(0, 2))
        server.start()
        return kind
    if kind == "slow":
        proxy.slow(100_000)
    elif kind == "refuse":
        proxy.refuse()
        proxy.reset()
    else:
        getattr(proxy, kind)()
    time.sleep(chance.uniform(0.5, 3))
    if kind == "refuse":
        proxy.accept()
    elif kind in ("stall", "slow"):
        proxy.resume()
    return f"{kind} {where}"


def _publish(settings: object, stop: threading.Event, published: list[int]) -> None:
    """Numbered messages at a steady rate, one in a hundred twice."""
    with connected(settings) as connection:  # type: ignore[arg-type]
        publisher = Publisher(connection, Route(exchange="", key=settings.queue))  # type: ignore[attr-defined]
        number = 0
        started = time.monotonic()
        while not stop.is_set():
            due = int((time.monotonic() - started) * RATE)
            if number >= due:
                publisher.wait(0.02)
                continue
            bodies = [b'{"n":%d,"name":"user %d"}' % (n, n % 1000) for n in range(number, min(due, number + 500))]
            publisher.send([Message(PERSISTENT, body) for body in (*bodies, *bodies[::100])])
            number += len(bodies)
        publisher.settle()
        published.append(number)


def _landed(url: str) -> int:
    try:
        with psycopg.connect(url) as connection:
            found = connection.execute("select coalesce(sum(landed), 0) from penstock.loads").fetchone()
    except psycopg.Error:
        return -1
    return int(found[0]) if found else -1
