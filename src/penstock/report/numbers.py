"""How values are written for people."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any


def shown(value: Any) -> str:
    """As text: thousands apart, no trailing zeros, times in UTC to the second."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.2f}".rstrip("0").rstrip(".") if abs(value) < 1e15 else f"{value:g}"
        case Decimal():
            return f"{value:,f}".rstrip("0").rstrip(".") if value % 1 else f"{value:,.0f}"
        case datetime():
            moment = value.astimezone(UTC) if value.tzinfo else value
            return (
                moment.strftime("%Y-%m-%d %H:%M:%S") if moment.time().isoformat() != "00:00:00" else str(moment.date())
            )
        case date():
            return value.isoformat()
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case dict() | list():
            return json.dumps(value, ensure_ascii=False, default=str)
        case _:
            return str(value)


def ago(seconds: float) -> str:
    """``3 minutes``: one unit, rounded down."""
    for size, noun in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number:,} {noun}{'' if number == 1 else 's'}"
    return "less than a minute"
