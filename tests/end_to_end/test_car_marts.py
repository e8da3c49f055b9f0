"""Each mart against a calculation in plain Python, on a hundred seeded companies.

All companies land at once, with a field that says whose a record is. dbt builds the models of one of them; what it
compiled is then run for each of the others, over its own part of the raw tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from graphlib import TopologicalSorter
from pathlib import Path

import duckdb
import pytest

from tests.support.car_marts import Company, Row, lines, plain
from tests.support.car_project import STREAMS, CarProject, expected

FEW, MANY = range(1, 10), range(10, 100)
"""The companies that are calculated each time, and the others; the first is the one that dbt builds."""
RECORDS = 220
DAYS = 330

_READS = re.compile(r'"warehouse"\."(\w+)"\."(\w+)"')


@pytest.fixture(scope="module")
def first() -> dict[str, bytes]:
    """What the API of the first company has: a year and more of a larger one."""
    return lines(2_000, 0, 400)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, first: dict[str, bytes]) -> CarProject:
    """The first company's project, as dbt built it."""
    project = CarProject(tmp_path_factory.mktemp("built") / "project")
    project.put(first)
    _, models = project.run()
    assert {n.status for n in models.nodes} == {"success", "pass"}
    return project


@contextmanager
def landed(folder: Path, served: dict[int, dict[str, bytes]]) -> Iterator[duckdb.DuckDBPyConnection]:
    """All companies' records in one set of raw tables, attached as ``landed``."""
    project = CarProject(folder)
    project.put(
        {
            name: b"".join(
                each[name].replace(b'{"id"', b'{"company": %d, "id"' % company) for company, each in served.items()
            )
            for name in STREAMS
        }
    )
    project.run(models=False)
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(f"attach '{project.folder / 'warehouse.duckdb'}' as landed (read_only)")
        yield connection


@pytest.fixture(scope="module")
def statements(built: CarProject) -> list[str]:
    """What makes each model, those that others read first."""
    selects = {
        (path.parent.name, path.stem): path.read_text()
        for path in (built.folder / ".penstock" / "dbt" / "warehouse" / "compiled").rglob("models/*/*.sql")
    }
    # tests stand in folders named for the models' YAML, outside of these
    schemas = {"staging", "core", "marts"}
    selects = {name: select for name, select in selects.items() if name[0] in schemas}
    order = TopologicalSorter({name: {*_READS.findall(select)} & selects.keys() for name, select in selects.items()})
    return [f"create table warehouse.{name[0]}.{name[1]} as {selects[name]}" for name in order.static_order()]


def test_marts_as_dbt_builds_them(built: CarProject, first: dict[str, bytes]) -> None:
    """All rows of all marts, exactly."""
    assert built.marts() == expected(first)


@pytest.mark.parametrize("companies", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_marts_are_what_python_calculates(statements: list[str], tmp_path: Path, companies: range) -> None:
    """The same for every company."""
    served = {company: lines(RECORDS, company, DAYS) for company in companies}
    with landed(tmp_path / "project", served) as connection:
        for company in companies:
            wanted = expected(served[company])
            assert all(wanted.values())
            assert _marts(connection, statements, company) == wanted, f"company {company}"


def _marts(landed: duckdb.DuckDBPyConnection, statements: list[str], company: int) -> dict[str, list[Row]]:
    """The marts over one company's part of the raw tables."""
    landed.execute("attach ':memory:' as warehouse")
    try:
        for schema in ("raw", "penstock", "staging", "core", "marts"):
            landed.execute(f"create schema warehouse.{schema}")
        for name in STREAMS:
            landed.execute(
                f"create table warehouse.raw.{name} as"
                f" select * exclude (company) from landed.raw.{name} where company = {company}"
            )
        landed.execute("create view warehouse.penstock.loads as select * from landed.penstock.loads")
        for statement in statements:
            landed.execute(statement)
        names = Company((), (), ()).marts()
        return {name: plain(landed.execute(f"select * from warehouse.marts.{name}").fetchall()) for name in names}
    finally:
        landed.execute("detach warehouse")
