"""Whatever ends a connection, consuming goes on by itself, in full and without a stale acknowledgement."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from penstock.project import RabbitMQ
from penstock.sources.rabbitmq.amqp import connected
from penstock.sources.rabbitmq.source import RabbitMQSource
from penstock.testing.proxy import Proxy
from penstock.testing.rabbitmq import PrivateRabbitMQ
from tests.support.queues import (
    a_queue,
    bodies_of,
    declare,
    drain,
    numbered,
    publish,
    reading,
    refuse_an_attempt,
    take,
    until,
    waiting,
)

Fault = Callable[[PrivateRabbitMQ, Proxy, RabbitMQSource, RabbitMQ], None]


@pytest.fixture
def proxy(broker: PrivateRabbitMQ) -> Iterator[Proxy]:
    """A way to the broker that can break."""
    with Proxy("127.0.0.1", broker.port) as between:
        yield between


def cut(_: PrivateRabbitMQ, proxy: Proxy, __: RabbitMQSource, ___: RabbitMQ) -> None:
    proxy.cut()


def reset(_: PrivateRabbitMQ, proxy: Proxy, __: RabbitMQSource, ___: RabbitMQ) -> None:
    proxy.reset()


def refuse_for_a_while(_: PrivateRabbitMQ, proxy: Proxy, source: RabbitMQSource, ___: RabbitMQ) -> None:
    refuse_an_attempt(proxy, source)


def stall(_: PrivateRabbitMQ, proxy: Proxy, source: RabbitMQSource, __: RabbitMQ) -> None:
    """Silence alone ends it: the heartbeat's check, and the next connection stalls too."""
    proxy.stall()
    until(lambda: not source.connected, "the heartbeat's check ended it")
    proxy.reset()
    proxy.resume()


def close_connection(broker: PrivateRabbitMQ, _: Proxy, __: RabbitMQSource, settings: RabbitMQ) -> None:
    """As an operator does."""
    broker.ctl("close_all_connections", "a test")


def close_channel(_: PrivateRabbitMQ, __: Proxy, source: RabbitMQSource, ___: RabbitMQ) -> None:
    """A precondition that fails, as when a consumer's time is up."""
    assert source._receiver is not None
    source._receiver._wish(lambda channel: channel.basic_ack(10**6))


def restart(broker: PrivateRabbitMQ, _: Proxy, __: RabbitMQSource, ___: RabbitMQ) -> None:
    broker.restart()


def kill(broker: PrivateRabbitMQ, _: Proxy, __: RabbitMQSource, ___: RabbitMQ) -> None:
    broker.kill()
    broker.start()


FAULTS: tuple[Fault, ...] = (cut, reset, refuse_for_a_while, stall, close_connection, close_channel, restart, kill)


ONE_KIND = {kill: "classic", stall: "quorum", restart: "quorum", close_connection: "quorum"}
"""Slow, and the same for each kind of queue. (The registry of quorum queues is written late: one that is seconds old
may not survive a kill.)"""
RARE = (stall, restart, kill)
CASES = [
    pytest.param(
        f,
        k,
        id=f"{f.__name__}-{k}",
        marks=() if f is cut or (f not in RARE and k == ONE_KIND.get(f, "quorum")) else pytest.mark.slow,
    )
    for f in FAULTS
    for k in ("classic", "quorum", "stream")
    if ONE_KIND.get(f, k) == k
]


@pytest.mark.parametrize(("fault", "kind"), CASES)
def test_consuming_goes_on(broker: PrivateRabbitMQ, proxy: Proxy, fault: Fault, kind: str) -> None:
    """Nothing is lost, what was acknowledged stays so, and QoS is what it was."""
    direct = a_queue(broker.url, kind)
    settings = direct.model_copy(
        update={"port": proxy.port, "batch_messages": 10, "prefetch": 40, "heartbeat_seconds": 1}
    )
    publish(direct, numbered(0, 100))
    with reading(settings) as (source, batches):
        found = take(batches, 30)
        source.acknowledge(found[0].acknowledgements)
        until(lambda: kind == "stream" or waiting(direct) == 50, "the first ten are acknowledged")
        fault(broker, proxy, source, direct)
        until(lambda: source.reconnects >= 1 and source.connected, lambda: f"connected again after {source.last_error}")
        for batch in found[1:]:
            source.acknowledge(batch.acknowledgements)
        publish(direct, numbered(100, 110))
        while {*bodies_of(found)} != {*numbered(0, 110)}:
            batch = next(batches)
            found.append(batch)
            source.acknowledge(batch.acknowledgements)
        listed = broker.ctl("list_consumers", "queue_name", "ack_required", "prefetch_count")
        assert kind == "stream" or f"{settings.queue}\ttrue\t40" in listed
        assert source.last_error
    if kind == "stream":
        assert bodies_of(found) == numbered(0, 110)
    else:
        until(lambda: waiting(direct) == 0, "all are acknowledged")
        again = bodies_of(found).count(numbered(0, 1)[0]) - 1
        assert not again or fault is kill, "what was acknowledged does not come again"  # a broker forgets the last acks


def test_a_stale_acknowledgement_is_not_sent(broker: PrivateRabbitMQ, proxy: Proxy) -> None:
    """A tag of an old connection would acknowledge other messages on the new one."""
    direct = a_queue(broker.url, batch_messages=10)
    publish(direct, numbered(0, 20))
    with reading(direct.model_copy(update={"port": proxy.port})) as (source, batches):
        old = take(batches, 20)
        proxy.reset()
        new = take(batches, 20)
        assert sorted(bodies_of(new)) == sorted(bodies_of(old))
        source.acknowledge(old[-1].acknowledgements)
        source.acknowledge(new[0].acknowledgements)
    until(lambda: waiting(direct) == 10, "the new one's first ten are acknowledged, and no more")


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_queue_deleted_and_made_again(broker: PrivateRabbitMQ, kind: str) -> None:
    """It is declared again, or waited for when it is not ours to declare."""
    settings = a_queue(broker.url, kind)
    publish(settings, numbered(0, 5))
    for declared in (True, False):
        with reading(settings.model_copy(update={"declare": declared})) as (source, batches):
            source.acknowledge(take(batches, 5)[-1].acknowledgements)
            with connected(settings) as connection:
                connection.channel().queue_delete(settings.queue)
            missed = "cancelled" if declared else "no queue"
            until(lambda source=source, missed=missed: missed in source.last_error, missed)  # type: ignore[misc]
            publish(settings, numbered(5, 10))
            assert bodies_of(take(batches, 5)) == numbered(5, 10)
            assert source.reconnects >= 1
        with connected(settings) as connection:
            connection.channel().queue_delete(settings.queue)
        publish(settings, numbered(0, 5))


@pytest.mark.slow
def test_a_consumer_whose_time_is_up(broker: PrivateRabbitMQ) -> None:
    """The broker closes the channel of one that does not acknowledge; it consumes again, and says why."""
    before = broker.ctl("eval", "application:get_env(rabbit, consumer_timeout).")
    broker.ctl("eval", "application:set_env(rabbit, consumer_timeout, 1000).")
    try:
        settings = a_queue(broker.url)
        publish(settings, numbered(0, 5))
        with reading(settings) as (source, batches):
            first = take(batches, 5)
            again = take(batches, 5)
            assert "timed out" in source.last_error
            source.acknowledge(first[0].acknowledgements)
            source.acknowledge(again[0].acknowledgements)
        assert bodies_of(again) == bodies_of(first)
    finally:
        value = before.strip().removeprefix("{ok,").removesuffix("}") if "ok" in before else "1800000"
        broker.ctl("eval", f"application:set_env(rabbit, consumer_timeout, {value}).")
    assert drain(settings) == []


def test_a_broker_that_is_not_there_yet(broker: PrivateRabbitMQ, proxy: Proxy) -> None:
    """The first connection is waited for too."""
    proxy.refuse()
    settings = a_queue(broker.url)
    publish(settings, numbered(0, 5))
    with reading(settings.model_copy(update={"port": proxy.port})) as (source, batches):
        for _ in range(4):
            assert next(batches).empty
        assert not source.connected
        proxy.accept()
        assert len(bodies_of(take(batches, 5))) == 5
        assert source.reconnects == 0


@pytest.mark.slow
def test_a_destination_that_is_away_for_long(
    broker: PrivateRabbitMQ, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody reads, the socket is full, the connection dies of it: memory stays bounded, and less is sent ahead."""
    monkeypatch.setattr("penstock.sources.rabbitmq.receiver.WAITING_BYTES", 4 << 20)
    direct = a_queue(broker.url)
    settings = direct.model_copy(update={"heartbeat_seconds": 1, "batch_bytes": 1 << 20, "port": proxy.port})
    published = numbered(0, 50, size=1 << 18)
    publish(direct, published)
    with reading(settings) as (source, batches):
        found: Any = take(batches, 4)
        receiver = source._receiver
        assert receiver is not None
        until(lambda: source.reconnects >= 1, "a connection that is not read from is given up")
        assert receiver.prefetch < 16
        until(lambda: receiver.waiting == receiver.prefetch, "the new one holds what fits")
        time.sleep(8)
        assert source.reconnects == 1, "and it lives, as its heartbeats are answered"
        while {*bodies_of(found)} != {*published}:
            batch = next(batches)
            found.append(batch)
            source.acknowledge(batch.acknowledgements)


@pytest.mark.slow
def test_heartbeats_while_a_batch_lands(broker: PrivateRabbitMQ) -> None:
    """The reader is away for longer than the heartbeat, and its connection and acknowledgement are as good after."""
    settings = a_queue(broker.url, heartbeat_seconds=1)
    publish(settings, numbered(0, 5))
    declare(settings)
    with reading(settings) as (source, batches):
        found = take(batches, 5)
        time.sleep(8)
        assert source.connected
        source.acknowledge(found[0].acknowledgements)
        assert source.reconnects == 0
    assert drain(settings) == []
