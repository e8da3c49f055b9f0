"""Deletes rows of Iceberg tables, as erasing a person asks for it: files that hold one are written anew without it.

The rows that go are still in the files of older snapshots, and their statistics in older manifests:
:mod:`penstock.destinations.spark.purging` has these go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from sqlglot import exp

from penstock.destinations.spark.catalogs import RAW
from penstock.destinations.spark.compacting import replace_files
from penstock.destinations.spark.expiring import carried_stamp
from penstock.destinations.spark.writing import write_files, write_model_files
from penstock.engine_errors import error_text
from penstock.errors import DestinationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyiceberg.manifest import DataFile
    from pyiceberg.table import FileScanTask, Table

_TRIES = 5
_NUMBER = "_pen_row_number"


def delete_rows(
    load: Callable[[], Table], statement: exp.Expr, parameters: Sequence[Any], is_known: Callable[[str, int], bool]
) -> int:
    """Have a snapshot hold the rows for which a statement's condition is not true; how many went. ``load`` gives the
    table as it is now, ``is_known`` says whether the ledger has a load of a stream.

    Raises:
        DestinationError: DuckDB refused the condition, or rows are deleted beside the files.
        ValidationException, CommitFailedException: others change the table again and again.
    """
    for attempt in range(_TRIES):
        try:
            return _delete(load(), statement, parameters, is_known)
        except (ValidationException, CommitFailedException):
            if attempt + 1 == _TRIES:
                raise
    raise AssertionError("the last one raises")


def _delete(table: Table, statement: exp.Expr, parameters: Sequence[Any], is_known: Callable[[str, int], bool]) -> int:
    where = statement.args.get("where")
    condition = "true" if where is None else where.this.sql(dialect="duckdb")
    named = {column.name.lower() for column in statement.find_all(exp.Column)}
    fields = [field.name for field in table.schema().fields]
    columns = [name for name in fields if name.lower() in named] or fields[:1]
    asked, whole = (
        ArrowScan(table.metadata, table.io, table.scan(selected_fields=names).projection(), AlwaysTrue())
        for names in (tuple(columns), ("*",))
    )
    deleted = 0
    old: list[DataFile] = []
    new: list[DataFile] = []
    for task in expect_plain(table):
        gone = _numbers(asked.to_table([task]), condition, parameters)
        if not len(gone):
            continue
        deleted += len(gone)
        old.append(task.file)
        rows = whole.to_table([task])
        stays = np.ones(rows.num_rows, dtype=bool)
        stays[gone] = False
        if stays.any():
            new += _written(table, rows.filter(pa.array(stays)))
    if old:
        replace_files(table, old, new, carried_stamp(table, is_known))
    return deleted


def expect_plain(table: Table) -> Iterator[FileScanTask]:
    """The files of a table that hold all of its rows and no others.

    Raises:
        DestinationError: files beside them say which rows are deleted, which are in the files still.
    """
    for task in table.scan().plan_files():
        if task.delete_files:
            raise DestinationError(
                f"rows of {'.'.join(table.name())} are deleted by files beside their own, which keep them",
                where=table.location(),
                fix="in Spark: call system.rewrite_data_files with delete-file-threshold 1; nothing was erased",
            )
        yield task


def _numbers(rows: pa.Table, condition: str, parameters: Sequence[Any]) -> Any:
    """Which rows, counted from 0, a condition is true of."""
    numbered = rows.append_column(_NUMBER, pa.array(np.arange(rows.num_rows)))
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("set timezone = 'UTC'")
        connection.register("rows_in_hand", numbered)
        try:
            asked = connection.execute(f"select {_NUMBER} from rows_in_hand where {condition}", list(parameters))
            return asked.fetchnumpy()[_NUMBER]
        except duckdb.Error as e:
            raise DestinationError(error_text(e)) from None


def _written(table: Table, rows: pa.Table) -> list[DataFile]:
    """Write rows as the table's others are."""
    write = write_files if table.name()[0] == RAW else write_model_files
    return write(rows, table.metadata, table.io)
