"""Rows that land where none of their identity is: the first one stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.destinations.known import KnownIds
from penstock.destinations.spark.arrow import upper_halves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from penstock.destinations.spark.lookup import FilesOfTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a process remembers of a table: all identities that loads up to ``load`` landed, and perhaps some more."""

    load: int
    ids: KnownIds


def refreshed(known: Known | None, files: FilesOfTable | None, newest: int, *, whole: bool) -> Known | None:
    """What is known of a table up to its ``newest`` load. The loads of others since are read, and no more; with
    ``whole``, all of the table where nothing is known of it. None where it had better be asked, as what has overflowed
    also says.

    Loads of a stream are numbered in the order in which they land. One that failed in its commit leaves a number above
    the newest: what it said is forgotten.
    """
    if known is None or known.load > newest:
        if files is not None and not whole:
            return None
        known = Known(load=-1, ids=KnownIds())
    if files is not None and known.load < newest and not known.ids.overflowed:
        for ids in files.later(known.load):
            known.ids.add(upper_halves(ids), known.load + 1, newest)
            known.ids.commit()
            if known.ids.overflowed:
                break
    return Known(load=newest, ids=known.ids)


class Appending:
    """The new rows of one landing, and the identities that its process knows.

    Args:
        known: the identities of the table, and perhaps some more; None where its files are asked for all.
        files: what the table held before; None where there was none.
        full: is given the rows in hand when they are many, and takes them.
    """

    def __init__(
        self, known: KnownIds | None, files: FilesOfTable | None, load_id: int, full: Callable[[pa.Table], None]
    ) -> None:
        self._known = KnownIds() if known is None else known
        self._all_known = known is not None
        self._files = files
        self._load_id = load_id
        self._full = full
        self._rows: list[pa.Table] = []
        self._landed = Landed()
        self._contents: list[pa.Table] = []
        """Identities and contents of all rows of this landing, where there are contents."""
        self._bytes = 0

    def insert(self, rows: pa.Table, halves: Any) -> int:
        """Take the rows whose identity is new; how many. ``halves`` are their identities as numbers."""
        maybe, _ = self._known.maybe(halves[:, 0])
        present = np.zeros(rows.num_rows, dtype=bool)
        present[maybe] = self._landed.held(halves[maybe])
        asked = np.flatnonzero((maybe if self._all_known else np.ones(rows.num_rows, dtype=bool)) & ~present)
        if len(asked) and self._files is not None:
            there = self._files.known(rows.take(asked))
            if len(there):
                present |= pc.is_in(rows.column("_pen_id"), value_set=there).to_numpy()
        if present.any():
            rows, halves = rows.filter(pa.array(~present)), halves[~present]
        if rows.num_rows:
            self._known.add(halves[:, 0], self._load_id, self._load_id)
            self._landed.add(halves)
            if "_pen_content" in rows.column_names:
                self._contents.append(rows.select(["_pen_id", "_pen_content"]))
            self._rows.append(rows)
            self._bytes += rows.nbytes
            if self._bytes > _LARGE_BYTES:
                self._full(self.taken())
        return int(rows.num_rows)

    def contents(self, claims: pa.Table) -> Iterable[pa.Table]:
        """``_pen_id`` and ``_pen_content`` of rows whose identity is claimed."""
        ids = claims.column("_pen_id").combine_chunks()
        for table in self._contents:
            yield table.filter(pc.is_in(table.column("_pen_id"), value_set=ids))
        if self._files is not None:
            for _, entries in self._files.entries(claims.select(["_pen_id"]), ["_pen_id", "_pen_content"]):
                yield entries

    def taken(self) -> pa.Table | None:
        """The rows in hand, which are in hand no longer; None when there are none."""
        rows, self._rows, self._bytes = self._rows, [], 0
        return pa.concat_tables(rows, promote_options="default") if rows else None

    def commit(self) -> None:
        """Keep in mind what landed."""
        self._known.commit()

    def rollback(self) -> None:
        """Forget it."""
        self._known.rollback()


class Landed:
    """The identities of one landing, 16 bytes each: exact, where :class:`KnownIds` has halves."""

    def __init__(self) -> None:
        self._batches: list[tuple[Any, Any]] = []
        """Upper halves in their order, and the lower ones beside them."""

    def add(self, halves: Any) -> None:
        """Remember what landed."""
        order = np.argsort(halves[:, 0], kind="stable")
        self._batches.append((halves[order, 0], halves[order, 1]))

    def held(self, halves: Any) -> Any:
        """For each identity, whether it has landed."""
        order = np.argsort(halves[:, 0])  # a walk is faster than jumps
        walked, here = halves[order], np.zeros(len(halves), dtype=bool)
        for high, low in self._batches if len(halves) else ():
            first = np.searchsorted(high, walked[:, 0], side="left")
            end = np.searchsorted(high, walked[:, 0], side="right")
            one = end - first == 1
            here[one] |= low[first[one]] == walked[one, 1]
            for i in np.flatnonzero(end - first > 1):
                here[i] |= (low[first[i] : end[i]] == walked[i, 1]).any()
        answers = np.empty_like(here)
        answers[order] = here
        return answers


_LARGE_BYTES = 64 << 20
