"""Lanes: the ways from raw bodies to typed rows, the fastest first.

A lane takes the lines that it can shape exactly as every other lane would, and leaves the rest to the next: what the
kernel reads right (:mod:`.native`), whatever SQL reads right (:mod:`.parsed`), and one by one what is left
(:mod:`.careful`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from penstock.schema import Schema
from penstock.shape.lines import Lines
from penstock.shape.strict import Unsound


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What rows are to look like: the columns of ``schema``.

    ``untyped`` says that texts may spell numbers in every column, not only in declared ones. ``timed`` asks for the
    event time, ``named`` for the names of fields that have no column, instead of whether there are any.
    """

    schema: Schema
    untyped: bool = False
    timed: bool = False
    named: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneRows:
    """What a lane made of the lines it took.

    Each of ``tables`` has the columns of the form's schema, and then:

    - ``_pen_o``: the record's order number; ``_pen_id``, and ``_pen_content`` where the stream has it: UUIDs;
    - ``_pen_version``, ``_pen_json``, ``_pen_event_time``, ``_pen_rescued``: null where there is none;
    - ``_pen_lost``: the fields whose values have no place in a column; ``_pen_more``: whether there are any;
    - ``_pen_reject``: the code of what keeps the record from landing.

    ``records`` is the table ``(o, body)`` of what such rows were read from, when any may have lost a value, so that it
    can be read again after a schema that has grown. ``originals`` has the bytes of records whose bodies had to be
    rewritten for that, and ``unsound`` what is no record at all, both by order number.
    """

    tables: Sequence[pa.Table] = ()
    records: pa.Table | None = None
    originals: Mapping[int, bytes] = field(default_factory=dict)
    unsound: Mapping[int, Unsound] = field(default_factory=dict)

    @property
    def lost(self) -> bool:
        """Whether any value has no place in a column, or may have none."""
        return self.records is not None and any(
            pc.any(rows["_pen_more"]).as_py() or rows["_pen_lost"].null_count < rows.num_rows for rows in self.tables
        )


class Lane(Protocol):
    """One way to shape."""

    def take(self, lines: Lines, form: Form) -> tuple[LaneRows, Lines | None]:
        """Shape what this lane is for. Returns its rows, and the lines that it leaves, in their order: None when it has
        taken all that there were."""
        ...
