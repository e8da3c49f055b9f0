"""When a record with a known identity takes the place of the row that is there."""

from __future__ import annotations

from penstock.ports import Target
from penstock.shape.schema import Schema
from penstock.sql import identifier


def wins_sql(target: Target, schema: Schema, *, new: str, old: str, load_id: int, collate: str = "") -> str:
    """SQL condition: row ``new`` replaces row ``old`` of the same identity.

    - append: never, the first wins.
    - merge: its version is greater; versions that are equal are told apart by content, so that no order of
      arrival matters. A missing version is the smallest.
    - replace: it differs; among records of the same refresh the one of greater content wins.
    """
    if target.disposition == "append":
        return "false"
    content = f"{new}._pen_content > {old}._pen_content"
    if target.disposition == "replace":
        return f"{new}._pen_content <> {old}._pen_content and ({old}._pen_load <> {load_id} or {content})"
    column = next((c for c in schema.columns if c.field == target.version and not c.variant), None)
    if column is None:
        return content
    mark = collate if column.type == "text" else ""
    name = identifier(column.name)
    ours, theirs = f"{new}.{name}{mark}", f"{old}.{name}{mark}"
    return (
        f"{ours} > {theirs} or ({theirs} is null and {ours} is not null)"
        f" or ({ours} is not distinct from {theirs} and {content})"
    )
