"""The tests' own PostgreSQL: it keeps what was committed when killed, and nothing of it outlives its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from penstock.errors import PenstockError
from penstock.testing import postgres
from penstock.testing.postgres import PrivatePostgres, server_binaries
from penstock.testing.private import MissingServer
from tests.support.processes import lives, wait_until

OWNER = """
import sys
from penstock.testing.postgres import PrivatePostgres
server = PrivatePostgres().start()
print(server.process.pid, server.folder, flush=True)
sys.stdin.read()
"""


def test_committed_rows_survive_a_kill() -> None:
    """Killed and started again it recovers, on the same port; stopped, its folder is gone."""
    with PrivatePostgres(durable=True) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("create table kept (n int)")
            connection.execute("insert into kept values (1)")
        port = server.port
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.url, connect_timeout=2)
        server.start()
        assert server.port == port
        with psycopg.connect(server.url) as connection:
            assert connection.execute("select n from kept").fetchall() == [(1,)]
            assert connection.execute("show fsync").fetchone() == ("on",)
        server.restart()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("select n from kept").fetchall() == [(1,)]
    assert not server.folder.exists()


def test_it_dies_with_its_owner() -> None:
    """Also when the owner is killed with SIGKILL, as an interrupted test run may be."""
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert owner.stdout is not None
        pid, folder = owner.stdout.readline().split()
        assert lives(int(pid))
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.communicate()
    wait_until(lambda: not lives(int(pid)), "the server outlived its owner")
    wait_until(lambda: not Path(folder).exists(), "its data folder outlived its owner")


def test_a_start_that_fails_leaves_nothing() -> None:
    """The error shows the server's own words, and the folder is gone."""
    server = PrivatePostgres(settings={"shared_buffers": "nonsense"})
    with pytest.raises(PenstockError, match="shared_buffers"):
        server.start()
    assert not server.folder.exists()


def test_missing_binaries_are_told_with_the_mending_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No skip: an error that says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgres, "_DEBIAN", tmp_path)
    with pytest.raises(MissingServer, match="apt-get install -y postgresql"):
        server_binaries()


def test_each_test_has_a_database_of_its_own(postgres_url: str) -> None:
    """Empty, and named for this process."""
    with psycopg.connect(postgres_url) as connection:
        tables = connection.execute("select count(*) from pg_tables where schemaname = 'public'").fetchone()
        name = connection.execute("select current_database()").fetchone()
    assert tables == (0,)
    assert name is not None and str(os.getpid()) in name[0]
