"""Lengths of time as people write them: ``30s``, ``5m``, ``1h30m``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

LONGEST = timedelta(days=366)

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")


def time_span(value: Any) -> timedelta:
    """The time of ``30s``, ``5m``, ``1h30m``, ``1d``; of a number, so many seconds.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return timedelta(seconds=min(value, LONGEST.total_seconds() + 1))
    text = str(value).strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return time_span(float(text))
    if not re.fullmatch(rf"({_SPAN.pattern}\s*)+", text):
        raise ValueError(f"expected a time such as 30s, 5m, 1h30m or 1d, not {value!r}")
    seconds = sum(
        float(number) * timedelta(**{_UNITS[unit]: 1}).total_seconds() for number, unit in _SPAN.findall(text)
    )
    return time_span(seconds)


def span_of_words(words: str) -> timedelta:
    """The time of ``every 5m``.

    Raises:
        ValueError: it is none, or has no unit.
    """
    span = words[len("every ") :].strip()
    if re.fullmatch(r"\d+(\.\d+)?", span):
        raise ValueError(f"expected a time with its unit, such as every {span}m, not {words!r}")
    return time_span(span)


def span_text(span: timedelta) -> str:
    """As :func:`time_span` reads it: ``1h30m``."""
    left = span.total_seconds()
    text = ""
    for unit in ("d", "h", "m"):
        size = timedelta(**{_UNITS[unit]: 1}).total_seconds()
        if left >= size:
            text += f"{int(left // size)}{unit}"
            left %= size
    return text + (f"{left:g}s" if left or not text else "")
