"""What one process at a time does, on whatever machine: a PostgreSQL session's advisory lock.

The server lets go of it when the session ends: at once when the process does, and after about a minute when its machine
is gone without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg

_POLL_SECONDS = 1.0
_SETTINGS = {
    # that the server, too, notices a machine that is gone
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    # a claim is a session that is idle for as long as the work takes; PostgreSQL 14 and later
    "idle_session_timeout": "0",
}


@contextmanager
def claimed(connection: psycopg.Connection[Any], name: str, wait: Callable[[float], object]) -> Iterator[bool]:
    """Hold the claim on ``name`` in this connection, which is for nothing else and closed at the end; False when
    ``wait`` said that it is not wanted any longer.

    Raises:
        psycopg.Error: the server is gone.
    """
    with closing(connection):
        known = connection.execute("select name from pg_settings where name = any(%s)", [list(_SETTINGS)]).fetchall()
        for (setting,) in known:
            connection.execute("select set_config(%s, %s, false)", [setting, _SETTINGS[setting]])
        yield _take(connection, f"penstock claim {name}", wait)


def _take(connection: psycopg.Connection[Any], key: str, wait: Callable[[float], object]) -> bool:
    while True:
        row = connection.execute("select pg_try_advisory_lock(hashtextextended(%s, 0))", [key]).fetchone()
        if row == (True,):
            return True
        if wait(_POLL_SECONDS):
            return False
