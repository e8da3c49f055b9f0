"""The careful lane: what is left, record by record, in Python. It takes everything."""

from __future__ import annotations

import pyarrow as pa

from penstock.shape.lanes import Form, LaneRows
from penstock.shape.lanes.parsed import typed
from penstock.shape.lines import Lines
from penstock.shape.prepared import Statements
from penstock.shape.strict import Sound, Unsound, examine
from penstock.spec import StreamSpec


class Careful:
    """Reads each body strictly, and gives SQL what it cannot get wrong."""

    def __init__(self, statements: Statements, spec: StreamSpec) -> None:
        self._statements = statements
        self._spec = spec

    def take(self, lines: Lines, form: Form) -> tuple[LaneRows, None]:
        """Shape the records there are, and say of the others why they are none."""
        bodies: dict[int, str] = {}
        originals: dict[int, bytes] = {}
        unsound: dict[int, Unsound] = {}
        for line, body in zip(lines.orders.tolist(), lines.bodies, strict=True):
            for order, record in enumerate(
                examine(body.as_py(), self._spec.max_record_bytes, self._spec.layout), start=line
            ):
                if isinstance(record, Sound):
                    bodies[order], originals[order] = record.body, record.original
                else:
                    unsound[order] = record
        text = pa.large_string() if pa.types.is_large_binary(lines.bodies.type) else pa.string()
        records = pa.table({"o": pa.array(bodies, pa.int64()), "body": pa.array(bodies.values(), text)})
        rows = typed(self._statements, self._spec, records, form, marked=True)
        return LaneRows(tables=[rows], records=records, originals=originals, unsound=unsound), None
