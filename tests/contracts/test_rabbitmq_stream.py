"""Stream queues by the stream protocol, on a real broker: the same as by AMQP, only faster."""

from __future__ import annotations

import gzip
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard

from penstock.errors import SourceError
from penstock.ports import Batch
from penstock.sources.rabbitmq.amqp import connected
from penstock.sources.rabbitmq.stream_source import StreamProtocolSource
from penstock.testing.private import free_port
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
)
from tests.support.streams import a_stream, data, publish_batches, publish_entries, with_id


@pytest.fixture
def proxy(broker: PrivateRabbitMQ) -> Iterator[Proxy]:
    """A way to the broker that can break."""
    with Proxy("127.0.0.1", broker.stream_port) as between:
        yield between


def ids_of(batches: Sequence[Batch]) -> list[Any]:
    """All message ids, in order."""
    return [i for b in batches if b.message_ids is not None for i in b.message_ids.to_pylist()]


def test_everything_in_order_once(broker: PrivateRabbitMQ) -> None:
    """What is published over AMQP is read in its order, with offsets as positions and origins."""
    settings = a_stream(broker, batch_messages=700, batch_seconds=60)
    published = numbered(0, 4900, size=200)
    publish(settings, published)
    batches = drain(settings)
    assert bodies_of(batches) == published
    assert {len(b.bodies) for b in batches} == {700}
    assert all(b.bytes == sum(map(len, b.bodies.to_pylist())) for b in batches)
    (position,) = batches[-1].positions
    assert (position.key, position.state) == (f"stream {settings.queue}", {"offset": 4899})
    assert batches[1].origin(3) == f"stream {settings.queue}#703"


def test_the_same_as_by_amqp(broker: PrivateRabbitMQ) -> None:
    """Bodies, ids, origins, rejects and positions; a project may change the protocol and read on."""
    settings = a_stream(broker)
    event = {"id": "7", "source": "/s", "type": "t", "specversion": "1.0"}
    publish(settings, numbered(0, 2), message_id="plain", content_type="application/json", timestamp=1_700_000_000)
    publish(settings, [gzip.compress(numbered(2, 3)[0]), b"no gzip"], content_encoding="gzip", headers={"try": 1})
    publish(settings, [b"", b" \n"], message_id="empty", type="a type", app_id="an app", priority=3)
    publish(settings, numbered(3, 4), headers={f"cloudEvents:{k}": v for k, v in event.items()})
    publish(settings, [b'{"a":' + b"9" * 70_000 + b"}"], message_id="x" * 200, correlation_id="c", reply_to="r")
    publish(settings, [zstandard.compress(b'{"z":1}')], content_encoding="zstd")
    publish(settings, [b"x"], content_encoding="br")
    (one,) = drain(settings, message_ids=True)
    (other,) = drain(settings.model_copy(update={"protocol": "amqp"}), message_ids=True)
    assert bodies_of([one]) == bodies_of([other])
    assert ids_of([one]) == ids_of([other])
    assert [one.origin(i) for i in range(len(one.bodies))] == [other.origin(i) for i in range(len(one.bodies))]
    assert one.positions == other.positions
    plain = [(r.body, r.code, r.reason, r.origin) for r in one.rejects]
    assert plain == [(r.body, r.code, r.reason, r.origin) for r in other.rejects]
    assert len(plain) == 4
    for mine, theirs in zip(one.rejects, other.rejects, strict=True):
        said, expected = dict(mine.headers or {}), dict(theirs.headers or {})
        headers = {k: v for k, v in expected.pop("headers").items() if k != "x-stream-offset"}
        assert said.pop("headers", {}) == headers
        assert said == expected


def test_read_on_from_the_ledger(broker: PrivateRabbitMQ) -> None:
    """In the middle of a chunk too: what is known decides, and the other protocol's position is as good."""
    settings = a_stream(broker, batch_messages=10)
    declare(settings)
    published = numbered(0, 350)
    publish_entries(settings, [data(body) for body in published])
    for known, rest in ((0, 1), (9, 10), (14, 15), (348, 349), (349, 350)):
        position = {f"stream {settings.queue}": {"offset": known}}
        for protocol in ("stream", "amqp"):
            again = drain(settings.model_copy(update={"protocol": protocol}), known=position)
            assert bodies_of(again) == published[rest:]


@pytest.mark.parametrize(
    ("compression", "pack"), [(0, bytes), (1, gzip.compress), (4, zstandard.compress)], ids=["none", "gzip", "zstd"]
)
def test_sub_batches(broker: PrivateRabbitMQ, compression: int, pack: Callable[[bytes], bytes]) -> None:
    """Each message of a sub-batch has its own offset, and reading on starts in the middle of one."""
    settings = a_stream(broker)
    declare(settings)
    published = numbered(0, 100, size=50)
    messages = [with_id(n, body) for n, body in enumerate(published)]
    publish_entries(settings, messages[:5])
    publish_batches(settings, [messages[5:35], messages[35:36], messages[36:90]], compression, pack)
    publish_entries(settings, messages[90:])
    batches = drain(settings, message_ids=True)
    assert bodies_of(batches) == published
    assert ids_of(batches) == [f"{n:08d}" for n in range(100)]
    assert batches[-1].positions[0].state == {"offset": 99}
    assert bodies_of(drain(settings, known={f"stream {settings.queue}": {"offset": 49}})) == published[50:]


def test_a_compression_that_is_not_read(broker: PrivateRabbitMQ) -> None:
    """It ends the reading, by name, after what came before it."""
    settings = a_stream(broker)
    declare(settings)
    publish_entries(settings, [data(body) for body in numbered(0, 3)])
    publish_batches(settings, [[b"x"]], 3, bytes)
    with reading(settings) as (_, batches), pytest.raises(SourceError, match="lz4; gzip and zstd are read"):
        while next(batches) is not None:
            pass


def test_messages_of_any_layout(broker: PrivateRabbitMQ) -> None:
    """Text, several data sections, no AMQP at all; what is neither bytes nor text is a reject, whole."""
    settings = a_stream(broker)
    declare(settings)
    table = b"\0\x53\x77\xc1\x05\x02\xa1\x01a\x43"
    entries = [
        data(b'{"n":1}'),
        b"\0\x53\x75\xa0\x04" + b'{"n"' + b"\0\x53\x75\xa0\x03" + b":2}",
        b"\0\x53\x77\xa1\x07" + b'{"n":3}',
        b"\0\x80\0\0\0\0\0\0\0\x75\xa0\x07" + b'{"n":4}',
        b'{"n":5}',
        b"\0\x53\x70\xc0\x02\x01\x41" + data(b'{"n":6}') + b"\0\x53\x78\xc1\x01\0",
        table,
        b"\0\x53\x75\xb0\xff\xff\xff\xff{",
        b"\0",
        data(b'{"n":7}'),
    ]
    publish_entries(settings, entries)
    (batch,) = drain(settings, message_ids=True)
    assert bodies_of([batch]) == [b'{"n":%d}' % n for n in range(1, 8)]
    assert [(r.body, r.code) for r in batch.rejects] == [(entry, "invalid_json") for entry in entries[6:9]]
    assert batch.rejects[0].origin == f"stream {settings.queue}#6"
    assert batch.origin(6) == f"stream {settings.queue}#9"


def test_drained_and_lag(broker: PrivateRabbitMQ) -> None:
    """An empty stream ends; the last chunk tells what is left, also when the oldest are dropped."""
    settings = a_stream(broker, batch_messages=10, batch_seconds=0.05)
    declare(settings)
    assert drain(settings) == []
    publish(settings, numbered(0, 45))
    with reading(settings) as (source, batches):
        source.acknowledge(take(batches, 20)[-1].acknowledgements)
        assert source.lag() == 25
        last = take(batches, 25)[-1]
        assert source.lag() == 25, "what is received and has not landed counts"
        source.acknowledge(last.acknowledgements)
        assert source.lag() == 0
        assert (source.connected, source.received, source.reconnects, source.last_error) == (True, 45, 0, "")


def test_the_oldest_are_dropped(broker: PrivateRabbitMQ) -> None:
    """Reading goes on with what is there, from a position that is there no more too."""
    settings = a_stream(broker, arguments={"x-max-length-bytes": 20_000, "x-stream-max-segment-size-bytes": 10_000})
    published = numbered(0, 300, size=1000)
    publish(settings, published)
    states: list[Any] = [{}, {f"stream {settings.queue}": {"offset": 2}}]
    for known in states:
        batches = drain(settings, known=known)
        found = bodies_of(batches)
        assert 0 < len(found) < 300
        assert found == published[-len(found) :]
        by_amqp = drain(settings.model_copy(update={"protocol": "amqp"}), known=known)
        assert bodies_of(by_amqp) == found
        assert by_amqp[-1].positions == batches[-1].positions, "a new segment starts with an offset of the broker's own"


def test_limits_and_stop(broker: PrivateRabbitMQ) -> None:
    """After so many messages, or so long, or when told to."""
    settings = a_stream(broker, batch_messages=10, batch_seconds=3600)
    publish(settings, numbered(0, 65))
    with reading(settings, max_messages=25) as (_, batches):
        assert [len(b.bodies) for b in batches if not b.empty] == [10, 10, 5]
    with reading(settings, max_seconds=1) as (_, batches):
        assert len(bodies_of(list(batches))) == 65
    stop = threading.Event()
    with reading(settings, stop=stop.is_set) as (source, batches):
        take(batches, 60)
        until(lambda: source.received == 65, "they came")
        stop.set()
        assert len(bodies_of(list(batches))) == 5


def test_names_are_seen_at_the_broker(broker: PrivateRabbitMQ) -> None:
    """The broker lists the connection by its name."""
    settings = a_stream(broker, consumer_name="penstock-test")
    publish(settings, numbered(0, 5))
    with reading(settings) as (_, batches):
        take(batches, 5)
        said = broker.ctl(
            "eval",
            "[rabbit_stream_reader:info(P, [client_properties]) || P <- pg_local:get_members("
            "rabbit_stream_connections)].",
        )
        assert "penstock-test" in said


def test_a_slow_reader_bounds_memory(broker: PrivateRabbitMQ) -> None:
    """The broker has credit for no more than fits; nothing is lost."""
    settings = a_stream(broker, batch_bytes=1 << 20)
    published = numbered(0, 60, size=1 << 19)
    publish(settings, published)
    most = 0
    with reading(settings) as (source, batches):
        found: list[bytes] = []
        while len(found) < 60:
            found += next(batches).bodies.to_pylist()
            time.sleep(0.02)
            most = max(most, source._receiver.waiting_bytes)
        assert source.reconnects == 0
    assert found == published
    assert most < 4 << 20


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        ({"user": "nobody"}, "user"),
        ({"password": "hunter2"}, "password"),
        ({"vhost": "nowhere"}, "vhost"),
        ({"queue": "not-there"}, "declare"),
        ({"stream_port": 1}, "stream_port"),
    ],
    ids=["user", "password", "vhost", "queue", "port"],
)
def test_refusals_say_what_to_do(broker: PrivateRabbitMQ, said: dict[str, Any], fix: str) -> None:
    """What is wrong at the first start is an error with its fix, and no password in it."""
    settings = a_stream(broker, declare=False)
    declare(settings.model_copy(update={"declare": True}))
    url = {k: said.pop(k) for k in ("user", "password", "vhost") if k in said}
    given = {"user": "guest", "password": "guest", "vhost": "/", **url}
    address = f"amqp://{given['user']}:{given['password']}@127.0.0.1/{given['vhost'].replace('/', '%2F')}"
    wrong = a_queue(address, "stream", declare=False, protocol="stream", stream_port=broker.stream_port)
    wrong = wrong.model_copy(update={"queue": settings.queue, **said})
    with pytest.raises(SourceError) as refused:
        drain(wrong, patience_seconds=0.5)
    assert fix in refused.value.fix
    assert "hunter2" not in str(refused.value)


def test_a_port_of_another_protocol(broker: PrivateRabbitMQ) -> None:
    """AMQP answers in its own way."""
    settings = a_stream(broker).model_copy(update={"stream_port": broker.port})
    with pytest.raises(SourceError, match="RabbitMQ is away"):
        drain(settings, patience_seconds=0.5)


def test_tls(broker: PrivateRabbitMQ, tmp_path: Path) -> None:
    """A broker is trusted by its certificate; one that is not trusted is an error."""
    made = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    ca, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", *made.split(), "-keyout", key, "-out", ca], check=True, capture_output=True)
    port = free_port()
    tmp_path.chmod(0o755)
    broker.ctl(
        "eval",
        f"[Ref] = [R || R <- maps:keys(ranch:info()), ranch:get_port(R) =:= {broker.stream_port}],"
        " Options = maps:put(transport, ssl, ranch:get_protocol_options(Ref)),"
        f' Socket = [{{ip, {{127,0,0,1}}}}, {{port, {port}}}, {{certfile, "{ca}"}}, {{keyfile, "{key}"}}],'
        " {ok, _} = ranch:start_listener(tls, ranch_ssl, maps:from_list([{socket_opts, Socket},"
        " {connection_type, supervisor}]), rabbit_stream_connection_sup, Options).",
    )
    plain = a_stream(broker, batch_messages=300)
    published = numbered(0, 1000, size=3000)
    publish(plain, published)
    secured = a_queue("amqps://guest:guest@127.0.0.1/", tls={"ca": str(ca)}).tls
    settings = plain.model_copy(update={"tls": secured, "stream_port": port, "declare": False})
    assert bodies_of(drain(settings)) == published
    with pytest.raises(SourceError, match="TLS failed"):
        drain(settings.model_copy(update={"tls": a_queue("amqps://x").tls}))


def cut(_: PrivateRabbitMQ, proxy: Proxy, __: StreamProtocolSource) -> None:
    proxy.cut()


def reset(_: PrivateRabbitMQ, proxy: Proxy, __: StreamProtocolSource) -> None:
    proxy.reset()


def refuse_for_a_while(_: PrivateRabbitMQ, proxy: Proxy, source: StreamProtocolSource) -> None:
    refuse_an_attempt(proxy, source)


def stall(_: PrivateRabbitMQ, proxy: Proxy, source: StreamProtocolSource) -> None:
    proxy.stall()
    until(lambda: not source.connected, "the silence ended it")
    proxy.reset()
    proxy.resume()


def close_connection(broker: PrivateRabbitMQ, _: Proxy, __: StreamProtocolSource) -> None:
    broker.ctl("eval", "[exit(P, kill) || P <- pg_local:get_members(rabbit_stream_connections)].")


def restart(broker: PrivateRabbitMQ, _: Proxy, __: StreamProtocolSource) -> None:
    broker.restart()


def kill(broker: PrivateRabbitMQ, _: Proxy, __: StreamProtocolSource) -> None:
    broker.kill()
    broker.start()


@pytest.mark.parametrize(
    "fault",
    [
        cut,
        reset,
        refuse_for_a_while,
        stall,
        close_connection,
        *(pytest.param(f, marks=pytest.mark.slow) for f in (restart, kill)),
    ],
    ids=lambda f: f.__name__,
)
def test_reading_goes_on(
    broker: PrivateRabbitMQ,
    proxy: Proxy,
    fault: Callable[[PrivateRabbitMQ, Proxy, StreamProtocolSource], None],
) -> None:
    """Whatever ends a connection: each message once and in order."""
    direct = a_stream(broker)
    settings = direct.model_copy(update={"stream_port": proxy.port, "batch_messages": 10, "heartbeat_seconds": 1})
    publish(direct, numbered(0, 100))
    with reading(settings) as (source, batches):
        found = take(batches, 30)
        fault(broker, proxy, source)
        until(lambda: source.reconnects >= 1 and source.connected, lambda: f"connected again after {source.last_error}")
        publish(direct, numbered(100, 110))
        found += take(batches, 80)
        assert source.last_error
    assert bodies_of(found) == numbered(0, 110)


def test_a_stream_deleted_and_made_again(broker: PrivateRabbitMQ) -> None:
    """It is another stream, whose offsets start anew: read from its start, while at work and from the ledger."""
    settings = a_stream(broker)
    publish(settings, numbered(0, 20))
    with reading(settings) as (source, batches):
        take(batches, 20)
        with connected(settings) as connection:
            connection.channel().queue_delete(settings.queue)
        until(lambda: "deleted" in source.last_error, "it is gone")
        publish(settings, numbered(20, 25))
        found = take(batches, 5)
        assert bodies_of(found) == numbered(20, 25)
        assert found[-1].positions[0].state == {"offset": 4}
    assert bodies_of(drain(settings, known={f"stream {settings.queue}": {"offset": 19}})) == numbered(20, 25)
    assert drain(settings, known={f"stream {settings.queue}": {"offset": 4}}) == []


def test_a_stream_that_is_not_there_yet(broker: PrivateRabbitMQ, proxy: Proxy) -> None:
    """A broker that is away at the first start is waited for."""
    proxy.refuse()
    direct = a_stream(broker)
    publish(direct, numbered(0, 5))
    with reading(direct.model_copy(update={"stream_port": proxy.port})) as (source, batches):
        for _ in range(4):
            assert next(batches).empty
        assert not source.connected
        proxy.accept()
        assert len(bodies_of(take(batches, 5))) == 5


def test_heartbeats(broker: PrivateRabbitMQ) -> None:
    """Nothing comes and nobody reads for longer than the heartbeat, and the connection lives."""
    settings = a_stream(broker, heartbeat_seconds=1)
    publish(settings, numbered(0, 5))
    with reading(settings) as (source, batches):
        take(batches, 5)
        time.sleep(3.5)  # the broker ends a connection that is silent for two heartbeats, and looks once in each
        publish(settings, numbered(5, 6))
        assert bodies_of(take(batches, 1)) == numbered(5, 6)
        assert source.reconnects == 0


def test_a_bound_exchange(broker: PrivateRabbitMQ) -> None:
    """Exchange and binding are made, as when reading by AMQP."""
    settings = a_stream(broker)
    settings = settings.model_copy(update={"exchange": f"{settings.queue}_events", "routing_keys": ("a.#",)})
    with reading(settings) as (source, batches):
        assert next(batches).empty
        until(lambda: source.connected, "connected")
        assert settings.exchange is not None
        publish(settings, numbered(0, 3), exchange=settings.exchange, key="a.b")
        assert bodies_of(take(batches, 3)) == numbered(0, 3)
