"""Iceberg's catalogs: which tables there are, and which snapshot of each is the current one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyiceberg.catalog import Catalog, MetastoreCatalog, load_catalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

if TYPE_CHECKING:
    from typing import Any

    import psycopg
    from pyiceberg.typedef import Identifier

    from penstock.project import Spark

NAME = "penstock"
"""What the catalog is called, in the tables of a catalog in PostgreSQL and in Spark."""
RAW = "raw"
"""The namespace of raw tables."""
LEDGER = "penstock"
"""What statements call the ledger's schema."""


class LedgerCatalog(SqlCatalog):
    """A catalog in the ledger's database, on a connection that is given.

    Inside a transaction of that connection all that it writes belongs to the transaction: the pointers to the new
    snapshots of tables, and what the ledger has of them, are there at once or not at all.
    """

    def __init__(self, connection: psycopg.Connection[Any], **properties: str) -> None:
        MetastoreCatalog.__init__(self, NAME, **properties)
        connection.execute("set search_path = penstock")
        engine = create_engine(
            "postgresql+psycopg://", creator=lambda: connection, poolclass=StaticPool, pool_reset_on_return=None
        )
        bound = engine.connect()
        # sessions join a transaction that is open already, and neither begin nor end it: the connection's owner does
        bound.begin()
        self.engine = bound  # type: ignore[assignment]  # a connection has all that is asked of an engine here
        self._schema_version = "v1"

    def view_exists(self, identifier: str | Identifier) -> bool:
        """Whether Spark has made such a view."""
        namespace, name = self.identifier_to_database_and_table(identifier)
        views = select(IcebergTables.table_name).where(
            IcebergTables.catalog_name == self.name,
            IcebergTables.table_namespace == namespace,
            IcebergTables.table_name == name,
            IcebergTables.iceberg_type == "VIEW",
        )
        with Session(self.engine) as session:
            return session.scalar(views) is not None

    def close(self) -> None:
        """Nothing to let go of: the connection is its owner's."""


def properties_of(settings: Spark) -> dict[str, str]:
    """What a catalog has to know, and how its files are reached."""
    secrets = {**settings.store, **settings.catalog.properties}
    properties = {name: secret.get_secret_value() for name, secret in secrets.items()}
    if settings.catalog.uri is not None:
        properties["uri"] = settings.catalog.uri
    return {"warehouse": settings.location, "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO", **properties}


def open_catalog(settings: Spark, connection: psycopg.Connection[Any]) -> Catalog:
    """The catalog; one in the ledger's database is on ``connection``."""
    if settings.catalog.in_ledger:
        return LedgerCatalog(connection, **properties_of(settings))
    return load_catalog(NAME, type=settings.catalog.type, **properties_of(settings))
