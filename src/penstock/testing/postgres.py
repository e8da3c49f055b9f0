"""A private PostgreSQL server: own data folder, free loopback port, gone when the process is."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.errors import PenstockError
from penstock.testing.private import MissingServer, PrivateServer

_DEBIAN = Path("/usr/lib/postgresql")
_ACCOUNTS = ("postgres", "nobody")


def server_binaries() -> Path:
    """The folder of ``initdb`` and ``postgres``: from PATH, else the newest of Debian's.

    Raises:
        MissingServer: names the command that installs them.
    """
    for name in ("postgres", "pg_ctl"):
        program = shutil.which(name)
        if program and (Path(program).resolve().parent / "initdb").exists():
            return Path(program).resolve().parent
    versions = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]) if p.parts[-3].isdigit() else 0)
    if versions:
        return versions[-1].parent
    raise MissingServer(
        "no PostgreSQL server binaries on PATH or in /usr/lib/postgresql",
        fix="apt-get update && apt-get install -y postgresql (as root), or set PENSTOCK_TEST_POSTGRES_URL",
    )


class PrivatePostgres(PrivateServer):
    """A server of our own. As root it runs under another account, which PostgreSQL demands.

    Args:
        durable: keep ``fsync`` on, as in production; off is faster and for tests that pull no plug.
        settings: more server settings.
    """

    name = "PostgreSQL"
    interrupt = signal.SIGINT
    quit = signal.SIGQUIT

    def __init__(self, *, durable: bool = False, settings: Mapping[str, str] | None = None) -> None:
        self._binaries = server_binaries()
        super().__init__()
        self._account = _account()
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
            "max_connections": "100",
            **({} if durable else {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}),
            **(settings or {}),
        }
        if self._account:
            shutil.chown(self.folder, self._account["user"], self._account["group"])
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "-N")

    @property
    def url(self) -> str:
        """The maintenance database."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """A database's address."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _launch(self) -> subprocess.Popen[bytes]:
        options = [f"-c{name}={value}" for name, value in self._settings.items()]
        return self._spawn(
            [self._binaries / "postgres", "-D", self._data, "-p", str(self.port), *options], account=self._account
        )

    def _answers(self) -> bool:
        import psycopg

        try:
            with psycopg.connect(self.url, connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._binaries / program, *arguments], capture_output=True, check=False, cwd=self.folder, **self._account
        )
        if done.returncode:
            self.stop()
            raise PenstockError(f"{program} failed", where=done.stderr.decode(errors="replace")[-2000:])


def _account() -> dict[str, Any]:
    """How to start a child under another account: needless unless we are root."""
    if os.geteuid() != 0:
        return {}
    import pwd

    for name in _ACCOUNTS:
        try:
            return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}
        except KeyError:
            continue
    raise PenstockError("PostgreSQL refuses to run as root, and there is no other account", fix="useradd postgres")
