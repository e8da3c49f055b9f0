"""A private RabbitMQ server: own data folder, free loopback ports, gone when the process is."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from penstock.errors import PenstockError
from penstock.testing.private import MissingServer, PrivateServer, free_port

_DEBIAN = Path("/usr/lib/rabbitmq/bin")
_ERLANG = Path("/usr/lib/erlang/bin")
_PLUGINS = "[rabbitmq_management,rabbitmq_stream]."
_FEW_SCHEDULERS = "+S 2:2"
_SLEEPING = "+sbwt none +sbwtdcpu none +sbwtdio none"
_LOOPBACK_ONLY = "-kernel inet_dist_use_interface {127,0,0,1}"
_COMMAND_SECONDS = 60


def server_scripts() -> Path:
    """The folder of RabbitMQ's own scripts; Debian's in ``/usr/sbin`` only run its service.

    Raises:
        MissingServer: names the command that installs them.
    """
    program = shutil.which("rabbitmq-server")
    for folder in (_DEBIAN, Path(program).resolve().parent if program else _DEBIAN):
        if (folder / "rabbitmq-env").exists():
            return folder
    raise _missing("no RabbitMQ server on PATH or in /usr/lib/rabbitmq")


class PrivateRabbitMQ(PrivateServer):
    """A broker of our own, with the management and stream plugins. Any account may run it.

    ``guest`` with password ``guest`` may do anything.

    Args:
        eager: let idle schedulers spin for a while, as in production; a third faster, and for measurements.
        settings: more settings of the application ``rabbit``, as Erlang terms: ``{"consumer_timeout": "2000"}``.
    """

    name = "RabbitMQ"
    start_seconds = 90
    interrupt = signal.SIGTERM
    quit = signal.SIGKILL

    def __init__(self, *, eager: bool = False, settings: Mapping[str, str] | None = None) -> None:
        self._scripts = server_scripts()
        self._epmd = shutil.which("epmd", path=f"{os.environ.get('PATH', '')}:{_ERLANG}")
        if self._epmd is None:
            raise _missing("no Erlang on PATH or in /usr/lib/erlang")
        super().__init__()
        self.stream_port = 0
        """Of the stream protocol."""
        self.management_port = 0
        """Of the management page and its HTTP API."""
        self._settings = dict(settings or {})
        self._schedulers = f"{_FEW_SCHEDULERS} {'' if eager else _SLEEPING}"
        self._environment: dict[str, str] = {}
        self._names: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The default virtual host."""
        return self.url_of("/")

    def url_of(self, vhost: str) -> str:
        """A virtual host's address."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{quote(vhost, safe='')}"

    def ctl(self, *arguments: str) -> str:
        """What ``rabbitmqctl`` prints.

        Raises:
            PenstockError: it failed; with what it said.
        """
        done = subprocess.run(
            [self._scripts / "rabbitmqctl", "--quiet", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env=self._environment,
            timeout=_COMMAND_SECONDS,
        )
        if done.returncode:
            raise PenstockError(f"rabbitmqctl {arguments[0]} failed", where=(done.stderr or done.stdout)[-2000:])
        return done.stdout

    def kill(self) -> None:
        """Pull the plug: SIGKILL to the node and all it started. :meth:`start` recovers.

        RabbitMQ 3.10 writes the directory of its queues late, and after a kill does not find those declared since, nor
        what is in them. It is made to write it first, as it has for queues that were there before.
        """
        if self.process is not None and self.process.poll() is None:
            self.ctl("eval", "mnesia:dump_log(), mnesia:sync_log(), [dets:sync(Table) || Table <- dets:all()].")
        super().kill()

    def stop(self) -> None:
        """Stop at once, and delete everything."""
        self._signal(self.quit)
        if self._names is not None:
            self._names.kill()
            self._names.wait()
            self._names = None
        super().stop()

    def _launch(self) -> subprocess.Popen[bytes]:
        if self._names is None:
            self._configure()
            self._names = self._spawn_names()
        return self._spawn([self._scripts / "rabbitmq-server"], environment=self._environment)

    def _spawn_names(self) -> subprocess.Popen[bytes]:
        """Erlang's port mapper: one that the broker started itself would stay behind."""
        assert self._epmd is not None
        own = self.folder / "epmd"
        own.symlink_to(self._epmd)
        port = self._environment["ERL_EPMD_PORT"]
        return self._spawn([own, "-address", "127.0.0.1", "-port", port], environment=self._environment)

    def _answers(self) -> bool:
        """The broker opens this port last of all, and greets whoever names the protocol."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def _log(self) -> str:
        """The node's own log says more than what it prints."""
        logs = [super()._log(), *(p.read_text(errors="replace") for p in sorted((self.folder / "logs").glob("*.log")))]
        return "\n".join(log for log in logs if log)

    def _configure(self) -> None:
        """Write the files, and leave nothing to the machine's or the environment's settings."""
        self.stream_port, self.management_port, names, nodes = free_port(), free_port(), free_port(), free_port()
        settings = {
            "tcp_listeners": f'[{{"127.0.0.1", {self.port}}}]',
            "vm_memory_high_watermark": "{absolute, 1073741824}",
            "disk_free_limit": "50000000",
            **self._settings,
        }
        rabbit = ", ".join(f"{{{name}, {value}}}" for name, value in settings.items())
        (self.folder / "advanced.config").write_text(
            f"[{{rabbit, [{rabbit}]}},\n"
            f' {{rabbitmq_management, [{{tcp_config, [{{ip, "127.0.0.1"}}, {{port, {self.management_port}}}]}}]}},\n'
            f' {{rabbitmq_stream, [{{tcp_listeners, [{{"127.0.0.1", {self.stream_port}}}]}},'
            f' {{advertised_host, <<"127.0.0.1">>}}, {{advertised_port, {self.stream_port}}}]}}].\n'
        )
        (self.folder / "enabled_plugins").write_text(_PLUGINS)
        cookie = self.folder / ".erlang.cookie"
        cookie.write_text(secrets.token_hex())
        cookie.chmod(0o400)
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("RABBITMQ_", "ERL_"))}
        self._environment = kept | {
            "HOME": str(self.folder),
            "ERL_CRASH_DUMP_SECONDS": "0",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(names),
            "RABBITMQ_NODENAME": f"penstock{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(nodes),
            "RABBITMQ_BASE": str(self.folder),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "none.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"),
            # the script becomes the node itself, instead of a parent that signals would have to pass through
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_START_ARGS": "-noinput",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{self._schedulers} {_LOOPBACK_ONLY}",
        }


def _missing(what: str) -> MissingServer:
    return MissingServer(
        what,
        fix="apt-get update && apt-get install -y rabbitmq-server (as root), or set PENSTOCK_TEST_RABBITMQ_URL",
    )
