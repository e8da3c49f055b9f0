"""The tests' own RabbitMQ: it keeps what was confirmed when killed, and nothing of it outlives its owner."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pika
import pika.exceptions
import pytest

from penstock.errors import PenstockError
from penstock.testing import rabbitmq
from penstock.testing.private import MissingServer, free_port
from penstock.testing.rabbitmq import PrivateRabbitMQ, server_scripts
from tests.support.processes import lives, wait_until
from tests.support.servers import RabbitMQServer

OWNER = """
import sys
from penstock.testing.rabbitmq import PrivateRabbitMQ
server = PrivateRabbitMQ().start()
print(server.folder, *(server.folder / "pids").read_text().split(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def broker() -> Iterator[PrivateRabbitMQ]:
    """A broker these tests may kill."""
    with PrivateRabbitMQ(settings={"consumer_timeout": "123000"}) as server:
        yield server


def _connect(url: str) -> pika.BlockingConnection:
    return pika.BlockingConnection(pika.URLParameters(url))


@pytest.mark.slow
def test_confirmed_messages_survive_a_kill_and_a_restart(broker: PrivateRabbitMQ) -> None:
    """Killed, or shut down in order, it comes back on the same ports with every message that it had confirmed."""
    ports = (broker.port, broker.stream_port, broker.management_port)
    with _connect(broker.url) as connection:
        channel = connection.channel()
        for kind in ("classic", "quorum", "stream"):
            channel.queue_declare(kind, durable=True, arguments={"x-queue-type": kind})
        channel.confirm_delivery()
        for kind in ("classic", "quorum", "stream") * 10:
            persistent = pika.BasicProperties(delivery_mode=2)  # type: ignore[no-untyped-call]
            channel.basic_publish("", kind, b"{}", persistent)
    processes = [broker.process.pid, *broker._children()] if broker.process else []
    assert len(processes) > 1
    broker.kill()
    assert not any(lives(pid) for pid in processes)
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        _connect(broker.url)
    for again in (broker.start, broker.restart):
        again()
        assert ports == (broker.port, broker.stream_port, broker.management_port)
        with _connect(broker.url) as connection:
            for kind in ("classic", "quorum", "stream"):
                wait_until(lambda kind=kind: _taken(connection, kind) == 10, f"{kind}: not all were kept", seconds=60)  # type: ignore[misc]


@pytest.mark.slow
def test_all_its_ports_answer_on_loopback_only(broker: PrivateRabbitMQ) -> None:
    """AMQP, the stream protocol and management; no other machine reaches one."""
    for port in (broker.port, broker.stream_port, broker.management_port):
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass
    pids = (broker.folder / "pids").read_text().split()
    assert _listens_beyond_loopback({int(pid) for pid in pids if lives(int(pid))}) == set()


@pytest.mark.slow
def test_its_own_rabbitmqctl_runs_and_its_settings_hold(broker: PrivateRabbitMQ) -> None:
    """Also as root, where Debian's would ask the machine's service; a failure says what it said."""
    assert "123000" in broker.ctl("environment")
    broker.ctl("add_vhost", "another / one")
    broker.ctl("set_permissions", "--vhost", "another / one", "guest", ".*", ".*", ".*")
    _connect(broker.url_of("another / one")).close()
    with pytest.raises(PenstockError, match="no_such_command"):
        broker.ctl("no_such_command")


def test_it_dies_with_its_owner() -> None:
    """Also when the owner is killed with SIGKILL: the node, what the node started, and Erlang's port mapper."""
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert owner.stdout is not None
        folder, *pids = owner.stdout.readline().split()
        assert len(pids) == 2
        assert all(lives(int(pid)) for pid in pids)
        port = _port_of_names(folder)
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.communicate()
    wait_until(lambda: not any(lives(int(pid)) for pid in pids), "the server outlived its owner")
    wait_until(lambda: not Path(folder).exists(), "its data folder outlived its owner")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_start_that_fails_leaves_nothing() -> None:
    """The error shows the server's own words, and folder and port mapper are gone."""
    server = PrivateRabbitMQ(settings={"tcp_listeners": "nonsense and more"})
    with pytest.raises(PenstockError, match="advanced_configuration_file"):
        server.start()
    assert not server.folder.exists()
    assert server._names is None


def test_missing_binaries_are_told_with_the_mending_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No skip: an error that says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(rabbitmq, "_DEBIAN", tmp_path)
    with pytest.raises(MissingServer, match="apt-get install -y rabbitmq-server"):
        server_scripts()


def test_each_test_has_a_vhost_of_its_own(rabbitmq_url: str, rabbitmq_server: RabbitMQServer) -> None:
    """Empty, named for this process, and as good as any for declaring, publishing and reading."""
    assert str(os.getpid()) in rabbitmq_url.rpartition("/")[2]
    assert rabbitmq_server.api("GET", f"queues/{rabbitmq_url.rpartition('/')[2]}") == []
    with _connect(rabbitmq_url) as connection:
        channel = connection.channel()
        channel.queue_declare("q")
        channel.confirm_delivery()
        channel.basic_publish("", "q", b"1")
        _, _, body = channel.basic_get("q", auto_ack=True)
        assert str(body) == str(b"1")


def test_a_free_port_is_not_one_that_connections_get() -> None:
    """Else a client could take it while its server is down."""
    listed = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(listed.read_text().split()[0]) if listed.exists() else 32_768
    assert all(free_port() < first for _ in range(50))


def _taken(connection: pika.BlockingConnection, queue: str) -> int:
    """How many messages a consumer gets, which takes none of them out; a queue that is not back yet gives none."""
    channel = connection.channel()
    channel.basic_qos(prefetch_count=100)
    arguments = {"x-stream-offset": "first"} if queue == "stream" else None
    try:
        messages = itertools.islice(channel.consume(queue, arguments=arguments, inactivity_timeout=1), 10)
        received = sum(message[0] is not None for message in messages)
        channel.cancel()
        channel.close()
        return received
    except pika.exceptions.ChannelClosedByBroker:
        return 0


def _port_of_names(folder: str) -> int:
    log = Path(folder, "pids").read_text().split()
    arguments = Path(f"/proc/{log[0]}/cmdline").read_text().split("\0")
    return int(arguments[arguments.index("-port") + 1])


def _listens_beyond_loopback(pids: set[int]) -> set[str]:
    inodes = set()
    for pid in pids:
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            try:
                inodes.add(os.readlink(handle))
            except OSError:
                continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            local = fields[1].partition(":")[0]
            loopback = ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes and local not in loopback:
                found.add(fields[1])
    return found
