"""A private PostgreSQL server: own data folder, free loopback port, gone when the process is."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from penstock.errors import PenstockError

_DEBIAN = Path("/usr/lib/postgresql")
_START_SECONDS = 30
_ACCOUNTS = ("postgres", "nobody")
_DIE_WITH_PARENT = 1
"""``PR_SET_PDEATHSIG`` of prctl(2)."""
_DELETE_WHEN_ORPHANED = """
read -r _
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
case "$(ps -o args= -p "${pid:-0}" 2>/dev/null)" in *"$1"*) kill -QUIT "$pid" ;; esac
for _ in $(seq 100); do rm -rf -- "$1" 2>/dev/null; [ -e "$1" ] || exit 0; sleep 0.2; done
"""
"""A shell that waits for the end of its input, which is our end, however we end."""


class MissingServer(PenstockError):
    """There are no PostgreSQL server binaries on this machine."""


def server_binaries() -> Path:
    """The folder of ``initdb`` and ``postgres``: from PATH, else the newest of Debian's.

    Raises:
        MissingServer: names the command that installs them.
    """
    for name in ("postgres", "pg_ctl"):
        found = shutil.which(name)
        if found and (Path(found).resolve().parent / "initdb").exists():
            return Path(found).resolve().parent
    versions = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]) if p.parts[-3].isdigit() else 0)
    if versions:
        return versions[-1].parent
    raise MissingServer(
        "no PostgreSQL server binaries on PATH or in /usr/lib/postgresql",
        fix="apt-get update && apt-get install -y postgresql (as root), or set PENSTOCK_TEST_POSTGRES_URL",
    )


class PrivatePostgres:
    """A server of our own. As root it runs under another account, which PostgreSQL demands.

    Neither the server nor its folder outlives the process that started it, not even when that gets SIGKILL. On Linux
    the thread that calls :meth:`start` has to live as long as the server is to.

    Args:
        durable: keep ``fsync`` on, as in production; off is faster and for tests that pull no plug.
        settings: more server settings.
    """

    def __init__(self, *, durable: bool = False, settings: Mapping[str, str] | None = None) -> None:
        self._binaries = server_binaries()
        self.folder = Path(tempfile.mkdtemp(prefix="penstock-postgres-"))
        self._account = _account()
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
            "max_connections": "100",
            **({} if durable else {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}),
            **(settings or {}),
        }
        self.port = 0
        """Free when it is first started, and kept."""
        self.process: subprocess.Popen[bytes] | None = None
        self.folder.chmod(0o755)
        self._sweeper = subprocess.Popen(
            ["sh", "-c", _DELETE_WHEN_ORPHANED, "sweeper", self.folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if self._account:
            shutil.chown(self.folder, self._account, self._account_group())
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "-N")

    @property
    def url(self) -> str:
        """The maintenance database."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """A database's address."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> PrivatePostgres:
        """Start and wait until it answers."""
        self.port = self.port or _free_port()
        options = [f"-c{name}={value}" for name, value in self._settings.items()]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self._binaries / "postgres", "-D", self._data, "-p", str(self.port), *options],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                **self._as_account(die_with_parent=True),
            )
        give_up = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > give_up:
                said = (self.folder / "log").read_text(errors="replace")[-2000:]
                self.stop()
                raise PenstockError("the private PostgreSQL did not start", where=said)
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        """Stop at once, and delete everything."""
        self._signal(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._sweeper.communicate()

    def restart(self) -> PrivatePostgres:
        """Shut down in order, cutting connections, and start again on the same port."""
        self._signal(signal.SIGINT)
        return self.start()

    def kill(self) -> None:
        """Pull the plug: SIGKILL to the server and all its workers. :meth:`start` recovers."""
        workers = self._workers()
        self._signal(signal.SIGKILL)
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        give_up = time.monotonic() + _START_SECONDS
        while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < give_up:
            time.sleep(0.01)

    def __enter__(self) -> PrivatePostgres:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(30)
        self.process = None

    def _workers(self) -> list[int]:
        """The server's own children, which hold its shared memory until they are gone too."""
        if self.process is None:
            return []
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in listed.read_text().split()] if listed.exists() else []

    def _answers(self) -> bool:
        import psycopg

        try:
            with psycopg.connect(self.url, connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._binaries / program, *arguments],
            capture_output=True,
            check=False,
            cwd=self.folder,
            **self._as_account(),
        )
        if done.returncode:
            self.stop()
            raise PenstockError(f"{program} failed", where=done.stderr.decode(errors="replace")[-2000:])

    def _as_account(self, *, die_with_parent: bool = False) -> dict[str, Any]:
        """How to start a child: under the account, and dead when this process is, however it ends."""
        libc = ctypes.CDLL(None, use_errno=True)

        def prepare() -> None:
            if die_with_parent and hasattr(libc, "prctl"):
                libc.prctl(_DIE_WITH_PARENT, signal.SIGQUIT)

        found: dict[str, Any] = {"preexec_fn": prepare}
        if self._account:
            found |= {"user": self._account, "group": self._account_group(), "extra_groups": []}
        return found

    def _account_group(self) -> int:
        import pwd

        return pwd.getpwnam(self._account).pw_gid


def _account() -> str:
    """The account to run under: our own unless we are root."""
    if os.geteuid() != 0:
        return ""
    import pwd

    for name in _ACCOUNTS:
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise PenstockError("PostgreSQL refuses to run as root, and there is no other account", fix="useradd postgres")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
