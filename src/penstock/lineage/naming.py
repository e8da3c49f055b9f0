"""The names of datasets, as OpenLineage's naming conventions have them.

| dataset | namespace | name |
|---|---|---|
| PostgreSQL table | ``postgres://host:port`` | ``database.schema.table`` |
| DuckDB table | ``duckdb:///absolute/path.duckdb``, as the dbt integration has it | ``database.schema.table`` |

What sources read is named in :mod:`penstock.sources.datasets`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.destinations.kinds import kind_of as destination_kind
from penstock.lineage.facts import Dataset
from penstock.sources.datasets import DatasetName, file_dataset
from penstock.sources.kinds import kind_of, opening_of

if TYPE_CHECKING:
    from penstock.project import Destination, Project
    from penstock.project.steps import LoadStep


def table(destination: Destination, schema: str, name: str, database: str | None = None) -> Dataset:
    """A table of the warehouse."""
    space, own = destination_kind(destination).namespace(destination)
    whole = f"{database or own}.{schema}.{name}"
    return Dataset(namespace=space, name=whole, uri=space)


def inputs(project: Project, step: LoadStep) -> list[Dataset]:
    """What a step reads."""
    settings = project.sources.get(step.source)
    if settings is None:
        return []
    return [_dataset(named) for named in kind_of(settings).datasets(settings, opening_of(project, step))]


def lake_output(project: Project, step: LoadStep) -> Dataset | None:
    """Where a step lands beside the warehouse."""
    if project.lake is None or not step.land:
        return None
    return _dataset(file_dataset(project.lake.path / step.stream))


def _dataset(named: DatasetName) -> Dataset:
    return Dataset(namespace=named.namespace, name=named.name, uri=named.uri)
