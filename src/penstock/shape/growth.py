"""Growth: room for what records hold and their stream's columns do not foresee, as far as the contract makes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from penstock.ports import Window
from penstock.shape.columns import kinds_of, lost_fields, new_columns, variants
from penstock.shape.infer import infer_type
from penstock.shape.lanes import Form, LaneRows
from penstock.shape.lanes.parsed import typed
from penstock.shape.memory import Memory
from penstock.shape.prepared import Statements
from penstock.shape.rows import rows_inside
from penstock.spec import StreamSpec


class Growth:
    """Makes a stream's schema grow by the records of a batch, and reads those again after it."""

    def __init__(self, memory: Memory, statements: Statements, spec: StreamSpec) -> None:
        self._memory = memory
        self._statements = statements
        self._spec = spec
        self.expected = False
        """Whether records are likely to have fields without a column, so that it saves time to name these at once."""

    def settled(
        self, lanes: Sequence[LaneRows], form: Form, window: Window | None, *, may_infer: bool
    ) -> tuple[Form, pa.Table]:
        """Rows of what lanes took that may have lost a value: those inside the window, after a schema that has room."""
        again = _Again(
            self._statements,
            self._spec,
            pa.concat_tables([lane.records for lane in lanes]),
            marked=any(lane.originals for lane in lanes),
        )
        rows = pa.concat_tables([table for lane in lanes for table in lane.tables])
        if pc.any(rows["_pen_more"]).as_py():
            form, rows = self._placed(again, form, rows, may_infer=may_infer)
        else:
            self.expected = False
        if window is not None:
            rows = rows_inside(rows, window)
        if self._spec.types == "evolve":
            added = variants(self._memory.connection, form.schema, again.records, rows, untyped=form.untyped)
            if added:
                form, rows = again.after(replace(form, schema=form.schema.grown(added), named=True))
                if window is not None:
                    rows = rows_inside(rows, window)
        return form, rows

    def _placed(self, again: _Again, form: Form, rows: pa.Table, *, may_infer: bool) -> tuple[Form, pa.Table]:
        """Grow by a column for each field that has none and holds a value, or name these fields.

        Types come from a sample; where the batch contradicts one, it is inferred from all of it.
        """
        untyped, schema = form.untyped, form.schema
        new = new_columns(self._memory.connection, schema, again.records, untyped=untyped) if may_infer else []
        if not new:
            self.expected = True
            return (form, rows) if form.named else again.after(replace(form, named=True))
        form, rows = again.after(replace(form, schema=schema.grown(new), named=True))
        added = {c.field for c in new}
        contradicted = [f for f in lost_fields(rows) if f in added]
        if contradicted:
            kinds = kinds_of(self._memory.connection, contradicted, again.records)
            types = {f: infer_type(kinds[f], untyped=untyped) for f in contradicted}
            corrected = schema.grown([replace(c, type=types.get(c.field, c.type)) for c in new])
            form, rows = again.after(replace(form, schema=corrected))
        return form, rows


class _Again:
    """Records that were read once, and may be read again."""

    def __init__(self, statements: Statements, spec: StreamSpec, records: pa.Table, *, marked: bool) -> None:
        self._statements = statements
        self._spec = spec
        self._marked = marked
        self.records = records

    def after(self, form: Form) -> tuple[Form, pa.Table]:
        """Their rows in another form."""
        return form, typed(self._statements, self._spec, self.records, form, marked=self._marked)
