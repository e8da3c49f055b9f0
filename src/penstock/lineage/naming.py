"""The names of datasets, as OpenLineage's naming conventions have them.

| dataset | namespace | name |
|---|---|---|
| PostgreSQL table | ``postgres://host:port`` | ``database.schema.table`` |
| DuckDB table | ``duckdb:///absolute/path.duckdb``, as the dbt integration has it | ``database.schema.table`` |
| files | ``file`` | the folder or file, absolute |
| API | ``https://host:port`` | the path |
| queue | ``amqp://host:port`` | ``vhost/queue`` |
"""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from penstock.destinations.kinds import kind_of
from penstock.lineage.facts import Dataset

if TYPE_CHECKING:
    from penstock.project import Destination, Project
    from penstock.project.steps import LoadStep


def table(destination: Destination, schema: str, name: str, database: str | None = None) -> Dataset:
    """A table of the warehouse."""
    space, own = kind_of(destination).namespace(destination)
    whole = f"{database or own}.{schema}.{name}"
    return Dataset(namespace=space, name=whole, uri=space)


def inputs(project: Project, step: LoadStep) -> list[Dataset]:
    """What a step reads."""
    settings = project.sources.get(step.source)
    if settings is None:
        return []
    if settings.type == "files":
        return [_file(base_of(project.directory / pattern)) for pattern in settings.path]
    if settings.type == "lake":
        return [_file(settings.path / step.stream)]
    if settings.type == "rabbitmq":
        space = f"amqp://{settings.host}:{settings.amqp_port}"
        name = f"{settings.vhost.strip('/')}/{settings.queue}".lstrip("/")
        return [Dataset(namespace=space, name=name, uri=space)]
    parts = urlsplit(settings.base_url)
    space = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    endpoint = (settings.endpoints[step.stream].path or step.stream).strip("/").partition("?")[0]
    name = "/".join(p for p in (parts.path.strip("/"), endpoint) if p)
    return [Dataset(namespace=space, name=f"/{name}", uri=f"{space}/{name}")]


def lake_output(project: Project, step: LoadStep) -> Dataset | None:
    """Where a step lands beside the warehouse."""
    return None if project.lake is None or not step.land else _file(project.lake.path / step.stream)


def base_of(pattern: Path) -> Path:
    """The file of a pattern, or the folder of all that it may match."""
    base = Path(pattern.anchor)
    for part in pattern.parts[len(base.parts) :]:
        if glob.has_magic(part):
            return base
        base = base / part
    return base


def _file(path: Path) -> Dataset:
    whole = os.path.normpath(path.absolute())
    return Dataset(namespace="file", name=whole, uri=Path(whole).as_uri())
