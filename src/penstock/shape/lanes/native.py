"""The native lane: what the kernel (:mod:`penstock.native`) reads right, in one pass over the bytes.

It takes the records whose values all fit a column, nested or flat, in any order of keys. What it leaves, malformed or
merely unusual, the other lanes take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from penstock.native.kernel import kernel
from penstock.native.plan import Field, Given, Plan, Target
from penstock.shape.lanes import Form, LaneRows
from penstock.shape.lines import Lines
from penstock.shape.prepared import Statements
from penstock.shape.types import arrow_type, decimal_parts
from penstock.shape.version_keys import key_sql
from penstock.shape.width import fixed_bytes, is_wide, room_bytes
from penstock.spec import StreamSpec

if TYPE_CHECKING:
    import ctypes

_MAX_PLANS = 8
_ABSENT = {
    "_pen_version": pa.string(),
    "_pen_event_time": pa.timestamp("us"),
    "_pen_lost": pa.list_(pa.string()),
    "_pen_rescued": pa.string(),
    "_pen_reject": pa.string(),
}


class Native:
    """Takes the lines that the kernel takes; none where there is no kernel."""

    def __init__(self, statements: Statements, spec: StreamSpec) -> None:
        self._statements = statements
        self._spec = spec
        self._kernel: ctypes.CDLL | None = kernel()
        self._plans: dict[tuple[object, ...], Plan] = {}

    @property
    def works(self) -> bool:
        """Whether there is a kernel."""
        return self._kernel is not None

    def take(self, lines: Lines, form: Form) -> tuple[LaneRows, Lines | None]:
        """Shape the records that fit."""
        if self._kernel is None or not len(lines) or not form.schema.columns or lines.bodies.null_count:
            return LaneRows(), lines
        shaped = self._plan(self._kernel, form).shape(lines.bodies, lines.orders)
        if shaped is None or not shaped[0].num_rows:
            return LaneRows(), lines
        batch, left = shaped
        rows = self._rows(batch, form)
        if rows.num_rows == len(lines):
            return LaneRows(tables=[rows]), None
        others = left != 0
        return LaneRows(tables=[rows]), Lines(lines.orders[others], lines.bodies.filter(pa.array(others)))

    def _plan(self, library: ctypes.CDLL, form: Form) -> Plan:
        key = (form.schema, form.untyped, form.timed)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) == _MAX_PLANS:
                del self._plans[next(iter(self._plans))]
            plan = self._plans[key] = Plan(library, given(self._spec, form))
        return plan

    def _rows(self, batch: pa.RecordBatch, form: Form) -> pa.Table:
        """The rows with the columns that other lanes' rows have, of the same types."""
        names = [c.name for c in form.schema.columns] + batch.schema.names[len(form.schema.columns) :]
        columns = {
            name: pa.ExtensionArray.from_storage(pa.uuid(), column) if column.type == pa.binary(16) else column
            for name, column in zip(names, batch.columns, strict=True)
        }
        if self._spec.content and "_pen_content" not in columns:
            columns["_pen_content"] = columns["_pen_id"]
        if "_pen_version" in columns:
            columns["_pen_version"] = self._version_keys(columns["_pen_o"], columns["_pen_version"])
        columns |= {name: pa.nulls(batch.num_rows, type_) for name, type_ in _ABSENT.items() if name not in columns}
        return pa.table(columns)

    def _version_keys(self, orders: pa.Array, texts: pa.Array) -> pa.Array:
        """The keys of versions, by the SQL that every lane has them from."""
        keys = self._statements.run(
            "version keys",
            lambda source: f"select o, {key_sql('body')} as version from {source}",
            pa.table({"o": orders, "body": texts}),
        )
        back = np.empty(len(orders), np.int64)
        back[np.searchsorted(orders.to_numpy(), keys["o"].to_numpy())] = np.arange(len(orders))
        return keys["version"].take(pa.array(back))


def given(spec: StreamSpec, form: Form) -> Given:
    """What the kernel is to know of a stream whose rows have this form."""
    schema, layout = form.schema, spec.layout
    declared = dict(spec.declared)
    wide = is_wide(schema, spec)
    columns = []
    for column in schema.columns:
        precision, scale = decimal_parts(column.type) or (0, 0)
        columns.append(
            Target(
                field=column.field,
                type="decimal" if precision else column.type,
                arrow=_storage(column.type),
                spelt=form.untyped or declared.get(column.field) == column.type,
                precision=precision,
                scale=scale,
                width_bytes=0 if column.type == "text" else fixed_bytes(column.type),
            )
        )
    event_time = spec.event_time if form.timed else None
    version = spec.version if spec.versioned else None
    asked = (*schema.fields, *spec.identity, *filter(None, (event_time, version)), *layout.drop)
    # a point may stand between two names, or in one
    inner = [] if layout.flatten else [name[:i] for name in layout.drop for i, c in enumerate(name) if c == "."]
    fields = [
        Field(name=name, dropped=layout.drops(name), guarded=layout.holds_dropped(name))
        for name in dict.fromkeys((*asked, *inner))
    ]
    return Given(
        fields=fields,
        columns=columns,
        identity=tuple(spec.identity),
        dropped=layout.drop if layout.flatten else (),
        flat=layout.flatten,
        content=spec.content,
        event_time=event_time,
        version=version,
        raw=spec.raw_json,
        max_bytes=spec.max_record_bytes,
        max_width_bytes=room_bytes(spec) if wide else 0,
    )


def _storage(type_: str) -> pa.DataType:
    """The Arrow type that the kernel makes for a column. JSON is text in the rows of every lane."""
    arrow = arrow_type(type_)
    return arrow.storage_type if isinstance(arrow, pa.BaseExtensionType) else arrow
