"""``penstock consume``: a queue landed once in effect, whatever its messages hold."""

from __future__ import annotations

import gzip
import json
import threading
import time
from pathlib import Path

import pytest
import zstandard

from penstock.errors import ContractError, DestinationError
from penstock.land.loop import Stop
from penstock.land.session import Session
from penstock.project import load_project
from penstock.runs.consume import Consumer
from penstock.runs.quarantined import entries
from penstock.runs.replay import replay
from penstock.testing.postgres import PrivatePostgres
from penstock.testing.proxy import Proxy
from tests.support import commands
from tests.support.consuming import consumer, rows, until, warehouse, write_project
from tests.support.fixtures import SLOW, slow_on_postgres
from tests.support.queues import a_queue, numbered, publish, waiting
from tests.support.warehouse import quarantined, table

__all__ = ["warehouse"]


def counts(one: Consumer) -> tuple[int, int, int, int]:
    """What it read, landed, found twice and quarantined."""
    return one.read, one.landed, one.duplicates, one.quarantined


POISON = [b"", b"   ", b"no json", b"\xff\xfe", b'{"a":1,"a":2}', b"17", b"[" * 600]


@pytest.mark.parametrize("kind", [pytest.param("classic", marks=SLOW), "quorum"])
def test_poison_goes_to_quarantine_and_the_queue_goes_on(
    rabbitmq_url: str, tmp_path: Path, warehouse: dict[str, str], kind: str
) -> None:
    """What is no record is quarantined whole, with its headers, and acknowledged; arrays and lines are many records."""
    settings = a_queue(rabbitmq_url, kind)
    publish(
        settings, [*numbered(0, 5), *POISON, b'[{"n":5,"x":""},{"n":6,"x":""}]', b'{"n":7}\n{"n":8}\n'], message_id="m"
    )
    publish(settings, [gzip.compress(b'{"n":9}')], content_encoding="gzip")
    publish(settings, [b"not gzip"], content_encoding="gzip")
    publish(settings, numbered(3, 5))
    folder = write_project(tmp_path / "p", settings, rabbitmq_url, **warehouse)
    one = consumer(folder, until_empty=True)
    one.run()
    assert counts(one) == (len(POISON) + 13, 10, 2, len(POISON) + 1)
    assert [r["n"] for r in sorted(rows(folder), key=lambda r: int(r["n"]))] == list(range(10))
    assert waiting(settings) == 0
    with Session(load_project(folder, environ={})) as session:
        found = quarantined(session.destination, "events")
        assert set(found) == {*POISON, b"not gzip"}, "each as it came"
        headers = session.destination.query("select headers from penstock.quarantine where body = 'no json'").rows[0][0]
        said = json.loads(headers) if isinstance(headers, str) else headers
        assert said["message_id"] == "m"


@slow_on_postgres("warehouse", spark=True)
def test_one_message_id_with_two_bodies_is_a_conflict(
    rabbitmq_url: str, tmp_path: Path, warehouse: dict[str, str]
) -> None:
    """The second body is quarantined, a copy is a duplicate, and a message without an id has no identity."""
    settings = a_queue(rabbitmq_url)
    folder = write_project(tmp_path / "p", settings, rabbitmq_url, stream="identity: message", **warehouse)
    for bodies in ([b'{"n":1}', b'{"n":1}', b'{"n":2}'], [b'{"n":1}', b'{"n":3}']):
        publish(settings, bodies, message_id="one")
    publish(settings, [b'{"n":1}', b'[{"n":4},{"n":5}]'], message_id="two")
    publish(settings, [b'{"n":6}'])
    one = consumer(folder, until_empty=True)
    one.run()
    assert one.read == 9
    with Session(load_project(folder, environ={})) as session:
        assert sorted(r["n"] for r in table(session.destination, "events")) == [1, 1, 5]
        assert quarantined(session.destination, "events") == {
            b'{"n":2}': "identity_conflict",
            b'{"n":3}': "identity_conflict",
            b'{"n":4}': "identity_conflict",
            b'{"n":6}': "missing_identity",
        }
    again = consumer(folder, until_empty=True)
    publish(settings, [b'{"n":1}'], message_id="one")
    publish(settings, [b'{"n":7}'], message_id="one")
    again.run()
    assert counts(again) == (2, 0, 1, 1)
    # now the one that contradicts comes before the copy of what landed
    last = consumer(folder, until_empty=True)
    publish(settings, [b'{"n":8}', b'{"n":1}', b'{"n":9}'], message_id="one")
    last.run()
    assert counts(last) == (3, 0, 1, 2)
    with Session(load_project(folder, environ={})) as session:
        found = quarantined(session.destination, "events")
        assert {b'{"n":8}', b'{"n":9}'} <= found.keys() and b'{"n":1}' not in found


@slow_on_postgres("warehouse", spark=True)
def test_a_compressed_message_is_replayed(rabbitmq_url: str, tmp_path: Path, warehouse: dict[str, str]) -> None:
    """What was too large when decompressed is kept as it came; replayed, it lands."""
    settings = a_queue(rabbitmq_url)
    records = [{"n": n, "x": "y" * 2_000} for n in (1, 2)]
    event = {"specversion": "1.0", "id": "7", "source": "/s", "type": "t", "data": records[1]}
    publish(settings, [gzip.compress(json.dumps(records[0]).encode())], content_encoding="gzip", message_id="one")
    publish(
        settings,
        [zstandard.compress(json.dumps(event).encode())],
        content_encoding="zstd",
        content_type="application/cloudevents+json",
    )
    for most, landed in ((1_000, 0), (10_000, 2)):
        stream = f"identity: message, max_record_bytes: {most}"
        folder = write_project(tmp_path / "p", settings, rabbitmq_url, stream=stream, **warehouse)
        consumer(folder, until_empty=True).run()
        with Session(load_project(folder, environ={})) as session:
            replay(session, entries(session.destination.query))
            left = [e.code for e in entries(session.destination.query)]
            assert left == ["too_large"] * (2 - landed)
    assert sorted(int(r["n"]) for r in rows(folder)) == [1, 2]
    publish(settings, [json.dumps(records[0]).encode()], message_id="one")
    again = consumer(folder, until_empty=True)
    again.run()
    assert counts(again) == (1, 0, 1, 0)


@slow_on_postgres("warehouse", spark=True)
def test_cloudevents_of_both_modes_are_one_record(rabbitmq_url: str, tmp_path: Path, warehouse: dict[str, str]) -> None:
    """``source`` and ``id`` are the identity, and the mode makes no difference to the row."""
    settings = a_queue(rabbitmq_url)
    folder = write_project(tmp_path / "p", settings, rabbitmq_url, stream="identity: message", **warehouse)
    event = {"specversion": "1.0", "id": "7", "source": "/s", "type": "t", "datacontenttype": "application/json"}
    structured = json.dumps({**event, "data": {"n": 1}}).encode()
    publish(settings, [structured], content_type="application/cloudevents+json")
    attributes = {f"cloudEvents:{k}": v for k, v in event.items() if k != "datacontenttype"}
    publish(settings, [b'{"n":1}'], content_type="application/json", headers=attributes)
    publish(settings, [b'{"n":2}'], content_type="application/json", headers={**attributes, "cloudEvents:source": "/o"})
    one = consumer(folder, until_empty=True)
    one.run()
    assert counts(one) == (3, 2, 1, 0)
    assert sorted(r["n"] for r in rows(folder)) == [1, 2]


def test_a_frozen_stream_stops_and_keeps_the_message(
    rabbitmq_url: str, tmp_path: Path, warehouse: dict[str, str]
) -> None:
    """What breaks the contract stays in the queue, what was committed before is acknowledged."""
    settings = a_queue(rabbitmq_url)
    folder = write_project(
        tmp_path / "p", settings, rabbitmq_url, stream="contract: freeze, columns: {n: bigint, x: text}", **warehouse
    )
    publish(settings, numbered(0, 3))
    consumer(folder, until_empty=True).run()
    publish(settings, [b'{"n":3,"other":1}'])
    with pytest.raises(ContractError):
        consumer(folder, until_empty=True).run()
    until(lambda: waiting(settings) == 1)
    assert len(rows(folder)) == 3


def test_limits_and_the_command(rabbitmq_url: str, tmp_path: Path) -> None:
    """``--max-messages`` leaves the rest in the queue; ``--until-empty`` ends with it; counts as JSON."""
    settings = a_queue(rabbitmq_url)
    publish(settings, numbered(0, 50))
    folder = write_project(tmp_path / "p", settings, rabbitmq_url)
    for option, landed in (["--max-messages", "20"], 20), (["--until-empty"], 30), (["--max-seconds", "0.5"], 0):
        done = commands.penstock(folder, "consume", "--json", *option)
        assert json.loads(done.stdout)[0]["landed"] == landed
    assert waiting(settings) == 0


def test_sigterm_lands_what_is_in_hand(rabbitmq_url: str, tmp_path: Path) -> None:
    """It exits with 0 in a few seconds; what it acknowledged has landed, the rest is in the queue."""
    settings = a_queue(rabbitmq_url)
    publish(settings, numbered(0, 2000))
    folder = write_project(tmp_path / "p", settings, rabbitmq_url, more="batch_messages: 50, prefetch: 100")
    running = commands.Started(folder, "consume", "--quiet")
    until(lambda: waiting(settings) < 1900)
    running.terminate()
    assert running.wait(20) == 0
    left = waiting(settings)
    assert left + len(rows(folder)) == 2000


def test_no_queue_is_a_usage_error(tmp_path: Path) -> None:
    """A project without a queue says what is missing."""
    (tmp_path / "penstock.yml").write_text("name: p\ndestinations: {l: {type: duckdb, path: w.duckdb}}\n")
    done = commands.penstock(tmp_path, "consume")
    assert done.returncode == 2
    assert "no stream is fed by a queue" in done.stderr


def test_the_warehouse_goes_away_and_comes_back(rabbitmq_url: str, tmp_path: Path) -> None:
    """Messages stay unacknowledged meanwhile and are delivered once; then consuming goes on by itself."""
    settings = a_queue(rabbitmq_url)
    with PrivatePostgres(durable=True) as server:
        folder = write_project(
            tmp_path / "p", settings, rabbitmq_url, target="postgres", url=server.url, more="batch_messages: 20"
        )
        publish(settings, numbered(0, 100))
        stop = Stop()
        waits: list[float] = []
        one = consumer(folder, stop=stop, on_wait=lambda _, seconds: waits.append(seconds))
        thread = threading.Thread(target=one.run)
        thread.start()
        try:
            until(lambda: one.landed == 100)
            server.kill()
            publish(settings, numbered(100, 300))
            until(lambda: len(waits) >= 3)
            received = one.received
            assert one.waiting_for
            server.start()
            until(lambda: one.read >= 300)
            assert one.received == received == 300
            assert not one.waiting_for
        finally:
            stop.set()
            thread.join(30)
        assert not thread.is_alive()
        assert sorted(r["n"] for r in rows(folder)) == list(range(300))
        until(lambda: waiting(settings) == 0)


def test_a_warehouse_that_is_not_there_is_said_at_once(rabbitmq_url: str, tmp_path: Path) -> None:
    """A wrong address is no outage."""
    settings = a_queue(rabbitmq_url)
    folder = write_project(
        tmp_path / "p", settings, rabbitmq_url, target="postgres", url="postgresql://u@127.0.0.1:1/d"
    )
    with pytest.raises(DestinationError):
        consumer(folder).run()


def test_both_go_away_at_once(rabbitmq_url: str, postgres_url: str, tmp_path: Path) -> None:
    """Broker and warehouse are cut off together, and each message lands once after they are back."""
    from urllib.parse import urlsplit

    broker, base = urlsplit(rabbitmq_url), urlsplit(postgres_url)
    settings = a_queue(rabbitmq_url)
    publish(settings, numbered(0, 200))
    with (
        Proxy(broker.hostname or "", broker.port or 5672) as queue,
        Proxy(base.hostname or "127.0.0.1", base.port or 5432) as warehouse,
    ):
        folder = write_project(
            tmp_path / "p",
            settings,
            queue.url_of(rabbitmq_url),
            target="postgres",
            url=warehouse.url_of(postgres_url),
            more="batch_messages: 20",
        )
        stop = Stop()
        one = consumer(folder, stop=stop)
        thread = threading.Thread(target=one.run)
        thread.start()
        try:
            until(lambda: one.landed >= 20)
            for proxy in (queue, warehouse):
                proxy.refuse()
                proxy.reset()
            publish(settings, numbered(200, 400))
            time.sleep(1)
            for proxy in (queue, warehouse):
                proxy.accept()
            until(lambda: one.landed == 400)
        finally:
            stop.set()
            thread.join(30)
        assert not thread.is_alive()
    until(lambda: waiting(settings) == 0)
    direct = write_project(tmp_path / "p", settings, rabbitmq_url, target="postgres", url=postgres_url)
    assert sorted(r["n"] for r in rows(direct)) == list(range(400))
