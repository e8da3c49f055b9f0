"""What dbt did, as lineage tells it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from penstock.lineage.telling import BuiltNode
from penstock.transform.manifest import TABLES

if TYPE_CHECKING:
    from penstock.ports import Destination
    from penstock.transform.dbt import Node
    from penstock.transform.manifest import Manifest

Place = tuple[str | None, str, str]
"""Database, schema and table."""

_COLUMNS = """
select table_schema, table_name, column_name, data_type
from information_schema.columns
where table_schema not in ('information_schema', 'pg_catalog', 'penstock')
order by table_schema, table_name, ordinal_position
"""


def built_nodes(nodes: Sequence[Node], manifest: Manifest) -> list[BuiltNode]:
    """The models and tests among the nodes of a build, each with the tables that it reads, and with that which it is or
    tests. What an ephemeral model reads, its readers read."""
    built = []
    for node in nodes:
        resource = manifest.resources.get(node.id)
        if resource is None:
            continue
        reads = tuple(dict.fromkeys(place for parent in resource.reads for place in _places(manifest, parent)))
        test = resource.test
        at = next(iter(_places(manifest, node.id)), None) if _is_table(manifest, node.id) else None
        tested = None if test is None else next(iter([*_places(manifest, test.model), *reads]), None)
        if at is None and tested is None:
            continue
        built.append(
            BuiltNode(
                name=node.name,
                kind=node.kind,
                status=node.status,
                failed=node.failed,
                message=node.message,
                started_at=node.started_at,
                seconds=node.seconds,
                rows=node.rows,
                sql=node.sql,
                at=at,
                reads=reads,
                tested=tested,
                test="" if test is None else test.name,
                column=None if test is None else test.column,
                severity="error" if test is None else test.severity,
            )
        )
    return built


def _is_table(manifest: Manifest, id_: str) -> bool:
    resource = manifest.resources[id_]
    return resource.kind in TABLES and resource.materialized != "ephemeral"


def _places(manifest: Manifest, id_: str) -> list[Place]:
    """The table that a resource is, or those that stand for it."""
    resource = manifest.resources.get(id_)
    if resource is None:
        return []
    if resource.materialized == "ephemeral":
        return [place for parent in resource.reads for place in _places(manifest, parent)]
    return [(resource.database, resource.schema, resource.stream or resource.table)]


def table_columns(destination: Destination) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """The columns of every table, with their types, by schema and table."""
    columns: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for schema, table, column, type_ in destination.query(_COLUMNS).rows:
        columns.setdefault((schema, table), []).append((column, str(type_)))
    return columns
