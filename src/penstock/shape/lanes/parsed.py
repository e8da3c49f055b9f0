"""The general lane: whatever DuckDB's JSON reader reads right, by one statement."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.shape.lanes import Form, LaneRows
from penstock.shape.lanes.laying import laid
from penstock.shape.lanes.select import rows_sql
from penstock.shape.lines import Lines, without
from penstock.shape.prepared import Statements
from penstock.spec import StreamSpec


class Parsed:
    """Takes every line but those that show any sign of trouble. Even of no lines it makes a table, an empty one."""

    def __init__(self, statements: Statements, spec: StreamSpec) -> None:
        self._statements = statements
        self._spec = spec

    def take(self, lines: Lines, form: Form) -> tuple[LaneRows, Lines | None]:
        """Shape what is laid out and read right."""
        records = laid(self._statements, self._spec, lines.texts())
        rows = typed(self._statements, self._spec, records, form)
        suspect = rows["_pen_suspect"]
        if not pc.any(suspect).as_py():
            return LaneRows(tables=[rows], records=records), None
        suspects = np.sort(rows["_pen_o"].filter(suspect).to_numpy())
        rows = rows.filter(pc.invert(suspect))
        return LaneRows(tables=[rows], records=without(records, suspects)), lines.only(suspects)


def typed(statements: Statements, spec: StreamSpec, records: pa.Table, form: Form, *, marked: bool = False) -> pa.Table:
    """The rows of records, of whichever lane: a table ``(o, body)``.

    Args:
        marked: whether some may come from the careful lane, so that none is suspect and their exact numbers are marked.
    """
    return statements.run((form, marked), lambda source: rows_sql(source, spec, form, marked=marked), records)
