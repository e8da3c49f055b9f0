"""Numbers inside JSON, with every digit: DuckDB's JSON functions round them to doubles."""

from __future__ import annotations

from penstock.jsonpath import pointer
from penstock.sql import literal

_PIECE = r'"(?:[^"\\]|\\.)*"|[^"]+'
_NUMBER = "(-?[0-9][0-9.eE+-]*)"


def member_sql(json: str, field: str) -> str:
    """DuckDB SQL for the text of an object's member; null when it has none, or null."""
    pieces = f"regexp_extract_all({json}::varchar, {literal(_PIECE)})"
    texts = (
        f"list_transform({pieces}, lambda _pen_x: case when starts_with(_pen_x, '\"') then _pen_x"
        f" else regexp_replace(_pen_x, {literal(_NUMBER)}, '\"\\1\"', 'g') end)"
    )
    return f"json_extract_string(array_to_string({texts}, ''), {literal(pointer((field,)))})"
