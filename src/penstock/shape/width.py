"""How wide a row may be: PostgreSQL keeps a row on one page of 8 kB, and can move only longer values elsewhere.

A text of up to 23 bytes stays in the row; of a longer one 18 bytes stay. So a row of several hundred values may be too
wide, whatever their length. Values are kept from the first column on while they fit, on every engine, and the rest of
them is rescued.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.sql import identifier

if TYPE_CHECKING:
    from penstock.schema import Schema
    from penstock.spec import StreamSpec

MAX_ROW_BYTES = 7_900
"""Of the 8,160 on a page, what the row's header, its map of nulls and our own columns leave."""

_POINTER_BYTES = 18
"""What stays of a value that was moved; those of pseudonyms always are."""
_MOST_BYTES = 24
"""The most that stays of any other text: of 23 bytes, which is the longest that is never moved, and its length."""
_FIXED = {"bigint": 15, "double": 15, "timestamp": 15, "timestamptz": 15, "date": 7, "uuid": 16, "boolean": 1}
"""With as many bytes before them as their alignment may take."""

_COUNT = 1 << 20
_FULL = 1 << 19


def width_bytes(schema: Schema) -> int:
    """The most that a row after this schema takes."""
    return sum(fixed_bytes(c.type) for c in schema.columns)


def fixed_bytes(type_: str) -> int:
    """The most that a value of the type takes; of all types but text, what each takes."""
    return _FIXED.get(type_, _MOST_BYTES)


def is_wide(schema: Schema, spec: StreamSpec) -> bool:
    """Whether rows after this schema may be too wide."""
    return width_bytes(schema) > room_bytes(spec)


def fit_sql(schema: Schema, spec: StreamSpec) -> str:
    """DuckDB SQL for how many columns of a row, from the first on, fit. Columns without a value take no room."""
    # a length, or below zero a width that is known; the count above the sum, in one integer; a full sum stays full
    widths = ", ".join(
        f"strlen({identifier(c.name)})"
        if c.type == "text"
        else f"if({identifier(c.name)} is null, null, {-fixed_bytes(c.type)})"
        for c in schema.columns
    )
    return (
        f"(list_reduce(list_transform([{widths}]::bigint[], lambda _pen_w: case when _pen_w is null then 0"
        f" when _pen_w < 0 then -_pen_w when _pen_w < {_MOST_BYTES} then _pen_w + 1 else {_POINTER_BYTES} end),"
        f" lambda _pen_a, _pen_w: case when (_pen_a & {_COUNT - 1}) + _pen_w <= {room_bytes(spec)}"
        f" then _pen_a + _pen_w + {_COUNT} else _pen_a | {_FULL} end, 0) // {_COUNT})"
    )


def room_bytes(spec: StreamSpec) -> int:
    """What the values of a row may take together."""
    return MAX_ROW_BYTES - _POINTER_BYTES * len(spec.pii)
