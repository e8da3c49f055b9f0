"""Runs that a scheduler starts again and again: where nothing can land, none of them takes a message that the next run
would take once more, until the queue drops it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from penstock.errors import ContractError, LandingBlocked
from penstock.land.loop import Stop
from penstock.land.session import Session
from penstock.project import load_project
from penstock.sources.rabbitmq.amqp import connected
from tests.support.consuming import consumer, rows, warehouse, write_project
from tests.support.queues import a_queue, numbered, publish, until, waiting

__all__ = ["warehouse"]
LIMIT = 2
"""Deliveries after which the queue drops a message."""
SETTINGS = f"arguments: {{ x-delivery-limit: {LIMIT} }}"


def test_a_schema_that_is_gone(rabbitmq_url: str, tmp_path: Path, warehouse: dict[str, str]) -> None:
    """It is made anew while it holds nothing; where it held tables, no message is taken until it is back."""
    queue = a_queue(rabbitmq_url, arguments={"x-delivery-limit": LIMIT})
    folder = write_project(tmp_path / "p", queue, rabbitmq_url, more=SETTINGS, **warehouse)
    consumer(folder, until_empty=True).run()
    administer(folder, "drop schema raw cascade")
    publish(queue, numbered(0, 5))
    consumer(folder, until_empty=True).run()
    assert len(rows(folder)) == 5

    other = a_queue(rabbitmq_url, arguments={"x-delivery-limit": LIMIT})
    write_project(folder, other, rabbitmq_url, more=SETTINGS, **warehouse)
    file = folder / "penstock.yml"
    file.write_text(file.read_text().replace("events:", "others:"))
    publish(other, numbered(0, 5))
    administer(folder, "drop schema raw cascade")
    for _ in range(LIMIT + 1):
        one = consumer(folder, stream="others", until_empty=True)
        with pytest.raises(LandingBlocked, match="no schema raw") as blocked:
            one.run()
        assert one.received == 0 and "create schema raw" in blocked.value.fix
    assert waiting(other) == 5
    administer(folder, "create schema raw")
    consumer(folder, stream="others", until_empty=True).run()
    with Session(load_project(folder, environ={})) as session:
        assert session.destination.query("select count(*) from raw.others").rows == [(5,)]


def test_a_user_without_rights(rabbitmq_url: str, tmp_path: Path, postgres_url: str) -> None:
    """Whether it may make the table is asked before a message is taken, and the error says what to grant."""
    queue = a_queue(rabbitmq_url, arguments={"x-delivery-limit": LIMIT})
    publish(queue, numbered(0, 5))
    parts = urlsplit(postgres_url)
    user = f"taker_{parts.path[1:]}"
    own_url = urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}"))
    folder = write_project(tmp_path / "p", queue, rabbitmq_url, more=SETTINGS, target="postgres", url=own_url)
    with psycopg.connect(postgres_url, autocommit=True) as administrator:
        administrator.execute(f"create role {user} login")
        administrator.execute(f"create schema raw authorization {user}; create schema penstock authorization {user}")
        try:
            with Session(load_project(folder, environ={})) as session:
                assert session.destination.is_prepared()
            for break_, fix in (
                ("drop schema raw", "grant create on database"),
                ("create schema raw", "grant usage, create on schema raw"),
            ):
                administrator.execute(break_)
                for _ in range(LIMIT + 1):
                    one = consumer(folder, until_empty=True)
                    with pytest.raises(LandingBlocked) as blocked:
                        one.run()
                    assert one.received == 0 and fix in blocked.value.fix
                assert waiting(queue) == 5
            administrator.execute(f"grant usage, create on schema raw to {user}")
            consumer(folder, until_empty=True).run()
            assert len(rows(folder)) == 5
        finally:
            administrator.execute(f"drop owned by {user} cascade; drop role {user}")


def administer(folder: Path, sql: str) -> None:
    """Run a statement in the warehouse, by hand."""
    with Session(load_project(folder, environ={})) as session:
        session.destination.query(sql)


FROZEN = "contract: freeze, columns: {n: bigint, x: text}"


def test_a_frozen_contract(rabbitmq_url: str, tmp_path: Path, warehouse: dict[str, str]) -> None:
    """Messages are taken once, however often a run is started and of whatever kind it is, until the project is changed;
    a change back does not make them wait for what has landed."""
    queue = a_queue(rabbitmq_url, arguments={"x-delivery-limit": LIMIT})
    folder = write_project(tmp_path / "p", queue, rabbitmq_url, more=SETTINGS, stream=FROZEN, **warehouse)
    publish(queue, [b'{"n":0,"surprise":1}', *numbered(1, 10)])
    for run in range(LIMIT + 2):
        one = consumer(folder, until_empty=True)
        with pytest.raises(ContractError, match="'surprise'" if not run else "broke the contract at 20.*nothing was"):
            one.run()
        assert (one.received, one.unlanded) == ((10, 10) if not run else (0, 0))
        until(lambda: waiting(queue) == 10, "they are in the queue")
    stop = Stop()
    patient = consumer(folder, patient=True, stop=stop, on_wait=lambda *_: stop.set())
    patient.run()
    assert patient.state == "blocked" and patient.received == 0 and "--again" in patient.waiting_for
    write_project(folder, queue, rabbitmq_url, more=SETTINGS, stream=FROZEN.replace("freeze", "reject"), **warehouse)
    consumer(folder, until_empty=True).run()
    assert len(rows(folder)) == 9
    write_project(folder, queue, rabbitmq_url, more=SETTINGS, stream=FROZEN, **warehouse)
    publish(queue, numbered(10, 12))
    consumer(folder, until_empty=True).run()
    assert len(rows(folder)) == 11


def test_a_message_that_was_removed(rabbitmq_url: str, tmp_path: Path) -> None:
    """Only who asks for it takes messages again, once; what lands then is all well."""
    queue = a_queue(rabbitmq_url, arguments={"x-delivery-limit": LIMIT})
    folder = write_project(tmp_path / "p", queue, rabbitmq_url, more=SETTINGS, stream=FROZEN)
    publish(queue, [b'{"n":0,"surprise":1}'])
    with pytest.raises(ContractError, match="'surprise'"):
        consumer(folder, until_empty=True).run()
    with pytest.raises(ContractError, match="'surprise'"):
        consumer(folder, until_empty=True, again=True).run()
    with pytest.raises(ContractError, match="nothing was taken"):
        consumer(folder, until_empty=True).run()
    until(lambda: waiting(queue) == 1, "it is in the queue")
    with connected(queue) as connection:
        connection.channel().queue_purge(queue.queue)
    publish(queue, numbered(0, 5))
    with pytest.raises(ContractError, match="nothing was taken"):
        consumer(folder, until_empty=True).run()
    consumer(folder, until_empty=True, again=True).run()
    publish(queue, numbered(5, 10))
    consumer(folder, until_empty=True).run()
    assert len(rows(folder)) == 10


def test_up_tells_what_did_not_land(rabbitmq_url: str, tmp_path: Path) -> None:
    """Its last line is true when it is stopped while it is blocked."""
    queue = a_queue(rabbitmq_url)
    folder = write_project(tmp_path / "p", queue, rabbitmq_url, stream=FROZEN)
    file = folder / "penstock.yml"
    file.write_text(f"{file.read_text()}transform: false\n")
    publish(queue, [b'{"n":0,"surprise":1}', *numbered(1, 21)])
    command = [sys.executable, "-m", "penstock", "--log-format", "text", "up", "--project-dir", str(folder)]
    log = tmp_path / "log"
    with log.open("w") as errors:
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            until(lambda: "nothing can be landed" in log.read_text(), log.read_text)
        finally:
            running.terminate()
            stdout, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    assert "stopped: events: 21 messages not landed, and in the queue again" in stdout
    assert "'surprise'" in stdout and "what was in hand is landed" not in stdout
    until(lambda: waiting(queue) == 21, "they are in the queue again")
