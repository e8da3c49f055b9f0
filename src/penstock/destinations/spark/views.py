"""The rows of views, which Spark alone reads: their SQL is Spark's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from penstock.destinations.spark.catalogs import NAME
from penstock.destinations.spark.session import open_session
from penstock.engine_errors import error_text
from penstock.errors import DestinationError

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from penstock.project import Spark

MOST = 1_000_000
"""Rows that a question reads of a view: they are all in memory, whatever the question needs of them."""


def is_view(catalog: Catalog, name: tuple[str, str]) -> bool:
    """Whether there is such a view. Some catalogs have none."""
    try:
        return catalog.view_exists(name)
    except NotImplementedError:
        return False


def rows_of_view(settings: Spark, name: tuple[str, str]) -> pa.Table:
    """All rows of a view as it is now, with the types that Arrow has for Spark's.

    Raises:
        DestinationError: Spark cannot be started or refuses the view, or the view has more rows than ``MOST``.
        UsageError: pyspark or dbt-spark is not installed, or ``spark.remote`` is set.
    """
    session = open_session(settings)
    from pyspark.sql.pandas.types import to_arrow_schema

    quoted = ".".join(f"`{part.replace('`', '``')}`" for part in (NAME, *name))
    shown = f"view {'.'.join(name)}"
    try:
        frame = session.sql(f"select * from {quoted} limit {MOST + 1}")
        # public as toArrow from Spark 4 on
        batches = frame._collect_as_arrow()  # noqa: SLF001
    except Exception as e:  # noqa: BLE001 - whatever Java has to say
        raise DestinationError(f"{shown}: {error_text(e)}", where=settings.warehouse) from None
    rows = pa.Table.from_batches(batches, to_arrow_schema(frame.schema))
    if rows.num_rows > MOST:
        raise DestinationError(
            f"{shown} has more than {MOST:,} rows, and a question would read them all",
            where=settings.warehouse,
            fix="ask the tables that it reads, build it as a table (materialized='penstock'), or ask in Spark",
        )
    return rows
