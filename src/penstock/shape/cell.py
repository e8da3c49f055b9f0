"""One field of a record, as SQL."""

from __future__ import annotations

from typing import NamedTuple


class Cell(NamedTuple):
    """SQL for one field of a record: its value as text, its JSON type, and its value as JSON text."""

    text: str
    type: str
    json: str
