"""The proxy does to connections what its methods say, both ways."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from penstock.testing.proxy import Proxy


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets, and ends when its client ends."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(side: socket.socket) -> None:
        with side:
            try:
                while data := side.recv(65_536):
                    side.sendall(data)
            except OSError:
                pass

    def accept() -> None:
        while True:
            try:
                side, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(side,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    """Before the echoing server."""
    with Proxy("127.0.0.1", echo) as proxy:
        yield proxy


def _connect(proxy: Proxy) -> socket.socket:
    side = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
    side.settimeout(10)
    return side


def _said(side: socket.socket, data: bytes) -> bytes:
    side.sendall(data)
    got = b""
    while len(got) < len(data) and (chunk := side.recv(65_536)):
        got += chunk
    return got


def test_it_forwards_both_ways_and_passes_ends_on(proxy: Proxy) -> None:
    """Ten connections at once, a mebibyte each; a side that has ended still gets the answer, then the end."""
    body = bytes(range(256)) * 4096
    answers: list[bytes] = []

    def talk() -> None:
        with _connect(proxy) as side:

            def say() -> None:
                side.sendall(body)
                side.shutdown(socket.SHUT_WR)

            sender = threading.Thread(target=say)
            sender.start()
            answers.append(b"".join(iter(lambda: side.recv(65_536), b"")))
            sender.join()

    threads = [threading.Thread(target=talk) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [body] * 10
    assert _eventually(lambda: proxy.connections == 0)


def test_cut_ends_connections_in_order(proxy: Proxy) -> None:
    """The client reads an end, not an error; the next connection works."""
    with _connect(proxy) as side:
        assert _said(side, b"before") == b"before"
        proxy.cut()
        assert side.recv(1) == b""
    with _connect(proxy) as side:
        assert _said(side, b"after") == b"after"


def test_reset_breaks_connections(proxy: Proxy) -> None:
    """The client gets an error; the next connection works."""
    with _connect(proxy) as side:
        assert _said(side, b"before") == b"before"
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            side.recv(1)
    with _connect(proxy) as side:
        assert _said(side, b"after") == b"after"


def test_stall_holds_everything_back_until_resume(proxy: Proxy) -> None:
    """Connections there are and new ones: made, silent, never closed; nothing is lost when they go on."""
    with _connect(proxy) as old:
        assert _said(old, b"before") == b"before"
        proxy.stall()
        with _connect(proxy) as new:
            for side in (old, new):
                side.sendall(b"held")
                side.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    side.recv(1)
                side.settimeout(10)
            proxy.resume()
            for side in (old, new):
                assert side.recv(4, socket.MSG_WAITALL) == b"held"


def test_a_stalled_connection_can_be_reset(proxy: Proxy) -> None:
    """And the stall goes on for the next one."""
    proxy.stall()
    with _connect(proxy) as side:
        side.sendall(b"held")
        assert _eventually(lambda: proxy.connections == 1)
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            side.recv(1)
    with _connect(proxy) as side:
        side.settimeout(0.2)
        side.sendall(b"held")
        with pytest.raises(TimeoutError):
            side.recv(1)


def test_slow_takes_its_time(proxy: Proxy) -> None:
    """10,000 bytes at 20,000 a second take half a second there, and arrive whole; resume is fast again."""
    proxy.slow(20_000)
    with _connect(proxy) as side:
        started = time.monotonic()
        assert _said(side, b"x" * 10_000) == b"x" * 10_000
        assert time.monotonic() - started > 0.4
        proxy.resume()
        assert _said(side, b"x" * 1_000_000) == b"x" * 1_000_000


def test_refuse_breaks_new_connections_only(proxy: Proxy) -> None:
    """Until it accepts again."""
    with _connect(proxy) as old:
        assert _said(old, b"before") == b"before"
        proxy.refuse()
        with pytest.raises(ConnectionError), _connect(proxy) as new:
            new.sendall(b"x")
            new.recv(1)
            raise AssertionError("the connection was not broken")
        assert _said(old, b"still") == b"still"
        proxy.accept()
        with _connect(proxy) as new:
            assert _said(new, b"again") == b"again"


def test_a_server_that_is_away_breaks_the_connection() -> None:
    """As the server's own port would refuse it."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with Proxy("127.0.0.1", port) as proxy, pytest.raises(ConnectionResetError), _connect(proxy) as side:
        side.recv(1)
        raise AssertionError("the connection was not broken")


def test_close_ends_everything(echo: int) -> None:
    """Its port is closed, its connections are broken, its thread is gone; again is harmless."""
    proxy = Proxy("127.0.0.1", echo)
    with _connect(proxy) as side:
        assert _said(side, b"x") == b"x"
        proxy.close()
        with pytest.raises(ConnectionResetError):
            side.recv(1)
    with pytest.raises(ConnectionRefusedError):
        _connect(proxy)
    assert not proxy._thread.is_alive()
    proxy.close()


def test_urls_are_rewritten() -> None:
    """Account, path and options stay."""
    with Proxy("127.0.0.1", 1) as proxy:
        assert proxy.url_of("amqp://u:p%40@host:5672/%2F?heartbeat=3") == (
            f"amqp://u:p%40@127.0.0.1:{proxy.port}/%2F?heartbeat=3"
        )
        assert proxy.url_of("postgresql://host/db") == f"postgresql://127.0.0.1:{proxy.port}/db"


def _eventually(holds: object, seconds: float = 10) -> bool:
    assert callable(holds)
    give_up = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.01)
    return True
