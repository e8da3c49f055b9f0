"""Dates and times as people and clients write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_DATE = 10
"""Length of a date without a time."""


def moment_of(text: str, *, end_of_day: bool = False) -> int:
    """A date or a time as seconds since 1970; without a zone it is UTC.

    Raises:
        ValueError: it is neither.
    """
    at = datetime.fromisoformat(text)
    if end_of_day and len(text) == _DATE:
        at += timedelta(days=1, seconds=-1)
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
