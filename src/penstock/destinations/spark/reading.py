"""Questions about Iceberg tables, answered by a DuckDB in memory over the files that a question needs.

The tables that a statement names are those of their current snapshots. Columns and conditions that it does not need are
not read. The ledger's tables, where it names those too, are fetched from PostgreSQL; the rows of views, from Spark.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.dataset as dataset
import sqlglot
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.io.pyarrow import PyArrowFileIO, schema_to_pyarrow
from sqlglot import exp

from penstock.destinations.duckdb import reading
from penstock.destinations.spark.catalogs import LEDGER
from penstock.destinations.spark.views import is_view
from penstock.engine_errors import error_text
from penstock.errors import DestinationError
from penstock.ports import Rows
from penstock.sql import identifier

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

_CATALOGUE = "information_schema"
_BEFORE_A_DOT = re.compile(r'"([^"]+)"\s*\.|\b([a-z_]\w*)\s*\.', re.IGNORECASE)


class Questions:
    """Statements on a catalog's tables.

    Args:
        catalog: gives the catalog that is open now; None where there is none yet.
        of_ledger: gives the rows of one of the ledger's tables.
        of_view: gives the rows of a view.
        deletes: deletes rows of a table; whether that may be done now.
    """

    def __init__(
        self,
        catalog: Callable[[], Catalog | None],
        of_ledger: Callable[[str], pa.Table],
        of_view: Callable[[tuple[str, str]], pa.Table],
        deletes: Callable[[tuple[str, str], exp.Expr, Sequence[Any]], bool],
        *,
        where: str,
    ) -> None:
        self._catalog = catalog
        self._of_ledger = of_ledger
        self._of_view = of_view
        self._where = where
        self._deletes = deletes

    def answer(self, sql: str, parameters: Sequence[Any], *, read_only: bool) -> Rows | None:
        """The rows of a statement on Iceberg tables; None for any other statement. One that drops a table gives none,
        and is refused with ``read_only``.

        Raises:
            DestinationError: it cannot be read, changes a table, or DuckDB refused it.
        """
        words = {(quoted or plain.lower()) for quoted, plain in _BEFORE_A_DOT.findall(sql)}
        catalog = self._catalog() if words - {LEDGER} else None
        if catalog is None:
            return None
        namespaces = {name[0] for name in catalog.list_namespaces()} | {_CATALOGUE}
        if not words & namespaces:
            return None
        statement = self._parsed(sql)
        named = [t for t in statement.find_all(exp.Table) if t.db in namespaces]
        if not named:
            return None
        if isinstance(statement, exp.Drop):
            if read_only:
                raise DestinationError(
                    "cannot execute DROP in a read-only transaction",
                    where=self._where,
                    fix="leave out what changes something",
                )
            return _dropped(statement, catalog)
        may_delete = isinstance(statement, exp.Delete) and len(named) == 1 and not read_only
        if may_delete and self._deletes((named[0].db, named[0].name), statement, parameters):
            return Rows(columns=(), rows=())
        if not isinstance(statement, exp.Query):
            raise DestinationError(
                f"not yet: {statement.key.upper()} on an Iceberg table, which landings and models alone write",
                where=self._where,
                fix="run it in Spark",
            )
        tables = {(t.db, t.name) for t in statement.find_all(exp.Table) if t.db in {*namespaces, LEDGER}}
        with self._over(catalog, tables) as connection:
            try:
                asked = reading.one_statement(connection, sql, self._where)
                return reading.fetched(connection, asked, parameters)
            except duckdb.Error as e:
                raise DestinationError(error_text(e), where=self._where) from None

    def _parsed(self, sql: str) -> exp.Expr:
        try:
            statements = sqlglot.parse(sql, read="duckdb")
        except sqlglot.ParseError as e:
            raise DestinationError(str(e).split("\n")[0], where=self._where) from None
        if len(statements) != 1 or statements[0] is None:
            what = f"{len(statements)} statements, where exactly one may be asked"
            raise DestinationError(what, where=self._where, fix="ask one statement")
        return statements[0]

    @contextmanager
    def _over(self, catalog: Catalog, tables: set[tuple[str, str]]) -> Iterator[duckdb.DuckDBPyConnection]:
        """A DuckDB with these tables. Where what there is is asked for, with all there are, empty but for those."""
        with duckdb.connect() as connection:
            connection.execute("set timezone = 'UTC'")
            for i, (schema, name) in enumerate(sorted(tables)):
                if schema != _CATALOGUE:
                    connection.execute(f"create schema if not exists {identifier(schema)}")
                    rows = self._of_ledger(name) if schema == LEDGER else self._rows(catalog, (schema, name))
                    if rows is not None:
                        connection.register(f"rows_{i}", rows)
                        connection.execute(f"create view {identifier(schema)}.{identifier(name)} as from rows_{i}")
            if any(schema == _CATALOGUE for schema, _ in tables):
                _show_all(connection, catalog, tables)
            yield connection

    def _rows(self, catalog: Catalog, name: tuple[str, str]) -> Any:
        """What DuckDB reads the rows of a table or a view from; None where there is none, which it says itself."""
        try:
            return _files(catalog.load_table(name))
        except NoSuchTableError:
            return self._of_view(name) if is_view(catalog, name) else None


def _show_all(connection: duckdb.DuckDBPyConnection, catalog: Catalog, but: set[tuple[str, str]]) -> None:
    """Make the tables that there are, empty."""
    for (schema,) in (name for name in catalog.list_namespaces() if len(name) == 1):
        connection.execute(f"create schema if not exists {identifier(schema)}")
        for _, name in catalog.list_tables(schema):
            if (schema, name) not in but:
                connection.register("empty", _columns(catalog.load_table((schema, name))).empty_table())
                connection.execute(f"create table {identifier(schema)}.{identifier(name)} as from empty")
                connection.unregister("empty")


def _dropped(statement: exp.Drop, catalog: Catalog) -> Rows:
    """Drop a table. There are no views."""
    for table in statement.find_all(exp.Table):
        if statement.kind == "TABLE" and catalog.table_exists((table.db, table.name)):
            catalog.drop_table((table.db, table.name))
    return Rows(columns=(), rows=())


def _columns(table: Table) -> pa.Schema:
    return schema_to_pyarrow(table.schema(), include_field_ids=False)


def _files(table: Table) -> Any:
    """The files as a dataset of Arrow's, of which DuckDB reads the columns and rows that it needs. Where rows of files
    were deleted, or columns renamed, PyIceberg reads them."""
    names: dict[int, str] = {}
    renamed = any(
        names.setdefault(field.field_id, field.name) != field.name
        for schema in table.schemas().values()
        for field in schema.fields
    ) or len(set(names.values())) < len(names)
    scan = table.scan()
    tasks = list(scan.plan_files())
    if renamed or any(task.delete_files for task in tasks):
        return scan.to_arrow()
    columns = _columns(table)
    if not tasks:
        return columns.empty_table()
    assert isinstance(table.io, PyArrowFileIO)
    scheme, netloc, _ = PyArrowFileIO.parse_location(tasks[0].file.file_path)
    store = table.io.fs_by_scheme(scheme, netloc)
    paths = [PyArrowFileIO.parse_location(task.file.file_path)[2] for task in tasks]
    return dataset.dataset(paths, schema=columns, format="parquet", filesystem=store)
