"""What dbt did, as lineage tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from penstock.lineage.telling import BuiltNode

if TYPE_CHECKING:
    from penstock.ports import Destination
    from penstock.transform.dbt import Node, Place

_COLUMNS = """
select table_schema, table_name, column_name, data_type
from information_schema.columns
where table_schema not in ('information_schema', 'pg_catalog', 'penstock')
order by table_schema, table_name, ordinal_position
"""


def built_nodes(nodes: Sequence[Node], places: Mapping[str, Place]) -> list[BuiltNode]:
    """The models and tests among the nodes of a build."""
    found = []
    for node in nodes:
        place = places.get(node.id)
        if place is not None and (place.at is not None or place.tested is not None):
            found.append(
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
                    at=place.at,
                    reads=place.reads,
                    tested=place.tested,
                    test=place.test,
                    column=place.column,
                    severity=place.severity,
                )
            )
    return found


def table_columns(destination: Destination) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """The columns of every table, with their types, by schema and table."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for schema, table, column, type_ in destination.query(_COLUMNS).rows:
        found.setdefault((schema, table), []).append((column, str(type_)))
    return found
