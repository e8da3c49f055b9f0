"""The shaper: a batch of raw bodies in, typed rows and rejects out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import duckdb
import pyarrow as pa

from penstock.errors import PenstockError
from penstock.ports import Batch, Reason, Reject, Shaped, Taken, Window
from penstock.schema import Schema
from penstock.shape.columns import SAMPLE_ROWS, with_declared
from penstock.shape.growth import Growth
from penstock.shape.identity import by_message, first_rows, latest_rows, without_conflicts
from penstock.shape.lanes import Form, Lane, LaneRows
from penstock.shape.lanes.careful import Careful
from penstock.shape.lanes.native import Native
from penstock.shape.lanes.parsed import Parsed
from penstock.shape.lines import Lines, places_of
from penstock.shape.memory import Memory
from penstock.shape.personal import plain, pseudonymised
from penstock.shape.prepared import Statements
from penstock.shape.rejects import Arrived, Refused, stop_if_frozen, storable, without_broken, without_refused
from penstock.shape.rows import landing_rows, rows_inside
from penstock.shape.strict import Unsound
from penstock.shape.wanted import wanted
from penstock.spec import StreamSpec


class Shaper:
    """Shapes batches in a DuckDB of its own, one at a time. Not thread-safe, but for what it shaped.

    Args:
        threads: DuckDB threads.
        memory_bytes: what DuckDB may use; a batch of 16 MiB needs about 150 MB, a bigger record eight times its size.
    """

    at_once = 1

    def __init__(self, spec: StreamSpec, *, threads: int = 2, memory_bytes: int = 256 << 20) -> None:
        self.spec = spec
        self._memory = Memory(threads, max(memory_bytes, 8 * spec.max_record_bytes))
        self._statements = Statements(self._memory)
        self._native, self._parsed = Native(self._statements, spec), Parsed(self._statements, spec)
        self._lanes: tuple[Lane, ...] = (self._native, self._parsed, Careful(self._statements, spec))
        self._growth = Growth(self._memory, self._statements, spec)
        self._declared: tuple[Schema, Schema] | None = None
        self._aside: tuple[Memory, Statements] | None = None

    def close(self) -> None:
        """Free the memory."""
        self._memory.close()
        if self._aside is not None:
            self._aside[0].close()
            self._aside = None

    def shape(
        self, batch: Batch, schema: Schema, window: Window | None = None, refused: Refused | None = None
    ) -> Shaped:
        """Shape a batch.

        Args:
            schema: the stream's columns as the ledger has them; version 0 when it never landed.
            window: take only records whose event time lies in it, or which have none.
            refused: what the destination is known to refuse.

        Returns:
            Rows after ``schema`` or, when the contract lets it evolve, a later version of it.

        Raises:
            ContractError: the stream is frozen and the batch breaks its contract.
            PenstockError: the batch needs more than 16 GiB of memory.
        """
        while True:
            try:
                shaped = self._shape(batch, schema, window, refused or {})
                if shaped.schema.reserved or self.spec.pii:
                    shaped = pseudonymised(self._memory.connection, shaped, schema, self.spec.pii, self.spec.keys)
                return shaped
            except duckdb.OutOfMemoryException:
                # records of many fields take more than most; nothing has been kept of the attempt
                if not self._memory.doubled():
                    raise PenstockError(
                        f"stream {self.spec.stream}: a batch needs over {self._memory.max_bytes >> 20:,} MiB of memory",
                        where=batch.origin(0),
                        fix="set a smaller batch_bytes under load:",
                    ) from None

    def _shape(self, batch: Batch, before: Schema, window: Window | None, refused: Refused) -> Shaped:
        spec = self.spec
        schema, rows, arrived, unsound = self._rows(batch, before, window)
        if spec.message:
            rows = by_message(self._opened, batch, rows)
        read = rows.num_rows + len(unsound) + len(batch.rejects)
        inside = None if window is None else rows["_pen_o"]
        rejects = [*storable(batch.rejects, spec.layout)] if batch.rejects else []
        rejects += [arrived.reject(order, u.code, u.reason, u.original) for order, u in unsound.items()]
        rows, broken = without_broken(rows, schema, arrived)
        rejects += broken
        if spec.message:
            rows, conflicting = without_conflicts(self._opened, rows, arrived)
            rejects += conflicting
        if refused:
            # before one of each identity is chosen: another of the same identity may be sound
            rows, unwanted = without_refused(rows, refused, arrived)
            rejects += unwanted
        candidates = rows.num_rows
        rows = latest_rows(self._opened, rows) if spec.content else first_rows(rows)
        if rows.num_rows and not schema.version:
            schema = replace(schema, version=1)
        orders = rows["_pen_o"].to_numpy()

        def refuse(row: int, code: Reason, reason: str) -> Reject:
            return arrived.reject(int(orders[row]), code, reason)

        def taken() -> Taken:
            places = None if inside is None else places_of(inside, unsound)
            return wanted(self._statements_aside, spec, batch, places)

        return Shaped(
            rows=landing_rows(batch, schema, spec, rows),
            taken=taken,
            refused=refuse,
            schema=schema,
            rejects=rejects,
            read=read,
            duplicates=candidates - rows.num_rows,
            bytes=batch.bytes,
            positions=batch.positions,
            replayed=tuple(sorted({*batch.replays} - {r.entry for r in rejects if r.entry is not None})),
        )

    def _opened(self) -> duckdb.DuckDBPyConnection:
        return self._memory.connection

    def _rows(
        self, batch: Batch, before: Schema, window: Window | None
    ) -> tuple[Schema, pa.Table, Arrived, Mapping[int, Unsound]]:
        """A row of each record inside the window, with the schema that they made grow; and what is no record."""
        schema = self._with_declared(before)
        form = Form(schema=schema, untyped=batch.untyped, timed=window is not None, named=self._growth.expected)
        first = before.version == 0 and not schema.columns
        may_infer = self.spec.columns == "evolve" or first
        lines = Lines.of(batch.bodies)
        foreseen = self._foreseen(lines, form) if may_infer and before.version == 0 else None
        taken = self._taken(lines, foreseen or form)
        if foreseen is not None and any(rows.lost for rows in taken):
            foreseen, taken = None, self._taken(lines, form)
        form = foreseen or form
        originals = {order: body for rows in taken for order, body in rows.originals.items()}
        arrived = Arrived(batch, self.spec, originals)
        tables = [table for rows in taken if rows.records is None for table in rows.tables]
        if window is not None:
            tables = [rows_inside(table, window) for table in tables]
        if read := [rows for rows in taken if rows.records is not None]:
            form, grown = self._growth.settled(read, form, window, may_infer=may_infer)
            stop_if_frozen(grown, form.schema, arrived)
            tables.append(grown)
        whole = pa.concat_tables(tables, promote_options="default") if len(tables) > 1 else tables[0]
        return form.schema, whole, arrived, {o: u for rows in taken for o, u in rows.unsound.items()}

    def _taken(self, lines: Lines, form: Form) -> list[LaneRows]:
        """What the lanes make of the lines, each of what the one before it left."""
        taken: list[LaneRows] = []
        rest: Lines | None = lines
        for lane in self._lanes:
            if rest is not None:
                rows, rest = lane.take(rest, form)
                taken.append(rows)
        return taken

    def _foreseen(self, lines: Lines, form: Form) -> Form | None:
        """The form with columns for what the first records hold, for the kernel, which makes no columns; None when they
        do not foretell what all of the batch would be given.

        Types of new columns come from these records in any case (:mod:`penstock.shape.columns`), so when everything
        fits, the columns are those that the whole batch would have got.
        """
        if not self._native.works or len(lines) < 2 * SAMPLE_ROWS:
            return None
        rows, rest = self._parsed.take(lines.first(SAMPLE_ROWS), form)
        if rest is not None:
            return None
        foreseen, grown = self._growth.settled([rows], form, None, may_infer=True)
        if grown["_pen_lost"].null_count < grown.num_rows or any(c.variant for c in foreseen.schema.columns):
            return None
        return replace(foreseen, named=form.named)

    def _statements_aside(self) -> Statements:
        """Statements in a DuckDB of their own: what a batch brought is asked for while the next one is shaped."""
        if self._aside is None:
            memory = Memory(1, self._memory.max_bytes)
            self._aside = memory, Statements(memory)
        return self._aside[1]

    def _with_declared(self, before: Schema) -> Schema:
        """The schema with what the project file declares, and without its pseudonyms."""
        if self._declared is None or self._declared[0] != before:
            self._declared = (before, with_declared(plain(before), self.spec))
        return self._declared[1]
