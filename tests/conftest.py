"""Fixtures for all tests: a private PostgreSQL and a private RabbitMQ, with databases and virtual hosts in them."""

from __future__ import annotations

import base64
import itertools
import json
import os
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import psycopg
import pytest
from dbt_common.tests import enable_test_caching

from penstock.testing.postgres import PrivatePostgres
from penstock.testing.private import MissingServer
from penstock.testing.rabbitmq import PrivateRabbitMQ

# many are up at the same time: none of them has the port that the documentation names
os.environ.setdefault("PENSTOCK__UP__PORT", "0")
pytest_plugins = ["tests.support.cost", "tests.support.examples", "tests.support.kernels"]

enable_test_caching()  # dbt's own: what a macro parses to is remembered

_databases = itertools.count(1)
_vhosts = itertools.count(1)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """``tests/airflow`` is for ``make test-airflow``, which says where an Airflow is; so with ``tests/superset``."""
    elsewhere = {"airflow": "PENSTOCK_TEST_AIRFLOW", "superset": "PENSTOCK_TEST_SUPERSET"}
    variable = elsewhere.get(collection_path.name) if collection_path.parent == Path(__file__).parent else None
    return True if variable is not None and variable not in os.environ else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a PostgreSQL server: ``PENSTOCK_TEST_POSTGRES_URL``, or a private one. Missing, it fails."""
    given = os.environ.get("PENSTOCK_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    try:
        server = PrivatePostgres()
    except MissingServer as e:
        pytest.fail(str(e), pytrace=False)
    with server:
        yield server.url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """An empty database of the test's own."""
    name = f"test_{os.getpid()}_{next(_databases)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"create database {name} template template0")
    base, _, rest = postgres_server.rpartition("/")
    _, _, options = rest.partition("?")
    yield f"{base}/{name}" + (f"?{options}" if options else "")
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


@dataclass(frozen=True, slots=True, kw_only=True)
class RabbitMQServer:
    """A broker the tests may use: its default virtual host, and the base address of its management API."""

    url: str
    management: str
    private: PrivateRabbitMQ | None = None
    """None when it is the one that the environment names."""

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
            said = response.read()
        return json.loads(said) if said else None


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitMQServer]:
    """A RabbitMQ: ``PENSTOCK_TEST_RABBITMQ_URL``, or a private one. Missing, it fails.

    Of the one named, ``PENSTOCK_TEST_RABBITMQ_MANAGEMENT`` is the management address, by default port 15672 beside it.
    """
    given = os.environ.get("PENSTOCK_TEST_RABBITMQ_URL")
    if given:
        default = f"http://{urlsplit(given).hostname}:15672"
        yield RabbitMQServer(url=given, management=os.environ.get("PENSTOCK_TEST_RABBITMQ_MANAGEMENT", default))
        return
    try:
        server = PrivateRabbitMQ()
    except MissingServer as e:
        pytest.fail(str(e), pytrace=False)
    with server:
        management = f"http://127.0.0.1:{server.management_port}"
        yield RabbitMQServer(url=server.url, management=management, private=server)


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
