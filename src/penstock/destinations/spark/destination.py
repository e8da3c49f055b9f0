"""Iceberg tables, with the ledger in PostgreSQL.

Landings have a connection of their own to the ledger's database, and all else another one. Whoever asks for rows of
tables is answered by a DuckDB over their files; whoever asks for the ledger's, by PostgreSQL.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from pyiceberg.exceptions import NoSuchTableError

from penstock.destinations.landing import WarehouseLanding, opened
from penstock.destinations.postgres.destination import PostgresDestination
from penstock.destinations.postgres.statements import ReadingStatements
from penstock.destinations.refusals import SortedExecutor, refusals, sorting
from penstock.destinations.spark.appending import Known
from penstock.destinations.spark.arrow import as_stored
from penstock.destinations.spark.capabilities import CAPABILITIES
from penstock.destinations.spark.catalogs import LEDGER, RAW, open_catalog
from penstock.destinations.spark.deletes import delete_rows, expect_plain
from penstock.destinations.spark.driver_errors import refusal
from penstock.destinations.spark.expiring import carried_stamp
from penstock.destinations.spark.known_models import KnownModels
from penstock.destinations.spark.purging import purge
from penstock.destinations.spark.tended import BUILDING
from penstock.destinations.spark.tidying import TIDYING, Tidying
from penstock.destinations.spark.writer import IcebergWriter
from penstock.errors import DestinationError, UsageError
from penstock.faults import fault_point
from penstock.ledger.sql_ledger import SqlLedger
from penstock.ports import Rows, Target
from penstock.sql import identifier, statements

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa
    from pyiceberg.catalog import Catalog
    from sqlglot import exp

    from penstock.destinations.spark.reading import Questions
    from penstock.project import Spark
    from penstock.upkeep import TidiedTable

_HAS_CATALOG = (
    "select count(*) from pg_tables where schemaname = 'penstock'"
    " and tablename in ('iceberg_tables', 'iceberg_namespace_properties')"
)
_OWN_RAW_TABLES = "select count(*) from pg_tables where schemaname = 'raw'"


class SparkDestination:
    """A warehouse of Iceberg tables and the database with its ledger."""

    kind = "spark"
    capabilities = CAPABILITIES
    commit_bytes = 512 << 20

    def __init__(self, settings: Spark) -> None:
        ledger = settings.ledger_settings
        self.shown = settings.warehouse
        self.one_commit = settings.catalog.in_ledger
        self._settings = settings
        self._books, self._landings = (
            PostgresDestination(ledger.conninfo(), shown=ledger.conninfo(masked=True)) for _ in range(2)
        )
        self.known: dict[str, Known] = {}
        self._catalogs: dict[int, tuple[psycopg.Connection[Any], Catalog]] = {}
        self._deletions: list[Callable[[], object]] | None = None
        """What is to be deleted of Iceberg tables once the ledger has committed; None outside of a transaction."""
        there = SortedExecutor(ReadingStatements(lambda: self._books.reading), self._books)
        self.ledger = SqlLedger(there, "postgres", beside=False)

    def refusal(self, error: Exception, *, rows: bool = False) -> DestinationError | None:
        """The drivers' errors as ours."""
        return refusal(error, self.shown, rows=rows)

    def _catalog(self, books: PostgresDestination) -> tuple[psycopg.Connection[Any], Catalog]:
        """The connection of a database that is open now, and the catalog on it."""
        connection = books.reading
        known = self._catalogs.get(id(books))
        if known is None or known[0] is not connection:
            known = self._catalogs[id(books)] = connection, open_catalog(self._settings, connection)
        return known

    @property
    def books(self) -> PostgresDestination:
        """The database with the ledger, for all but landings."""
        return self._books

    @property
    def catalog(self) -> Catalog:
        """The catalog, for all but landings."""
        return self._catalog(self._books)[1]

    def _catalog_or_none(self) -> Catalog | None:
        return self.catalog if self._has_catalog() else None

    @cached_property
    def _questions(self) -> Questions:
        from penstock.destinations.spark.reading import Questions
        from penstock.destinations.spark.views import rows_of_view

        of_view = partial(rows_of_view, self._settings)
        return Questions(self._catalog_or_none, self._of_ledger, of_view, self._delete, where=self.shown)

    @sorting()
    def prepare(self) -> None:
        """Make the ledger, the tables of a catalog beside it, and the namespace of raw tables."""
        self._books.prepare()
        self._expect_own_ledger()
        if self.is_prepared():
            return
        catalog = self.catalog
        with self._books.transaction():
            # two processes may do so at once: the second one finds all made
            self._books.ledger.hold_numbers()
            if self.one_commit:
                for sql in statements("penstock.destinations.spark", "catalog.sql"):
                    self._books.query(sql)
            if not catalog.namespace_exists(RAW):
                catalog.create_namespace(RAW)

    def _expect_own_ledger(self) -> None:
        if self._books.query(_OWN_RAW_TABLES).rows[0][0]:
            raise UsageError(
                "the database of the ledger has raw tables of its own, which it could not tell from these",
                where=self._books.shown,
                fix="give this destination's ledger: a database of its own",
            )

    @sorting()
    def is_prepared(self) -> bool:
        """Whether the ledger and the catalog are there."""
        if not self._books.is_prepared():
            return False
        return self._has_catalog() and bool(self.catalog.namespace_exists(RAW))

    def check_rights(self) -> None:
        """Whether the user of the ledger may make what landing needs.

        Raises:
            DestinationError: it may not; names what to grant.
        """
        self._books.check_rights()

    @sorting()
    def land(self, target: Target) -> WarehouseLanding:
        """Open a landing; waits for others that land into the stream, in whatever process."""
        connection, catalog = self._catalog(self._landings)
        # never another connection: outside of the transaction each statement would be there at once
        there = SortedExecutor(ReadingStatements(lambda: connection), self._landings)
        ledger = SqlLedger(there, "postgres", beside=False)
        return opened(WarehouseLanding(IcebergWriter(self, catalog, target), ledger, target))

    def query(self, sql: str, parameters: Sequence[Any] = (), *, read_only: bool = False) -> Rows:
        """Run one statement: one that reads Iceberg tables or drops one here, any other on the ledger's database.

        Raises:
            DestinationError: it was refused.
        """
        with refusals(self):
            rows = self._questions.answer(sql, parameters, read_only=read_only)
        return self._books.query(sql, parameters, read_only=read_only) if rows is None else rows

    def _has_catalog(self) -> bool:
        """Whether there is one."""
        return not self.one_commit or bool(self._books.query(_HAS_CATALOG).rows[0][0] == 2)

    def _of_ledger(self, table: str) -> pa.Table:
        """The rows of one of the ledger's tables."""
        with self._books.landing_connection.cursor() as cursor:
            cursor.execute(f"select * from penstock.{identifier(table)}")
            rows = cursor.fetch_arrow_table()
        self._books.landing_connection.rollback()
        return as_stored(rows)

    @contextlib.contextmanager
    def transaction(self, streams: Sequence[str] = ()) -> Iterator[None]:
        """One transaction of the ledger for the queries inside, holding the locks of ``streams``. Rows of Iceberg
        tables may be deleted inside; where the catalog is not in the ledger, that is done once the ledger has
        committed, in a snapshot for each table: cut off between, rows that were to go are there still."""
        if self._deletions is not None:
            with self._books.transaction(streams):
                yield
            return
        self._deletions = []
        try:
            with self._books.transaction(streams):
                yield
            fault_point("deletions_due")
            with refusals(self):
                for delete in self._deletions:
                    delete()
        finally:
            self._deletions = None

    def _delete(self, name: tuple[str, str], statement: exp.Expr, parameters: Sequence[Any]) -> bool:
        """Delete rows of a table; whether that is done, or will be: inside of a transaction alone."""
        if self._deletions is None:
            return False
        delete = partial(delete_rows, partial(self.catalog.load_table, name), statement, parameters, self.is_known)
        if self.one_commit:
            delete()
        else:
            for _ in expect_plain(self.catalog.load_table(name)):
                pass  # what would be refused afterwards is refused before the ledger commits
            self._deletions.append(delete)
        return True

    def writing(self) -> AbstractContextManager[Callable[[str], int]]:
        """Refused: models of Iceberg tables are built by Spark."""
        raise DestinationError(
            "not yet: statements that write Iceberg tables run in Spark", where=self.shown, fix="build models by dbt"
        )

    def claim(self, name: str, wait: Callable[[float], object] = time.sleep) -> AbstractContextManager[bool]:
        """A claim in the ledger's database."""
        return self._books.claim(name, wait)

    def tidy(self, tables: Sequence[str], *, rewrite: bool = False) -> None:
        """Have PostgreSQL tidy the ledger's tables; with ``rewrite``, leave nothing of deleted rows in the folders of
        Iceberg tables either, whose older snapshots go: of these tables, and of all models, since snapshots stay of
        one that is built anew. Nobody lands into such a stream or builds models meanwhile.

        Raises:
            DestinationError: a tag or a branch names an older snapshot, or the store is away.
        """
        names = [tuple(part.strip('"') for part in table.split(".", 1)) for table in tables]
        own = [table for table, name in zip(tables, names, strict=True) if name[0] == LEDGER]
        if rewrite and len(own) < len(tables):
            with self.claim(TIDYING), self.claim(BUILDING), refusals(self):
                for name in dict.fromkeys([*(n for n in names if n[0] != LEDGER), *KnownModels(self.ledger).names()]):
                    self._purge(name)
        self._books.tidy(own, rewrite=rewrite)

    def _purge(self, name: tuple[str, ...]) -> None:
        """Have a table keep its current rows alone; nothing where there is none."""
        streams = [name[-1]] if name[0] == RAW else []
        with contextlib.suppress(NoSuchTableError):
            purge(
                partial(self.catalog.load_table, name),
                partial(self._books.transaction, streams),
                datetime.now(UTC) + timedelta(days=1),
                partial(carried_stamp, is_known=self.is_known),
            )

    @property
    def snapshot_age(self) -> timedelta:
        """How old snapshots get before they are let go of."""
        return self._settings.tidy.max_snapshot_age

    def tidy_tables(
        self, streams: Sequence[str], *, dry_run: bool = False, wait: Callable[[float], object] = time.sleep
    ) -> Iterator[TidiedTable]:
        """Write small files together, and remove snapshots and files that nobody needs; one process at a time.

        Raises:
            DestinationError: the catalog or the ledger is away.
            UsageError: a stream has no table.
        """
        with self.claim(TIDYING, wait) as mine:
            if mine:
                yield from Tidying(self, self._settings.tidy, dry_run=dry_run, wait=wait).run(streams)

    def is_known(self, stream: str, load_id: int) -> bool:
        """Whether the ledger has a load of a stream."""
        sql = "select count(*) from penstock.loads where stream = $1 and load_id = $2"
        return bool(self.ledger.query(sql, [stream, load_id]).rows[0][0])

    def close(self) -> None:
        """Close the connections."""
        self._catalogs.clear()
        self._books.close()
        self._landings.close()
