"""A warehouse of each kind under the example's dbt project, kept warm from test to test and emptied for each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.dbt.lived import Lived, add_fault
from tests.dbt.warehouse import EXAMPLE, Warehouse
from tests.support.dbt_memory import unheard

PROJECTS = {
    **dict.fromkeys(("example", "stepping", "anew"), EXAMPLE),
    **{name: Path(__file__).parent / name for name in ("modes", "probe", "vault")},
}
APART = ("anew",)
"""Projects that have a database of their own: another is compared with it."""
DATABASE = f"penstock_dbt_{os.getpid()}"

Open = Callable[[str, str], Warehouse]


def postgres_output(url: str, database: str = DATABASE) -> dict[str, Any]:
    """dbt's output for this run's own database on the server of ``url``, which is made when it is not there."""
    with psycopg.connect(url, autocommit=True) as connection:
        if not connection.execute("select 1 from pg_database where datname = %s", (database,)).fetchall():
            connection.execute(f"create database {database}")
    parts = conninfo_to_dict(url)
    return {
        "type": "postgres",
        "host": parts.get("host", "localhost"),
        "port": int(parts.get("port") or 5432),
        "user": parts.get("user", "postgres"),
        "password": parts.get("password", "-"),
        "dbname": database,
        "schema": "public",
        "threads": 4,
    }


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """Nobody listens to dbt here."""
    with unheard():
        yield


@pytest.fixture(scope="session")
def opened(postgres_server: str) -> Iterator[dict[tuple[str, str], Warehouse]]:
    """The warehouses open so far, by engine and project; the database is dropped at the end."""
    found: dict[tuple[str, str], Warehouse] = {}
    yield found
    for warehouse in found.values():
        warehouse.close()
    from dbt.adapters.factory import reset_adapters

    reset_adapters()
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        for database in (DATABASE, *(f"{DATABASE}_{project}" for project in APART)):
            connection.execute(f"drop database if exists {database} with (force)")


@pytest.fixture
def open_warehouse(
    opened: dict[tuple[str, str], Warehouse],
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: str,
) -> Open:
    """Open an empty warehouse of a kind under a project, one of :data:`PROJECTS`."""

    def open_it(engine: str, project: str = "example") -> Warehouse:
        if (engine, project) not in opened:
            folder = tmp_path_factory.mktemp(f"{engine}_{project}")
            if engine == "duckdb":
                output = {"type": "duckdb", "path": str(folder / "warehouse.duckdb"), "schema": "main", "threads": 1}
            else:
                database = f"{DATABASE}_{project}" if project in APART else DATABASE
                output = postgres_output(postgres_server, database)
            opened[engine, project] = Warehouse(folder / "project", output, PROJECTS[project])
            if project == "stepping":
                add_fault(folder / "project")
        warehouse = opened[engine, project]
        warehouse.reset()
        return warehouse

    return open_it


@pytest.fixture
def lived(request: pytest.FixtureRequest, open_warehouse: Open) -> Lived:
    """Two empty warehouses of a kind, for one story."""
    return Lived(open_warehouse(request.param, "stepping"), open_warehouse(request.param, "anew"))


@pytest.fixture(params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest, open_warehouse: Open) -> Warehouse:
    """An empty warehouse of each kind in turn, under the example."""
    return open_warehouse(request.param, "example")


@pytest.fixture(params=["duckdb", "postgres"])
def probe(request: pytest.FixtureRequest, open_warehouse: Open) -> Warehouse:
    """An empty warehouse of each kind in turn, under a project that holds each macro to its word."""
    return open_warehouse(request.param, "probe")
