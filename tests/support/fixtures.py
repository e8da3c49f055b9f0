"""Fixtures that several test folders share: a warehouse of each kind."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.ports import Destination
from penstock.project import Postgres, Spark
from tests.support.servers import a_database

ENGINES = ("duckdb", "postgres", *(("spark",) if "PENSTOCK_TEST_SPARK" in os.environ else ()))
"""The kinds of warehouse that all of them are tests for; Iceberg tables in ``make test-spark`` only."""

SLOW = () if "PENSTOCK_TEST_SPARK" in os.environ else (pytest.mark.slow,)
"""The marks of what ``make test`` leaves out, and ``make test-spark`` does not."""

REFUSING = ("duckdb", "postgres")
"""Those whose tables can have constraints of a user's own, and refuse rows."""


def spark_settings(url: str, warehouse: Path | str, **more: object) -> Spark:
    """The settings of Iceberg tables in a folder, whose ledger is in this database."""
    books = Postgres.model_validate({"type": "postgres", "url": url})
    settings = Spark.model_validate({"type": "spark", "ledger": "books", "warehouse": str(warehouse), **more})
    return settings.completed({"books": books})


def open_warehouse(kind: str, folder: Path, request: pytest.FixtureRequest, url: str | None = None) -> Destination:
    """A new, empty warehouse of a kind, its ledger in place: in this database, or in one of the test's own."""
    opened: Destination
    if kind == "duckdb":
        from penstock.destinations.duckdb.destination import DuckDBDestination

        shutil.copyfile(request.getfixturevalue("ledger_file"), folder / "warehouse.duckdb")
        opened = DuckDBDestination(folder / "warehouse.duckdb", threads=1)
    elif kind == "spark":
        from penstock.destinations.spark.destination import SparkDestination

        url = url or request.getfixturevalue("prepared_postgres_url")
        opened = SparkDestination(spark_settings(url, folder / "lake"))
        opened.prepare()
    else:
        from penstock.destinations.postgres.destination import PostgresDestination

        url = url or request.getfixturevalue("prepared_postgres_url")
        opened = PostgresDestination(url, shown="test database")
    return opened


@pytest.fixture(params=ENGINES)
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Destination]:
    """Each kind of warehouse in turn."""
    opened = open_warehouse(request.param, tmp_path, request)
    yield opened
    opened.close()


@pytest.fixture(scope="module", params=ENGINES)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Destination]:
    """Each kind of warehouse in turn, one for all tests of a module, of which each has streams of its own."""
    folder = tmp_path_factory.mktemp("shared")
    if request.param == "duckdb":
        opened = open_warehouse("duckdb", folder, request)
        yield opened
        opened.close()
        return
    server, template = (request.getfixturevalue(name) for name in ("postgres_server", "ledger_template"))
    with a_database(server, template) as url:
        opened = open_warehouse(request.param, folder, request, url)
        yield opened
        opened.close()


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.slow)])
def whichever(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Destination]:
    """A DuckDB, and in ``make test-all`` a PostgreSQL too: for what hardly depends on the warehouse. A module that
    imports it as ``destination`` has it in place of that."""
    opened = open_warehouse(request.param, tmp_path, request)
    yield opened
    opened.close()


@pytest.fixture
def local(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Destination]:
    """A DuckDB, for what does not depend on the warehouse."""
    opened = open_warehouse("duckdb", tmp_path, request)
    yield opened
    opened.close()


@pytest.fixture
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Destination]]:
    """A warehouse of each kind, at once."""
    opened = [open_warehouse(kind, tmp_path, request) for kind in ("duckdb", "postgres")]
    yield opened
    for one in opened:
        one.close()


EMBEDDED = {"type": "duckdb", "path": "warehouse.duckdb"}
"""The settings of a warehouse in the project's folder."""


@pytest.fixture(params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A destination's settings."""
    if request.param == "duckdb":
        return dict(EMBEDDED)
    return {"type": "postgres", "url": request.getfixturevalue("postgres_url")}


def slow_on_postgres(fixture: str, *, spark: bool = False) -> pytest.MarkDecorator:
    """For a long test on each kind of warehouse: on PostgreSQL it is slow, where others of its module are not. With
    ``spark`` it is for Iceberg tables too, where these are tested."""
    engines = ["duckdb", pytest.param("postgres", marks=pytest.mark.slow), *(ENGINES[2:] if spark else ())]
    return pytest.mark.parametrize(fixture, engines, indirect=True)
