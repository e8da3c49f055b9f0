"""The whole record beside its columns, in tables that were made without."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from penstock.ledger import delta_view

if TYPE_CHECKING:
    from penstock.ports import Target


def add_whole(
    target: Target, table: str, json: str, columns: Callable[[str], Iterable[str]], execute: Callable[[str], object]
) -> None:
    """Give a table that is there the column for the whole record, where its stream says so. Rows that are there have
    none.

    Args:
        json: the engine's type.
        columns: tells the names that a query gives.
    """
    if target.raw_json and "_pen_json" not in columns(f"select * from {table} limit 0"):
        execute(f"alter table {table} add column _pen_json {json}")
        execute(delta_view(target.stream))
