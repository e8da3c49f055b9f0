"""Law 1 by queue: whatever is killed, and whenever, each record lands once and the ledger adds up."""

from __future__ import annotations

import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from penstock.destinations.duckdb.destination import DuckDBDestination
from penstock.land.session import Session
from penstock.project import RabbitMQ, load_project
from penstock.publish.publisher import Message, Publisher, Route
from penstock.samples.generate import write_user_events
from penstock.sources.rabbitmq.amqp import connected
from penstock.spec import StreamSpec
from penstock.testing.postgres import PrivatePostgres
from penstock.testing.rabbitmq import PrivateRabbitMQ
from tests.support import commands
from tests.support.consuming import until, write_project
from tests.support.fixtures import slow_on_postgres
from tests.support.queues import PERSISTENT, a_queue, declare, waiting
from tests.support.servers import RabbitMQServer
from tests.support.warehouse import land, quarantined, table, write_files

MESSAGES = 10_000
FEW = 1_000
"""Enough for three batches and a rest."""
Made = tuple[list[dict[str, Any]], set[bytes]]
"""A table, and its quarantine."""
Few = tuple[list[bytes], Made]
STEPS = ["file_middle", "after_shape", "before_stage", "before_commit", "after_commit", "before_ack"]


def corpus(folder: Path, count: int) -> list[bytes]:
    """Events of which one in a hundred is there twice, and one line in a thousand is no record."""
    path = folder / "events.ndjson"
    write_user_events(path, count=count, seed=11, duplicates=0.01, out_of_order=0.05)
    lines = path.read_bytes().splitlines()
    chosen = random.Random(11)
    for i in range(count // 1000):
        lines.insert(chosen.randrange(len(lines)), b'{"broken": %d' % i)
    return lines


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Few:
    """So many events, and what they make as a file."""
    folder = tmp_path_factory.mktemp("few")
    lines = corpus(folder, FEW)
    return lines, by_file(lines, folder)


def by_file(lines: list[bytes], folder: Path) -> Made:
    """The table and the quarantine that the same records make as a file."""
    write_files(folder / "in", {"events.ndjson": b"\n".join(lines)})
    destination = DuckDBDestination(folder / "file.duckdb", threads=1)
    destination.prepare()
    try:
        land(destination, folder / "in", StreamSpec(stream="events"))
        return table(destination, "events"), set(quarantined(destination, "events"))
    finally:
        destination.close()


def put(settings: RabbitMQ, bodies: list[bytes]) -> None:
    """Put bodies on the queue, confirmed."""
    declare(settings)
    with connected(settings) as connection:
        publisher = Publisher(connection, Route(exchange="", key=settings.queue))
        for i in range(0, len(bodies), 500):
            publisher.send([Message(PERSISTENT, body) for body in bodies[i : i + 500]])
        publisher.settle()
        assert publisher.returned == publisher.nacked == 0


def start(folder: Path, fault: str = "") -> commands.Started:
    """A consumer that ends with the queue."""
    return commands.Started(folder, "consume", "--until-empty", "--quiet", environ={"PENSTOCK_FAULT": fault})


def check(folder: Path, expected: Made) -> None:
    """The table is that of the file, and for every load read = landed + duplicates + quarantined."""
    with Session(load_project(folder, environ={})) as session:
        destination = session.destination
        wrong = destination.query("select * from penstock.loads where read <> landed + duplicates + quarantined").rows
        assert not wrong
        totals = destination.query("select sum(landed), sum(quarantined) from penstock.loads").rows[0]
        assert [int(n) for n in totals] == [len(expected[0]), len(expected[1])]
        assert table(destination, "events") == expected[0]
        assert set(quarantined(destination, "events")) == expected[1]
        seqs = [s for (s,) in destination.query("select seq from penstock.loads order by committed_at, seq").rows]
        assert seqs == sorted(seqs)


@pytest.fixture(params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest) -> dict[str, str]:
    """Each kind of warehouse in turn."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else ""
    return {"target": request.param, "url": url}


@pytest.mark.parametrize("nth", [3, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step(
    rabbitmq_url: str, tmp_path: Path, few: Few, warehouse: dict[str, str], step: str, nth: int
) -> None:
    """Killed at a step of its first batch or of its third, and run again; a queue leaves no position behind."""
    lines, expected = few
    settings = a_queue(rabbitmq_url)
    put(settings, lines)
    folder = write_project(tmp_path / "p", settings, rabbitmq_url, more="batch_messages: 300", **warehouse)
    assert start(folder, f"{step}:kill:{nth}").wait(60) == -signal.SIGKILL
    assert start(folder).wait(60) == 0
    check(folder, expected)
    assert waiting(settings) == 0
    with Session(load_project(folder, environ={})) as session:
        assert session.destination.ledger.positions("events", "queue") == {}


@pytest.mark.slow
def test_killed_at_random_under_load(rabbitmq_url: str, postgres_url: str, tmp_path: Path) -> None:
    """10,000 messages, and a consumer that is killed twenty times on the way.

    A part of them comes before every start, so that there is something to land whenever it is killed.
    """
    lines = corpus(tmp_path, MESSAGES)
    settings = a_queue(rabbitmq_url)
    declare(settings)
    folder = write_project(
        tmp_path / "p", settings, rabbitmq_url, target="postgres", url=postgres_url, more="batch_messages: 50"
    )
    chosen = random.Random(5)
    for n in range(20):
        put(settings, lines[n::20])
        running = start(folder)
        time.sleep(chosen.uniform(0.9, 1.6))
        running.kill()
        running.wait()
    assert start(folder).wait(300) == 0
    check(folder, by_file(lines, tmp_path))


@pytest.mark.slow
def test_broker_and_warehouse_are_killed(tmp_path: Path) -> None:
    """Both are killed with SIGKILL, in turn, while a consumer works on; it needs no other help than their return."""
    lines = corpus(tmp_path, 20_000)
    with PrivateRabbitMQ() as broker, PrivatePostgres(durable=True) as server:
        settings = a_queue(broker.url, "quorum")
        put(settings, lines[:10_000])
        folder = write_project(
            tmp_path / "p", settings, broker.url, target="postgres", url=server.url, more="batch_messages: 100"
        )
        command = [sys.executable, "-m", "penstock", "consume", "--quiet", "--project-dir", str(folder)]
        running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            until(lambda: _landed(folder) > 100)
            server.kill()
            time.sleep(1)
            server.start()
            before = _landed(folder)
            until(lambda: _landed(folder) > before)
            broker.kill()
            broker.start()
            until(lambda: _declared(settings), 90)
            put(settings, lines[10_000:])
            expected = by_file(lines, tmp_path)
            until(lambda: _landed(folder) == len(expected[0]), 120)
        finally:
            running.terminate()
            assert running.wait(30) == 0
        check(folder, expected)


def _landed(folder: Path) -> int:
    try:
        with Session(load_project(folder, environ={})) as session:
            rows = session.destination.query("select coalesce(sum(landed), 0) from penstock.loads").rows
            return int(rows[0][0])
    except Exception:  # noqa: BLE001 - it is away, or its ledger is not made yet
        return -1


def _declared(settings: RabbitMQ) -> bool:
    try:
        declare(settings)
    except Exception:  # noqa: BLE001 - a broker that has just come back answers before its queues do
        return False
    return True


@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_many_consumers_of_one_queue(rabbitmq_url: str, postgres_url: str, tmp_path: Path, processes: int) -> None:
    """Several processes on one queue into one table: the same table, no deadlock, no lost row."""
    lines = corpus(tmp_path, 3_000)
    settings = a_queue(rabbitmq_url)
    put(settings, [*lines, *lines[:1000]])
    more = "batch_messages: 100, prefetch: 200"
    folder = write_project(tmp_path / "p", settings, rabbitmq_url, target="postgres", url=postgres_url, more=more)
    running = [start(folder) for _ in range(processes)]
    assert [r.wait(120) for r in running] == [0] * processes
    check(folder, by_file(lines, tmp_path))
    with Session(load_project(folder, environ={})) as session:
        loads = session.destination.query("select count(*), count(distinct seq), max(seq) from penstock.loads").rows[0]
        assert loads[0] == loads[1] == loads[2]


@pytest.fixture
def by_stream_protocol(rabbitmq_server: RabbitMQServer) -> str:
    """The settings that read a stream queue by the stream protocol."""
    return f"protocol: stream, stream_port: {rabbitmq_server.stream_port}"


@slow_on_postgres("warehouse")
@pytest.mark.parametrize("step", [pytest.param("file_middle", marks=pytest.mark.slow), "before_commit", "after_commit"])
def test_killed_at_a_step_by_the_stream_protocol(
    rabbitmq_url: str, by_stream_protocol: str, tmp_path: Path, few: Few, warehouse: dict[str, str], step: str
) -> None:
    """The offset is committed with the rows, so nothing but the batch in hand is read again."""
    lines, expected = few
    settings = a_queue(rabbitmq_url, "stream")
    put(settings, lines)
    more = f"batch_messages: 300, {by_stream_protocol}"
    folder = write_project(tmp_path / "p", settings, rabbitmq_url, more=more, **warehouse)
    for nth in ("1", "3"):
        assert start(folder, f"{step}:kill:{nth}").wait(60) == -signal.SIGKILL
    assert start(folder).wait(60) == 0
    check(folder, expected)


@slow_on_postgres("warehouse")
def test_same_rows_whichever_way_they_came(
    rabbitmq_url: str, by_stream_protocol: str, tmp_path: Path, warehouse: dict[str, str]
) -> None:
    """Law 2: one corpus by file, by a watched folder, by each kind of queue and protocol makes one table."""
    odd = [b'{"n":1e400,"t":"\\u00e9"}', b'{"big":12345678901234567890123}', b'[{"a":[1,{"b":2}]}]']
    lines = [*corpus(tmp_path, 500), *odd]
    expected = by_file(lines, tmp_path)
    ways = {"classic": "classic", "quorum": "quorum", "stream": "stream", "protocol": "stream", "watched": "classic"}
    for way, kind in ways.items():
        settings = a_queue(rabbitmq_url, kind)
        more = by_stream_protocol if way == "protocol" else ""
        folder = write_project(tmp_path / way, settings, rabbitmq_url, more=more, **warehouse)
        file = folder / "penstock.yml"
        text = file.read_text().replace("events:", f"events_{way}:")
        if way == "watched":
            text = re.sub(r"queue: \{ type.*\}", "queue: { type: files, path: in }", text)
            shutil.copytree(tmp_path / "in", folder / "in")
        file.write_text(text)
        if way == "watched":
            assert commands.penstock(folder, "watch", "--once", "--quiet").returncode == 0
        else:
            put(settings, lines)
            assert start(folder).wait(60) == 0
        with Session(load_project(folder, environ={})) as session:
            assert table(session.destination, f"events_{way}") == expected[0]
            assert set(quarantined(session.destination, f"events_{way}")) == expected[1]
