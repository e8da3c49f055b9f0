"""Each mart against a calculation in plain Python, on a hundred seeded companies."""

from __future__ import annotations

from graphlib import TopologicalSorter
from pathlib import Path

import duckdb
import pytest

from tests.car_marts import Company, Row, lines, plain
from tests.car_project import CarProject, expected

SETS = 100
RECORDS = 220
DAYS = 330


class Compiled:
    """The models' SQL as dbt compiles it for three loads, to run without dbt: it is the same for every company."""

    def __init__(self, folder: Path) -> None:
        project = CarProject(folder)
        project.put(lines(RECORDS, 0, DAYS))
        project.run()
        results = {r.node.unique_id: r.node for r in _compile(folder) if r.node.resource_type == "model"}
        order = TopologicalSorter({id_: set(n.depends_on.nodes) & results.keys() for id_, n in results.items()})
        self.statements = [
            f"create {'view' if node.config.materialized == 'view' else 'table'} {node.schema}.{node.name} as"
            f" {node.compiled_code}"
            for node in (results[id_] for id_ in order.static_order())
        ]

    def build(self, warehouse: Path) -> dict[str, list[Row]]:
        """Build all models in a warehouse that has its three loads, and give the marts' rows."""
        with duckdb.connect(str(warehouse)) as connection:
            for schema in ("staging", "core", "marts"):
                connection.execute(f"create schema {schema}")
            for statement in self.statements:
                connection.execute(statement)
            names = Company((), (), ()).marts()
            return {name: plain(connection.execute(f"select * from marts.{name}").fetchall()) for name in names}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """Compiled once for all companies."""
    return Compiled(tmp_path_factory.mktemp("compiled") / "project")


@pytest.mark.parametrize("tens", range(SETS // 10))
def test_marts_are_what_python_calculates(compiled: Compiled, tmp_path: Path, tens: int) -> None:
    """All rows of all marts, exactly, for ten companies."""
    for seed in range(1 + 10 * tens, 11 + 10 * tens):
        served = lines(RECORDS, seed, DAYS)
        project = CarProject(tmp_path / f"company_{seed}")
        project.put(served)
        project.run(models=False)
        wanted = expected(served)
        assert all(wanted.values())
        assert compiled.build(project.folder / "warehouse.duckdb") == wanted, f"seed {seed}"


def _compile(folder: Path) -> list[object]:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    outcome = dbtRunner().invoke(
        [
            *("--quiet", "--log-level-file", "none", "compile", "--full-refresh", "--project-dir", str(folder)),
            *("--profiles-dir", str(folder / ".penstock"), "--target-path", str(folder / "compiled")),
        ]
    )
    DuckDBConnectionManager.close_all_connections()
    assert outcome.success, outcome.exception
    return list(outcome.result)
