"""Teaches dbt's adapter for Spark to ask the ledger, which is in a database that Spark's SQL does not reach, and the
catalog, where the adapter of itself would have Spark describe each table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dbt_common.exceptions import DbtRuntimeError

from penstock.destinations.postgres.destination import PostgresDestination
from penstock.destinations.spark.catalogs import NAME
from penstock.destinations.spark.session import ANSI, open_session
from penstock.destinations.spark.settling import settle
from penstock.engine_errors import error_text
from penstock.faults import fault_point

if TYPE_CHECKING:
    from penstock.project import Spark

_LISTED = (
    "select table_name, iceberg_type from penstock.iceberg_tables where catalog_name = $1 and table_namespace = $2"
)
_asked: tuple[str, PostgresDestination] | None = None
_made_ready: Spark | None = None


def ready_dbt(settings: Spark) -> None:
    """Have raw tables hold what the ledger knows, a session, and an adapter that asks the ledger of these settings.
    Harmless again.

    Raises:
        LandingBlocked: the ledger has forgotten loads.
        DestinationError: Spark cannot be started, or the ledger, the catalog or the store cannot be reached.
        UsageError: pyspark or dbt-spark is not installed, or models cannot be built with such settings yet.
    """
    global _asked, _made_ready
    settle(settings)
    open_session(settings)
    _made_ready = settings
    ledger = settings.ledger_settings
    if _asked is None or _asked[0] != ledger.conninfo():
        if _asked is not None:
            _asked[1].close()
        _asked = ledger.conninfo(), PostgresDestination(ledger.conninfo(), shown=ledger.conninfo(masked=True))
    adapters: Any = import_module("dbt.adapters.spark")
    adapter = adapters.SparkAdapter
    adapter.list_relations_without_caching = _relations
    if not adapter._available_.issuperset(_METHODS):
        for name, method in _METHODS.items():
            setattr(adapter, name, staticmethod(method))
        adapter._available_ |= set(_METHODS)
        cursor: Any = import_module("dbt.adapters.spark.session").Cursor
        cursor.execute = _strict(cursor.execute)
        cursor.fetchall = _masking(cursor.fetchall)


def _strict(execute: Callable[..., Any]) -> Callable[..., Any]:
    """What runs a statement, by the rules of ANSI: the adapter switches them off for every one, and a text that is no
    number would be cast to null in silence."""

    @wraps(execute)
    def strict(cursor: Any, sql: str, *parameters: Any) -> Any:
        fault_point("spark_statement")
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
    assert _made_ready is not None
    in_ledger = _made_ready.catalog.in_ledger
    rows = _database().query(_LISTED, [NAME, schema]).rows if in_ledger else _shown(schema)
    return [
        adapter.Relation.create(schema=schema, identifier=name, type=(kind or "TABLE").lower(), is_iceberg=True)
        for name, kind in rows
    ]


def _shown(schema: str) -> list[tuple[str, str]]:
    """The same of a catalog that is elsewhere, as Spark shows it."""
    assert _made_ready is not None
    session = open_session(_made_ready)
    if schema not in {row[0] for row in session.sql(f"show namespaces in {NAME}").collect()}:
        return []
    listed = [
        (row[f"{kind}Name"], kind)
        for kind in ("table", "view")
        for row in session.sql(f"show {kind}s in {NAME}.`{schema}`").collect()
        if not row["isTemporary"]
    ]
    return list(dict(listed).items())


def _let_go(view: str) -> None:
    """Drop a view of the session, where there is one, and what is cached of it. Spark's SQL would ask the catalog for
    one that there is not, and some have no views."""
    assert _made_ready is not None
    open_session(_made_ready).catalog.dropTempView(view)


def _table(schema: str, name: str) -> Any:
    """The table in Iceberg's words, as its catalog has it now; None when there is none. Asked so, where a statement of
    SQL on the table's metadata would take Spark some tenths of a second."""
    assert _made_ready is not None
    session = open_session(_made_ready)
    iceberg = session._jvm.org.apache.iceberg.spark.Spark3Util  # noqa: SLF001 - pyspark has no other way to Java
    try:
        return iceberg.loadIcebergTable(session._jsparkSession, f"{NAME}.`{schema}`.`{name}`")  # noqa: SLF001
    except Exception as e:  # noqa: BLE001 - whatever Java has to say
        if hasattr(e, "getErrorClass") and e.getErrorClass() in ("TABLE_OR_VIEW_NOT_FOUND", "SCHEMA_NOT_FOUND"):
            return None
        raise DbtRuntimeError(error_text(e)) from None


def _snapshot(schema: str, name: str) -> str | None:
    """A table's snapshot, as text; None when there is no table."""
    table = _table(schema, name)
    if table is None:
        return None
    current = table.currentSnapshot()
    return "" if current is None else str(current.snapshotId())


def _snapshot_made(schema: str, name: str, before: str | None) -> str:
    """Of a table's snapshots, from the current one back, that which follows ``before``; with None, the last that this
    Spark made. Empty when there is none."""
    assert _made_ready is not None
    app = open_session(_made_ready).sparkContext.applicationId
    table = _table(schema, name)
    snapshot = None if table is None else table.currentSnapshot()
    while snapshot is not None:
        parent = snapshot.parentId()
        follows = before == ("" if parent is None else str(parent))
        if follows or (before is None and snapshot.summary().get("spark.app.id") == app):
            return str(snapshot.snapshotId())
        snapshot = None if parent is None else table.snapshot(parent)
    return ""


def _database() -> PostgresDestination:
    assert _asked is not None, "dbt is made ready before it builds"
    return _asked[1]


_METHODS: Mapping[str, Callable[..., Any]] = {
    "penstock_ledger": _rows,
    "penstock_let_go": _let_go,
    "penstock_snapshot": _snapshot,
    "penstock_snapshot_made": _snapshot_made,
    "penstock_fault": fault_point,
}
"""What macros call: ``adapter.penstock_ledger(statement)`` gives the rows of a statement, committed at once;
``adapter.penstock_let_go(view)`` drops a view of the session; ``adapter.penstock_snapshot(schema, name)`` is a table's,
and ``adapter.penstock_snapshot_made(schema, name, before)`` that which a step made; ``adapter.penstock_fault(name)`` is
a place where tests make the process fail."""
