"""Queues as a source, on a real broker: order, batches, acknowledgement, topology, ends."""

from __future__ import annotations

import gzip
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pika
import pytest

from penstock.errors import SourceError
from penstock.sources.rabbitmq.amqp import connected
from penstock.testing.private import free_port
from penstock.testing.rabbitmq import PrivateRabbitMQ
from tests.support.queues import (
    a_queue,
    bodies_of,
    declare,
    drain,
    numbered,
    publish,
    reading,
    take,
    until,
    waiting,
)

KINDS = ("classic", "quorum", "stream")


@pytest.mark.parametrize("kind", KINDS)
def test_everything_in_order_once(broker: PrivateRabbitMQ, kind: str) -> None:
    """What is published is read in its order, and what was acknowledged does not come again."""
    settings = a_queue(broker.url, kind, batch_messages=700)
    published = numbered(0, 5000, size=200)
    publish(settings, published)
    batches = drain(settings)
    assert bodies_of(batches) == published
    assert {len(b.bodies) for b in batches[:-1]} == {700}
    assert all(b.bytes == sum(map(len, b.bodies.to_pylist())) for b in batches)
    positions = batches[-1].positions
    if kind == "stream":
        assert len(positions) == 1
        assert (positions[0].key, positions[0].state) == (f"stream {settings.queue}", {"offset": 4999})
        assert batches[1].origin(3) == f"stream {settings.queue}#703"
    else:
        assert not positions
        assert batches[0].origin(699) == f"queue {settings.queue}"
        assert drain(settings) == []


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_what_is_not_acknowledged_comes_again(broker: PrivateRabbitMQ, kind: str) -> None:
    """Acknowledging one batch takes its messages alone off the queue."""
    settings = a_queue(broker.url, kind, batch_messages=10)
    published = numbered(0, 40)
    publish(settings, published)
    with reading(settings) as (source, batches):
        first, _ = take(batches, 20)
        source.acknowledge(first.acknowledgements)
    until(lambda: waiting(settings) == 30, "the rest went back to the queue")
    assert sorted(bodies_of(drain(settings))) == sorted(published[10:])


def test_a_stream_is_read_on_from_the_ledger(broker: PrivateRabbitMQ) -> None:
    """The position that is known decides, not what was acknowledged."""
    settings = a_queue(broker.url, "stream", batch_messages=10)
    published = numbered(0, 35)
    publish(settings, published)
    batches = drain(settings)
    for known, rest in ((9, 10), (14, 15), (34, 35)):
        again = drain(settings, known={f"stream {settings.queue}": {"offset": known}})
        assert bodies_of(again) == published[rest:]
    assert bodies_of(drain(settings, acknowledge=False)) == published
    assert [p.state["offset"] for b in batches for p in b.positions] == [9, 19, 29, 34]


def test_a_batch_ends_by_count_bytes_or_time(broker: PrivateRabbitMQ) -> None:
    """Whichever comes first; a record larger than a batch is a batch of its own."""
    settings = a_queue(broker.url, batch_messages=6, batch_bytes=1000, batch_seconds=0.3)
    publish(settings, [*numbered(0, 8), *numbered(8, 11, size=400), *numbered(11, 12, size=3000), *numbered(12, 13)])
    with reading(settings) as (_, batches):
        found = take(batches, 13)
        assert [len(b.bodies) for b in found] == [6, 4, 1, 1, 1]
        publish(settings, numbered(13, 14))
        take(batches, 1)


def test_a_window_all_in_hand_is_given_at_once(broker: PrivateRabbitMQ) -> None:
    """A prefetch smaller than a batch does not make every batch wait for its time."""
    settings = a_queue(broker.url, prefetch=4, batch_messages=5000, batch_seconds=3600)
    publish(settings, numbered(0, 40))
    with reading(settings) as (source, batches):
        found: list[bytes] = []
        while len(found) < 40:
            batch = next(batches)
            found += batch.bodies.to_pylist()
            source.acknowledge(batch.acknowledgements)
    assert found == numbered(0, 40)


def test_prefetch_and_names_are_seen_at_the_broker(broker: PrivateRabbitMQ) -> None:
    """The broker lists the consumer with its name and prefetch, and sends no more than that ahead."""
    settings = a_queue(broker.url, prefetch=17, consumer_name="penstock-test")
    publish(settings, numbered(0, 50))
    with reading(settings) as (source, batches):
        take(batches, 17)
        listed = broker.ctl("list_consumers", "queue_name", "consumer_tag", "ack_required", "prefetch_count")
        assert f"{settings.queue}\tpenstock-test\ttrue\t17" in listed
        assert "penstock-test" in broker.ctl("list_connections", "client_properties")
        assert source.lag() == 50, "what is received and not acknowledged counts"
        assert (source.connected, source.received, source.reconnects) == (True, 17, 0)


def test_limits_end_the_reading(broker: PrivateRabbitMQ) -> None:
    """After so many messages, or so long; what was not given goes back."""
    settings = a_queue(broker.url, batch_messages=10)
    publish(settings, numbered(0, 60))
    with reading(settings, max_messages=25) as (source, batches):
        found = [b for b in batches if not b.empty]
        assert [len(b.bodies) for b in found] == [10, 10, 5]
        source.acknowledge(found[-1].acknowledgements)
    until(lambda: waiting(settings) == 35, "the rest went back to the queue")
    with reading(settings, max_seconds=1) as (_, batches):
        assert len(bodies_of(list(batches))) == 35


def test_stop_gives_what_is_in_hand(broker: PrivateRabbitMQ) -> None:
    """Asked to stop, a reader gives the batch it was filling, and ends, also when nothing comes."""
    settings = a_queue(broker.url, batch_seconds=3600)
    publish(settings, numbered(0, 5))
    stop = threading.Event()
    with reading(settings, stop=stop.is_set) as (source, batches):
        assert next(batches).empty
        until(lambda: source.received == 5, "they came")
        stop.set()
        assert len(bodies_of(list(batches))) == 5
    with reading(settings, stop=stop.is_set) as (_, batches):
        assert list(batches) == []


def test_a_waiting_source_gives_empty_batches(broker: PrivateRabbitMQ) -> None:
    """So that its reader can look after itself."""
    settings = a_queue(broker.url)
    with reading(settings) as (_, batches):
        for _ in range(3):
            assert next(batches).empty


def test_what_comes_later_is_read_too(broker: PrivateRabbitMQ) -> None:
    """Reading goes on while messages are published, and loses none."""
    settings = a_queue(broker.url, batch_messages=50, prefetch=100)
    declare(settings)
    publisher = threading.Thread(target=publish, args=(settings, numbered(0, 2000)))
    publisher.start()
    with reading(settings) as (source, batches):
        found: list[bytes] = []
        while len(found) < 2000:
            batch = next(batches)
            found += batch.bodies.to_pylist()
            source.acknowledge(batch.acknowledgements)
    publisher.join()
    assert found == numbered(0, 2000)
    until(lambda: waiting(settings) == 0, "all are acknowledged")


def test_reading_again_starts_over(broker: PrivateRabbitMQ) -> None:
    """A second read gives what was not acknowledged again; positions of the first are of no use to it."""
    settings = a_queue(broker.url, "classic", batch_messages=10)
    publish(settings, numbered(0, 20))
    with reading(settings, until_empty=True) as (source, batches):
        first = take(batches, 20)
        again = source.read({})
        second = take(again, 20)
        assert bodies_of(second) == bodies_of(first)
        source.acknowledge(first[-1].acknowledgements)
    until(lambda: waiting(settings) == 20, "the stale acknowledgement was not sent")


def test_exchange_and_bindings(broker: PrivateRabbitMQ) -> None:
    """An exchange is declared and bound by each key."""
    name = "events_of_test"
    settings = a_queue(broker.url, exchange=name, routing_keys=["a.*", "b"])
    for key in ("a.1", "b"):
        publish(settings, numbered(0, 1), exchange=name, key=key)
    with pytest.raises(pika.exceptions.UnroutableError):
        publish(settings, numbered(0, 1), exchange=name, key="c")
    assert len(bodies_of(drain(settings))) == 2


def test_passive_topology(broker: PrivateRabbitMQ) -> None:
    """With ``declare: false`` a queue that is there is read as it is, and one that is not is an error."""
    settings = a_queue(broker.url, "classic")
    publish(settings, numbered(0, 3))
    passive = settings.model_copy(update={"declare": False, "queue_type": "quorum"})
    assert len(bodies_of(drain(passive))) == 3
    with pytest.raises(SourceError, match="no queue") as missing:
        drain(passive.model_copy(update={"queue": "not_there"}))
    assert "declare: true" in missing.value.fix


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        ({"url": "amqp://guest:hunter2@{host}/"}, "user:"),
        ({"url": "amqp://guest:guest@{host}/none"}, "vhost:"),
        ({"url": "amqp://guest:guest@127.0.0.1:1/"}, "port:"),
        ({"queue_type": "classic"}, "queue_type:"),
        ({"url": "amqps://guest:guest@{host}/"}, "tls:"),
    ],
)
def test_what_the_broker_refuses(broker: PrivateRabbitMQ, said: dict[str, Any], fix: str) -> None:
    """At the first start a refusal is an error with its fix, and no password in it."""
    settings = a_queue(broker.url)
    declare(settings)
    said = {k: v.format(host=f"127.0.0.1:{broker.port}") for k, v in said.items()}
    wrong = a_queue(said.pop("url", broker.url)).model_copy(update={**said, "queue": settings.queue})
    with pytest.raises(SourceError) as refused:
        drain(wrong, patience_seconds=0.5)
    assert fix in refused.value.fix
    assert "hunter2" not in str(refused.value)


def test_tls(broker: PrivateRabbitMQ, tmp_path: Path) -> None:
    """A broker is trusted by its certificate; one that is not trusted is an error."""
    made = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    ca, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", *made.split(), "-keyout", key, "-out", ca], check=True, capture_output=True)
    port = free_port()
    options = (
        f'[{{certfile, "{ca}"}}, {{keyfile, "{key}"}}, {{cacertfile, "{ca}"}},'
        " {verify, verify_none}, {fail_if_no_peer_cert, false}]"
    )
    tmp_path.chmod(0o755)
    broker.ctl("eval", f"rabbit_networking:start_ssl_listener({port}, {options}, 2).")
    settings = a_queue(f"amqps://guest:guest@127.0.0.1:{port}/", tls={"ca": str(ca)}, batch_messages=300)
    published = numbered(0, 1000, size=300)
    publish(settings, published)
    assert bodies_of(drain(settings)) == published
    with pytest.raises(SourceError, match="TLS failed"):
        drain(settings.model_copy(update={"tls": a_queue("amqps://x").tls}))


@pytest.mark.parametrize("kind", ["classic", *(pytest.param(k, marks=pytest.mark.slow) for k in KINDS[1:])])
def test_a_slow_reader_bounds_memory(broker: PrivateRabbitMQ, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading from the socket pauses when enough waits, and goes on; nothing is lost."""
    limit = 4 << 20
    monkeypatch.setattr("penstock.sources.rabbitmq.receiver.WAITING_BYTES", limit)
    settings = a_queue(broker.url, kind, batch_bytes=1 << 20)
    published = numbered(0, 60, size=1 << 19)
    publish(settings, published)
    most = 0
    with reading(settings) as (source, batches):
        found: list[bytes] = []
        while len(found) < 60:
            batch = next(batches)
            found += batch.bodies.to_pylist()
            source.acknowledge(batch.acknowledgements)
            time.sleep(0.05)
            assert source._receiver is not None
            most = max(most, source._receiver.waiting_bytes)
        assert source.reconnects == 0
    assert found == published
    assert limit // 2 < most < 2 * limit


def test_messages_that_come_again_are_few(broker: PrivateRabbitMQ) -> None:
    """Two readers share a queue; what one leaves, the other takes."""
    settings = a_queue(broker.url, batch_messages=20, prefetch=40)
    publish(settings, numbered(0, 200))
    with reading(settings) as (one, of_one), reading(settings) as (_, of_other):
        first = take(of_one, 20)
        take(of_other, 20)
        one.acknowledge(first[0].acknowledgements)
    until(lambda: waiting(settings) == 180, "what was not acknowledged went back")
    left = set(bodies_of(drain(settings)))
    assert left | set(bodies_of(first)) == set(numbered(0, 200))


def test_the_broker_knows_the_connection_by_name(broker: PrivateRabbitMQ) -> None:
    """A short connection of a command has a name too."""
    settings = a_queue(broker.url)
    with connected(settings, name="penstock doctor") as connection:
        connection.channel()
        assert "penstock doctor" in broker.ctl("list_connections", "client_properties")


@pytest.mark.parametrize("kind", ["classic", "stream"])
def test_odd_messages_among_plain_ones(broker: PrivateRabbitMQ, kind: str) -> None:
    """Each is undone or rejected whole with its headers and origin; the others of the batch land."""
    settings = a_queue(broker.url, kind)
    publish(settings, numbered(0, 2), message_id="plain")
    publish(settings, [gzip.compress(numbered(2, 3)[0]), b"no gzip"], content_encoding="gzip", headers={"try": 1})
    publish(settings, [b""], message_id="empty")
    event = {
        "cloudEvents:id": "7",
        "cloudEvents:source": "/s",
        "cloudEvents:type": "t",
        "cloudEvents:specversion": "1.0",
    }
    publish(settings, numbered(3, 4), headers=event)
    publish(settings, [b"not JSON, which is not the source's to say"])
    (batch,) = drain(settings, message_ids=True)
    assert bodies_of([batch])[:4] == numbered(0, 4)
    assert batch.message_ids is not None
    assert batch.message_ids.to_pylist() == ["plain", "plain", None, '["/s", "7"]', None]
    assert [(r.body, r.code) for r in batch.rejects] == [(b"no gzip", "invalid_json"), (b"", "invalid_json")]
    headers = batch.rejects[0].headers
    assert headers is not None
    assert headers["headers"]["try"] == 1
    place = f"{'queue' if kind == 'classic' else 'stream'} {settings.queue}"
    numbered_ = kind == "stream"
    assert [r.origin for r in batch.rejects] == ([f"{place}#3", f"{place}#4"] if numbered_ else [place, place])
    assert [batch.origin(i) for i in (0, 2, 3)] == (
        [f"{place}#0", f"{place}#2", f"{place}#5"] if numbered_ else [place] * 3
    )
    assert kind == "stream" or waiting(settings) == 0


def test_the_last_messages_are_given_before_an_empty_queue_ends_it(broker: PrivateRabbitMQ) -> None:
    """Messages that have come and wait for their batch to be due are no empty queue."""
    settings = a_queue(broker.url, "classic", batch_messages=100, batch_seconds=3.0)
    publish(settings, numbered(0, 130))
    assert len(bodies_of(drain(settings))) == 130
