"""Landing, once for every engine: counts, growth, erased people, conflicts, quarantine, positions, and the receipt.

An engine is a :class:`Writer`: a transaction, and few verbs on one stream's table in it. What is known of the stream is
the :class:`penstock.ports.Ledger`'s, which may be a part of that transaction or another database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from penstock.destinations.dispositions import without_conflicts
from penstock.destinations.erased import Erased
from penstock.destinations.refusals import Sorts, refusals, sorting
from penstock.faults import fault_point
from penstock.ledger import added_columns
from penstock.ports import Ledger, Position, Receipt, Shaped, StreamEntry, Target
from penstock.schema import Column, Schema

if TYPE_CHECKING:
    import pyarrow as pa

    from penstock.errors import PenstockError

_LARGE_BYTES = 1 << 20


class Writer(Sorts, Protocol):
    """An engine's open transaction, and one stream's table in it. A landing calls its verbs one after the other."""

    def begin(self, load_id: int, at: datetime) -> None:
        """Open the transaction, for rows that bear this load and this time."""
        ...

    def check(self, schema: Schema, *, new: bool) -> None:
        """See that the table is as the ledger has it; with ``new``, that one can be made where there is none.

        Raises ``LandingBlocked`` when not, ``UsageError`` when it is another tool's.
        """
        ...

    def has_table(self) -> bool:
        """Whether the table is there. A stream whose records have all been empty has one, and no column in the
        ledger."""
        ...

    def columns(self) -> Sequence[str]:
        """The names of the table's columns."""
        ...

    def take_back(self, newest: int) -> None:
        """Called before anything is written where the ledger is apart and the table is there: take back what loads
        above ``newest`` landed, of which the ledger does not know."""
        ...

    def create(self, schema: Schema) -> None:
        """Make the table."""
        ...

    def show_delta(self) -> None:
        """Make the view of the latest load's rows anew, where the ledger is beside them."""
        ...

    def keep_whole(self) -> None:
        """Add the column for whole records, which the table lacks."""
        ...

    def widen(self, schema: Schema, added: Sequence[Column]) -> None:
        """Add columns; the table has those of ``schema`` then."""
        ...

    def key_versions(self, schema: Schema) -> None:
        """Give all rows the keys of their versions, in a column that is made when it is missing."""
        ...

    def recall(self, last_seq: int) -> None:
        """Called before the first rows: ``last_seq`` is the stream's last load, up to which identities may be
        remembered."""
        ...

    def make_room(self, columns: int, batch_bytes: int = 0, refused_bytes: int = 0) -> None:
        """Take as much memory as a table of so many columns needs, the largest batch yet, and all large bodies that
        were refused."""
        ...

    def contradicted(self, claims: pa.Table, operator: str) -> Iterable[int]:
        """Of rows ``(_pen_id, _pen_content, i)``, each ``i`` whose content stands to the one in the table so."""
        ...

    def insert(self, rows: pa.Table) -> int:
        """Insert the rows whose identity is new, and put those in the place of others that win it; how many."""
        ...

    def delete_unrefreshed(self, *, empty: bool) -> int:
        """Delete the rows that no insert of this landing named, and all when there was none and ``empty`` says that
        the source is; how many."""
        ...

    def finish(self) -> int:
        """Called when all rows are written; how many more than :meth:`insert` said are."""
        ...

    def commit(self, seq: int) -> None:
        """Commit; ``seq`` is the load's number in the ledger, 0 when it is not one."""
        ...

    def rollback(self) -> None:
        """Undo all. Harmless when nothing is open, or the connection is gone."""
        ...


class WarehouseLanding:
    """One open transaction of a warehouse and its ledger.

    Where the ledger is ``beside`` the rows, one commit is for both. Where it is apart, rows are committed first, the
    ledger after them: killed between the two, the ledger knows nothing of a load whose rows are there. Its source
    was not acknowledged and its positions were not kept, so its records come again; the next landing into the stream
    therefore begins by deleting the rows of loads above the newest that the ledger knows. That takes a table with
    ``append`` back whole. With ``merge`` and ``replace`` it is whole once the same records have come again; an engine
    that keeps snapshots of its tables may go back to one instead. Columns that such a load added stay, and are taken
    over when they come again; of another type by then, they block the landing after that.
    """

    def __init__(self, writer: Writer, ledger: Ledger, target: Target) -> None:
        self._writer = writer
        self._ledger = ledger
        self._target = target
        self._positions: dict[tuple[str, str], Position] = {}
        self._counts = {"read": 0, "landed": 0, "duplicates": 0, "quarantined": 0, "deleted": 0, "bytes": 0}
        self._started_at = datetime.now(UTC)
        self._open = True
        self._recalled = False
        self._load_id = self._largest = self._refused_bytes = 0
        self._erased: Erased | None = None
        self._admitted: tuple[Shaped, Shaped] | None = None
        """The last batch that was looked at, and what stays of it."""
        self._schema = Schema()

    def refusal(self, error: Exception, *, rows: bool) -> PenstockError | None:
        """The engine's errors as ours."""
        return self._writer.refusal(error, rows=rows)

    def _refusals(self) -> AbstractContextManager[None]:
        return refusals(self, rows=True)

    @sorting()
    def begin(self) -> None:
        """Open the transaction. Whatever it raises, :meth:`rollback` has to follow."""
        target, ledger, writer = self._target, self._ledger, self._writer
        ledger.begin()
        ledger.hold(target.stream)
        # numbers of a stream's loads rise from one landing to the next: they are taken in turn
        self._load_id = ledger.next_load()
        writer.begin(self._load_id, self._started_at)
        self._schema = ledger.schema(target.stream)
        entry = ledger.enter_stream(target) if target.spec.sameness else None
        writer.check(self._schema, new=bool(target.spec.sameness))
        writer.make_room(len(self._schema.columns))
        if not ledger.beside and writer.has_table():
            writer.take_back(ledger.newest_load(target.stream))
        self._add_own_columns(entry)
        if target.spec.personal.subjects:
            self._erased = Erased(target.spec.personal, ledger.erased())

    def write(self, shaped: Shaped) -> None:
        """Write a batch into the open transaction."""
        with self._refusals():
            if not self._recalled:
                self._writer.recall(self._ledger.last_seq(self._target.stream))
                self._recalled = True
            self._grow(shaped.schema)
            self._largest = max(self._largest, shaped.rows.nbytes, shaped.bytes)
            self._make_room(shaped.schema)
            fault_point("before_stage")
            shaped = self._without_conflicts(self.admitted(shaped))
            self._admitted = None
            landed = self._writer.insert(shaped.rows) if shaped.rows.num_rows else 0
            fault_point("after_stage")
            self._refused_bytes += sum(len(r.body) for r in shaped.rejects if len(r.body) > _LARGE_BYTES)
            self._make_room(shaped.schema)
            quarantined = self._ledger.quarantine(self._target, shaped.rejects, self._load_id)
            self._ledger.mark_replayed(shaped.replayed, self._load_id)
        self.keep(shaped.positions)
        self._counts["read"] += shaped.read
        self._counts["landed"] += landed
        self._counts["quarantined"] += quarantined
        self._counts["duplicates"] += shaped.read - landed - quarantined
        self._counts["bytes"] += shaped.bytes

    def admitted(self, shaped: Shaped) -> Shaped:
        """The batch without records of erased people, who are looked for once in each."""
        if self._erased is None:
            return shaped
        if self._admitted is None or self._admitted[0] is not shaped:
            self._admitted = (shaped, self._erased.without(shaped))
        return self._admitted[1]

    def keep(self, positions: Sequence[Position]) -> None:
        """Add positions to those that :meth:`commit` writes."""
        self._positions.update({(p.source, p.key): p for p in positions})

    def commit(self) -> Receipt:
        """Write positions and the ledger entry, and commit."""
        target, ledger, writer = self._target, self._ledger, self._writer
        with self._refusals():
            late = writer.finish()
            self._counts["landed"] += late
            self._counts["duplicates"] -= late
            if target.whole and writer.has_table():
                # a delivery of records of which none can land is broken; it must not empty the table
                self._counts["deleted"] = writer.delete_unrefreshed(empty=not self._counts["read"])
            receipt = Receipt(
                load_id=self._load_id,
                seq=0,
                stream=target.stream,
                source=target.source,
                started_at=self._started_at,
                committed_at=datetime.now(UTC),
                **self._counts,
            )
            ledger.keep_positions(target.stream, self._positions.values(), self._load_id, receipt.committed_at)
            if receipt.read or receipt.deleted:
                receipt = replace(receipt, seq=ledger.add_load(receipt))
            fault_point("before_commit")
            writer.commit(receipt.seq)
            fault_point("rows_committed")
            ledger.commit()
        self._open = False
        fault_point("after_commit")
        return receipt

    def rollback(self) -> None:
        """Undo what was written."""
        if not self._open:
            return
        self._open = False
        try:
            self._writer.rollback()
        finally:
            self._ledger.rollback()

    def _make_room(self, schema: Schema) -> None:
        self._writer.make_room(len(schema.columns), self._largest, self._refused_bytes)

    def _add_own_columns(self, entry: StreamEntry | None) -> None:
        """Give a table that was made without them the columns for whole records and for keys of versions."""
        target, writer = self._target, self._writer
        if (target.spec.raw_json or target.spec.versioned) and writer.has_table():
            names = writer.columns()
            lacks_whole = target.spec.raw_json and "_pen_json" not in names
            if lacks_whole:
                writer.keep_whole()
            others = "_pen_version" not in names if entry is None else entry.version != target.spec.version
            if target.spec.versioned and others:
                writer.key_versions(self._schema)
            if lacks_whole or (target.spec.versioned and others):
                self._show_delta()
        if entry is not None and entry.version != target.spec.version:
            self._ledger.keep_version(target.stream, target.spec.version)

    def _grow(self, schema: Schema) -> None:
        """Bring the table up to the schema the rows follow."""
        if schema == self._schema:
            return
        added = added_columns(self._schema, schema)
        self._make_room(schema)
        if self._schema.version == 0 and not self._writer.has_table():
            self._writer.create(schema)
        else:
            # a load that the ledger does not know may have added some
            there = () if self._ledger.beside else self._writer.columns()
            self._writer.widen(schema, [column for column in added if column.name not in there])
        self._ledger.keep_columns(self._target.stream, self._schema, schema)
        self._show_delta()
        self._schema = schema

    def _show_delta(self) -> None:
        """The view of the latest load's rows reads the ledger too."""
        if self._ledger.beside:
            self._writer.show_delta()

    def _without_conflicts(self, shaped: Shaped) -> Shaped:
        """Message ids that are known with another content are conflicts."""
        if not self._target.spec.message or self._target.spec.disposition != "append" or not shaped.rows.num_rows:
            return shaped
        return without_conflicts(shaped, self._writer.contradicted)


def opened(landing: WarehouseLanding) -> WarehouseLanding:
    """The landing, begun; rolled back when it cannot be."""
    try:
        landing.begin()
    except BaseException:
        landing.rollback()
        raise
    return landing
