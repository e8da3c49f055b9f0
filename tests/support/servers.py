"""One PostgreSQL and one RabbitMQ for a whole test run, started when the first test asks: by the process that pytest
was called as, so that they outlive whichever of its workers ends first."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from penstock.destinations.duckdb.destination import DuckDBDestination
from penstock.destinations.postgres.destination import PostgresDestination
from penstock.testing.postgres import PrivatePostgres
from penstock.testing.rabbitmq import PrivateRabbitMQ

_FOLDER = "servers_folder"
_WAIT_SECONDS = 120
_folder_key = pytest.StashKey[Path]()
_databases = itertools.count(1)
_vhosts = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RabbitMQServer:
    """A broker the tests may use."""

    url: str
    """Its default virtual host."""
    management: str
    """The base address of its management API."""
    stream_port: int = 5552

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Call the management API as the account of :attr:`url`; None where it answers nothing."""
        parts = urlsplit(self.url)
        account = f"{unquote(parts.username or 'guest')}:{unquote(parts.password or 'guest')}"
        request = urllib.request.Request(
            f"{self.management}/api/{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={
                "authorization": "Basic " + base64.b64encode(account.encode()).decode(),
                "content-type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = response.read()
        return json.loads(answer) if answer else None


@contextmanager
def _postgres() -> Iterator[dict[str, Any]]:
    with PrivatePostgres() as server:
        yield {"url": server.url}


@contextmanager
def _rabbitmq() -> Iterator[dict[str, Any]]:
    with PrivateRabbitMQ() as server:
        management = f"http://127.0.0.1:{server.management_port}"
        yield asdict(RabbitMQServer(url=server.url, management=management, stream_port=server.stream_port))


class Server(threading.Thread):
    """Starts a server once a worker asks for it with a file, and stops it at the end. A server of ours has to be
    started by a thread that lives as long as it does."""

    def __init__(self, folder: Path, name: str, start: Callable[[], AbstractContextManager[dict[str, Any]]]) -> None:
        super().__init__(name=name, daemon=True)
        self._folder = folder
        self._start_server = start
        self._ended = threading.Event()

    def run(self) -> None:
        """Wait for the first who asks; then answer with the address, or with what went wrong."""
        while not (self._folder / f"{self.name}.wanted").exists():
            if self._ended.wait(0.05):
                return
        try:
            with self._start_server() as address:
                _write(self._folder / f"{self.name}.json", json.dumps(address))
                self._ended.wait()
        except Exception as e:  # noqa: BLE001 - whoever asked is told, and fails
            _write(self._folder / f"{self.name}.error", f"{type(e).__name__}: {e}")

    def stop(self) -> None:
        """Stop what was started."""
        self._ended.set()
        self.join()


class Servers:
    """Those of a run, a plugin of the process that pytest was called as."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="penstock-tests-"))
        self._servers = [
            Server(self.folder, name, start) for name, start in (("postgres", _postgres), ("rabbitmq", _rabbitmq))
        ]
        for server in self._servers:
            server.start()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of xdist where to ask."""
        node.workerinput[_FOLDER] = str(self.folder)

    def pytest_unconfigure(self) -> None:
        """Stop them."""
        for server in self._servers:
            server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def pytest_configure(config: pytest.Config) -> None:
    """Have servers ready to be asked for, in the process that is nobody's worker."""
    if not hasattr(config, "workerinput"):
        servers = Servers()
        config.pluginmanager.register(servers)
        config.stash[_folder_key] = servers.folder
    else:
        config.stash[_folder_key] = Path(config.workerinput[_FOLDER])


def _address(config: pytest.Config, name: str) -> dict[str, Any]:
    """Ask for a server. Missing, the test fails."""
    folder = config.stash[_folder_key]
    (folder / f"{name}.wanted").touch()
    give_up = time.monotonic() + _WAIT_SECONDS
    while not (folder / f"{name}.json").exists():
        if (folder / f"{name}.error").exists():
            pytest.fail((folder / f"{name}.error").read_text(), pytrace=False)
        assert time.monotonic() < give_up, f"{name} did not start"
        time.sleep(0.05)
    address: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return address


def _write(path: Path, text: str) -> None:
    """Whole or not at all, for who waits for it."""
    written = path.with_suffix(".part")
    written.write_text(text)
    written.rename(path)


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> str:
    """The address of a PostgreSQL server: ``PENSTOCK_TEST_POSTGRES_URL``, or the run's own. Missing, it fails."""
    return os.environ.get("PENSTOCK_TEST_POSTGRES_URL") or str(_address(request.config, "postgres")["url"])


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """An empty database of the test's own."""
    with a_database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def ledger_template(postgres_server: str) -> Iterator[str]:
    """The name of a database with an empty ledger, to be copied."""
    with a_database(postgres_server) as url:
        opened = PostgresDestination(url, shown="template of the tests")
        opened.prepare()
        opened.close()
        yield database_of(url)


@pytest.fixture(scope="session")
def ledger_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DuckDB with an empty ledger, to be copied."""
    path = tmp_path_factory.mktemp("ledger") / "warehouse.duckdb"
    opened = DuckDBDestination(path, threads=1)
    opened.prepare()
    opened.close()
    return path


@pytest.fixture
def prepared_postgres_url(postgres_server: str, ledger_template: str) -> Iterator[str]:
    """A database of the test's own, with an empty ledger in place."""
    with a_database(postgres_server, ledger_template) as url:
        yield url


@contextmanager
def a_database(server: str, template: str = "template0") -> Iterator[str]:
    """The address of a new database on a server, a copy of ``template``."""
    name = f"test_{os.getpid()}_{next(_databases)}"
    with psycopg.connect(server, autocommit=True) as connection:
        created(connection, name, template)
    base, _, rest = server.rpartition("/")
    _, _, options = rest.partition("?")
    yield f"{base}/{name}" + (f"?{options}" if options else "")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


def created(connection: psycopg.Connection[Any], name: str, template: str = "template0") -> None:
    """Make a database, a copy of ``template``."""
    # from version 15 on; copying files takes two thirds of the time of logging all that is in them
    strategy = "strategy file_copy" if connection.info.server_version >= 150_000 else ""
    connection.execute(f"create database {name} template {template} {strategy}")


def made_anew(server: str, name: str, template: str) -> None:
    """Make a database a copy of ``template``, whatever it was."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")
        created(connection, name, template)


def database_of(url: str) -> str:
    """The name of the database of an address."""
    return str(conninfo_to_dict(url)["dbname"])


@pytest.fixture(scope="session")
def rabbitmq_server(request: pytest.FixtureRequest) -> RabbitMQServer:
    """A RabbitMQ: ``PENSTOCK_TEST_RABBITMQ_URL``, or the run's own. Missing, it fails.

    Of the one named, ``PENSTOCK_TEST_RABBITMQ_MANAGEMENT`` is the management address, by default port 15672 beside it.
    """
    given = os.environ.get("PENSTOCK_TEST_RABBITMQ_URL")
    if given:
        default = f"http://{urlsplit(given).hostname}:15672"
        return RabbitMQServer(url=given, management=os.environ.get("PENSTOCK_TEST_RABBITMQ_MANAGEMENT", default))
    return RabbitMQServer(**_address(request.config, "rabbitmq"))


@pytest.fixture
def rabbitmq_url(rabbitmq_server: RabbitMQServer) -> Iterator[str]:
    """An empty virtual host of the test's own."""
    name = f"test_{os.getpid()}_{next(_vhosts)}"
    parts = urlsplit(rabbitmq_server.url)
    rabbitmq_server.api("PUT", f"vhosts/{name}", {})
    rabbitmq_server.api(
        "PUT",
        f"permissions/{name}/{parts.username or 'guest'}",
        {"configure": ".*", "write": ".*", "read": ".*"},
    )
    yield urlunsplit(parts._replace(path=f"/{name}"))
    rabbitmq_server.api("DELETE", f"vhosts/{name}")


@pytest.fixture(scope="session")
def broker() -> Iterator[PrivateRabbitMQ]:
    """A broker of this process's own, that tests may stop and kill, and that soon loses patience with a consumer."""
    with PrivateRabbitMQ(settings={"channel_tick_interval": "500"}) as server:
        yield server
