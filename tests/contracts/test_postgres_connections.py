"""A PostgreSQL that is gone without a word is noticed: the connections' sockets say so."""

from __future__ import annotations

import os
import socket
from urllib.parse import urlsplit

import pyarrow as pa
import pytest

from penstock.destinations.postgres.destination import PostgresDestination

OPTIONS = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")


def _sockets(port: int) -> list[tuple[int, ...]]:
    """The options of this process's connections to a port."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            copy = os.dup(int(name))
        except OSError:
            continue
        try:
            one = socket.socket(fileno=copy)
        except OSError:
            os.close(copy)
            continue
        with one:
            if one.family in (socket.AF_INET, socket.AF_INET6) and one.type == socket.SOCK_STREAM:
                try:
                    peer = one.getpeername()[1]
                except OSError:
                    continue
                if peer == port:
                    assert one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                    found.append(tuple(one.getsockopt(socket.IPPROTO_TCP, getattr(socket, o)) for o in OPTIONS))
    return found


@pytest.mark.parametrize(
    ("more", "expected"),
    [("", (30, 10, 3, 120_000)), ("keepalives_idle=7&tcp_user_timeout=9000", (7, 10, 3, 9_000))],
)
def test_both_drivers_notice(postgres_url: str, more: str, expected: tuple[int, ...]) -> None:
    """The connection for landings and the one for all else, by default and as the project says."""
    parts = urlsplit(postgres_url)
    if parts.hostname is None or parts.port is None:
        pytest.fail("the test needs a server by TCP")
    before = len(_sockets(parts.port))
    sign = "&" if parts.query else "?"
    destination = PostgresDestination(f"{postgres_url}{sign if more else ''}{more}", shown="test database")
    assert destination.query("select 1").rows == [(1,)]
    with destination.landing_connection.cursor() as cursor:
        cursor.execute("select 1 as n")
        assert cursor.fetch_arrow_table() == pa.table({"n": pa.array([1], pa.int32())})
    assert before == 0 and _sockets(parts.port) == [expected, expected]
    destination.close()
