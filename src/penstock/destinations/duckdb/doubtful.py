"""Rows that may be in a table already: laid aside, and asked for in full together."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from penstock.destinations.duckdb.registered import Registered
from penstock.destinations.known import KnownIds
from penstock.shape.arrow import id_halves

_MOST = 20_000
"""Rows laid aside; with more, the table is asked at once."""


class Doubtful:
    """Of the rows of one landing those that ``known`` cannot tell to be new: mostly copies of rows that are there.

    The table is asked once for many of them, since that reads all identities of the loads that they may be from.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, table: str, known: KnownIds, load_id: int) -> None:
        self.known = known
        self._connection = connection
        self._table = table
        self._load_id = load_id
        self._aside: list[pa.Table] = []
        self._rows = 0
        self._loads: list[int] = []

    @property
    def many(self) -> bool:
        """Whether it is time to ask."""
        return self._rows > _MOST

    def taken_out(self, rows: pa.Table) -> pa.Array | None:
        """Lay doubtful rows aside. Returns whether each row is new, and counts on their being inserted; None when all
        are."""
        halves = _upper_halves(rows)
        maybe, loads = self.known.maybe(halves)
        if not maybe.any():
            self.known.add(halves, self._load_id, self._load_id)
            return None
        self._aside.append(rows.filter(pa.array(maybe)))
        self._rows += int(maybe.sum())
        self._loads += loads
        self.known.add(halves[~maybe], self._load_id, self._load_id)
        return pa.array(~maybe)

    def new_ones(self) -> pa.Table | None:
        """The rows laid aside whose identity the table does not hold, each once: the first. None when there are none.

        They have to be inserted.
        """
        if not self._aside:
            return None
        rows = pa.concat_tables(self._aside, promote_options="default")
        new = ~self._present(rows["_pen_id"])
        self._aside, self._rows, self._loads = [], 0, []
        if not new.any():
            return None
        rows = rows.filter(pa.array(new))
        _, first = np.unique(id_halves(rows["_pen_id"]), axis=0, return_index=True)
        rows = rows.take(np.sort(first))
        self.known.add(_upper_halves(rows), self._load_id, self._load_id)
        return rows

    def _present(self, ids: pa.ChunkedArray) -> Any:
        """Which of ``ids`` are in the table."""
        landed = (
            f"(select _pen_id from {self._table} where _pen_load between {min(self._loads)} and {max(self._loads)})"
        )
        with Registered(self._connection, "doubtful", pa.table({"i": np.arange(len(ids)), "_pen_id": ids})):
            asked = self._connection.sql(f"select i from doubtful semi join {landed} using (_pen_id)")
            places = asked.fetchnumpy()["i"]
        present = np.zeros(len(ids), dtype=bool)
        present[places] = True
        return present


def _upper_halves(rows: pa.Table) -> Any:
    return id_halves(rows["_pen_id"])[:, 0].view(np.uint64)
