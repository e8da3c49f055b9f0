"""Lengths of time as people write them: ``30s``, ``5m``, ``1h30m``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

LONGEST = timedelta(days=366)

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_MOST_SECONDS = timedelta.max.days * 86_400
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_SPAN = re.compile(rf"({_NUMBER})\s*([smhdw])")
SCHEMA = {
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": rf"^\s*({_NUMBER}|({_NUMBER}\s*[smhdwSMHDW]\s*)+)\s*$"},
    ]
}
"""The JSON schema of what :func:`time_span` reads."""


def time_span(value: Any) -> timedelta:
    """The time of ``30s``, ``5m``, ``1h30m``, ``1d``, ``1w``; of a number, so many seconds.

    Raises:
        ValueError: it is none, is less than nothing, or is longer than a :class:`~datetime.timedelta` holds.
    """
    if isinstance(value, timedelta):
        return value
    text = str(value).strip().lower()
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(min(value, _MOST_SECONDS))
    elif re.fullmatch(_NUMBER, text):
        seconds = float(text)
    elif re.fullmatch(rf"({_SPAN.pattern}\s*)+", text):
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in _SPAN.findall(text))
    else:
        raise ValueError(f"expected a duration, not {value!r}: expected a time such as 30s, 5m, 1h30m or 1d")
    if not 0 <= seconds < _MOST_SECONDS:  # also false of what is no number
        raise ValueError(f"expected a duration of 0s or more and of fewer than 1,000,000,000 days, not {value!r}")
    return timedelta(seconds=seconds)


def span_of_words(words: str) -> timedelta:
    """The time of ``every 5m``.

    Raises:
        ValueError: it is none, or has no unit.
    """
    span = words[len("every ") :].strip()
    if re.fullmatch(_NUMBER, span):
        raise ValueError(f"expected a time with its unit, such as every {span}m, not {words!r}")
    return time_span(span)


def span_text(span: timedelta) -> str:
    """As :func:`time_span` reads it: ``1h30m``."""
    left = span.total_seconds()
    text = ""
    for unit in ("d", "h", "m"):
        size = _SECONDS[unit]
        if left >= size:
            text += f"{int(left // size)}{unit}"
            left %= size
    return text + (f"{left:g}s" if left or not text else "")
