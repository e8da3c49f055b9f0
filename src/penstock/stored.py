"""Values that Python's types cannot hold, or would change, as the text that the warehouse has for them.

A year beyond 9999 or before 1, ``infinity``, an interval of months, nanoseconds, and the digits of a JSON document:
what is shown is what is stored.
"""

from __future__ import annotations

import re

_TIME = re.compile(
    r"(?P<date>\d{4,}-\d\d-\d\d)(?P<era> \(BC\))?(?P<time> \d\d:\d\d:\d\d(?:\.\d+)?)?"
    r"(?P<zone>[+-]\d\d(?::\d\d)?)?(?P<era_behind> BC)?"
)


class Stored(str):
    """A value as its warehouse writes it."""

    __slots__ = ()


class Document(Stored):
    """A JSON document as it is stored, to the digit."""

    __slots__ = ()


class StoredTime(Stored):
    """A time that Python's types cannot hold, spelt as they spell theirs."""

    __slots__ = ()


def stored_time(text: str) -> Stored:
    """The text of a time as one spelling for every engine: ``10000-01-01 04:59:59+00:00``, with ``BC`` behind a year
    before 1; as it is where it has another form, such as ``infinity``."""
    match = _TIME.fullmatch(text)
    if match is None:
        return StoredTime(text)
    zone = match["zone"] or ""
    if len(zone) == 3:
        zone += ":00"
    era = " BC" if match["era"] or match["era_behind"] else ""
    return StoredTime(f"{match['date']}{match['time'] or ''}{zone}{era}")
