"""Fixtures for all tests: a private PostgreSQL, and databases in it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import psycopg
import pytest

from penstock.testing.postgres import MissingServer, PrivatePostgres

_databases = itertools.count(1)


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
