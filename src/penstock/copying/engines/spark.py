"""Iceberg tables as the end of a copy. Their ledger is an end of PostgreSQL's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from penstock.copying.ends import End
from penstock.copying.engines.postgres import PostgresTables
from penstock.copying.plain import plain
from penstock.destinations.refusals import refusals
from penstock.destinations.spark.catalogs import RAW
from penstock.destinations.spark.destination import SparkDestination
from penstock.destinations.spark.writer import IcebergWriter
from penstock.faults import fault_point

if TYPE_CHECKING:
    from penstock.copying.parts import Part, RawPart
    from penstock.ports import Destination


def end(destination: Destination) -> End:
    """The end of a warehouse of Iceberg tables."""
    assert isinstance(destination, SparkDestination)
    books = PostgresTables(destination.books)
    return End(destination=destination, raw=IcebergTables(destination), ledger=books, source=False)


class IcebergTables:
    """The raw tables of a catalog."""

    def __init__(self, destination: SparkDestination) -> None:
        self._destination = destination

    def read(self, part: Part, condition: str = "", order: str = "") -> Iterator[pa.Table]:
        """The rows of the current snapshot, file by file."""
        assert not condition and not order, "a copy goes to Iceberg tables, not from them"
        with refusals(self._destination):
            table = self._destination.catalog.load_table((RAW, part.name))
            for batch in table.scan(selected_fields=tuple(part.columns)).to_arrow_batch_reader():
                yield plain(pa.table(batch), part.columns)

    def make(self, part: RawPart) -> None:
        """Make the table."""
        with refusals(self._destination):
            writer = self._writer(part)
            writer.create(part.known)
            writer.commit(0)

    def append(self, part: RawPart, rows: pa.Table) -> None:
        """Write files, and have a snapshot name them."""
        with refusals(self._destination, rows=True):
            writer = self._writer(part)
            try:
                writer.take_over(rows)
                fault_point("copy_before_commit")
                writer.commit(0)
            except BaseException:
                writer.rollback()
                raise

    def _writer(self, part: RawPart) -> IcebergWriter:
        writer = IcebergWriter(self._destination, self._destination.catalog, part.target)
        writer.begin(0, datetime.now(UTC))
        return writer
