"""Teaches dbt's adapter for Spark to ask the ledger, which is in a database that Spark's SQL does not reach, and the
catalog beside it, where the adapter of itself would have Spark describe each table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dbt_common.exceptions import DbtRuntimeError

from penstock.destinations.postgres.destination import PostgresDestination
from penstock.destinations.spark.catalogs import NAME
from penstock.destinations.spark.session import ANSI, open_session
from penstock.engine_errors import error_text

if TYPE_CHECKING:
    from penstock.project import Spark

_METHOD = "penstock_ledger"
"""How macros call it: ``adapter.penstock_ledger(statement)`` gives the rows of a statement, committed at once."""
_LISTED = (
    "select table_name, iceberg_type from penstock.iceberg_tables where catalog_name = $1 and table_namespace = $2"
)
_asked: tuple[str, PostgresDestination] | None = None


def ready_dbt(settings: Spark) -> None:
    """Have a session, and an adapter that asks the ledger of these settings. Harmless again.

    Raises:
        DestinationError: Spark cannot be started.
        UsageError: pyspark or dbt-spark is not installed, or models cannot be built with such settings yet.
    """
    global _asked
    open_session(settings)
    ledger = settings.ledger_settings
    if _asked is None or _asked[0] != ledger.conninfo():
        if _asked is not None:
            _asked[1].close()
        _asked = ledger.conninfo(), PostgresDestination(ledger.conninfo(), shown=ledger.conninfo(masked=True))
    adapters: Any = import_module("dbt.adapters.spark")
    adapter = adapters.SparkAdapter
    adapter.list_relations_without_caching = _relations
    if _METHOD not in adapter._available_:
        setattr(adapter, _METHOD, staticmethod(_rows))
        adapter._available_ |= {_METHOD}
        cursor: Any = import_module("dbt.adapters.spark.session").Cursor
        cursor.execute = _strict(cursor.execute)
        cursor.fetchall = _masking(cursor.fetchall)


def _strict(execute: Callable[..., Any]) -> Callable[..., Any]:
    """What runs a statement, by the rules of ANSI: the adapter switches them off for every one, and a text that is no
    number would be cast to null in silence."""

    @wraps(execute)
    def strict(cursor: Any, sql: str, *parameters: Any) -> Any:
        cursor.server_side_parameters = {**cursor.server_side_parameters, ANSI: "true"}
        return execute(cursor, sql, *parameters)

    return strict


def _masking(fetch: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What fetches rows, with errors that hold no values: Spark computes a select when its rows are fetched, where the
    adapter does not look at errors."""

    @wraps(fetch)
    def masked(cursor: Any) -> Any:
        try:
            return fetch(cursor)
        except Exception as e:  # noqa: BLE001 - whatever Java has to say
            raise DbtRuntimeError(error_text(e)) from None

    return masked


def _rows(statement: str) -> Sequence[Sequence[Any]]:
    """The rows of a statement on the ledger's database."""
    return [list(row) for row in _database().query(statement).rows]


def _relations(adapter: Any, schema_relation: Any) -> list[Any]:
    """The tables and views of a schema; none where there is no such schema yet."""
    schema = schema_relation.schema
    rows = _database().query(_LISTED, [NAME, schema]).rows
    return [
        adapter.Relation.create(schema=schema, identifier=name, type=(kind or "TABLE").lower(), is_iceberg=True)
        for name, kind in rows
    ]


def _database() -> PostgresDestination:
    assert _asked is not None, "dbt is made ready before it builds"
    return _asked[1]
