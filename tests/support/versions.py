"""Versions as sources write them, and what each means, told without the code under test."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

Rank = tuple[int, Any]
"""A version's kind (0 missing, 1 text, 2 number, 3 instant), and its value."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_LOOKS = ("", "n/a", "v9", "v10", "2026-02-30", "2024-02-28T10:00:00+25:00", "24:00", "\U0001f600", "1.2.3", "true")
_digits = st.text("0123456789", max_size=30)


@st.composite
def _numbers(draw: st.DrawFn) -> tuple[str, Rank]:
    """A number, as JSON's number or as a text that spells it."""
    whole = str(draw(st.integers(0, 12) | st.integers(0, 10 ** draw(st.integers(1, 40)))))
    part, sign = draw(st.just("") | _digits), draw(st.sampled_from(["", "-"]))
    power = draw(st.sampled_from(["", "", "e3", "E-2", "e+20"]))
    spelt = sign + whole + (f".{part}" if part else "") + power
    if draw(st.booleans()):
        return spelt, (2, Decimal(spelt))
    text = draw(st.sampled_from(["", " ", "00"])) + spelt if not sign else spelt
    return json.dumps(text + draw(st.sampled_from(["", " "]))), (2, Decimal(spelt))


@st.composite
def _instants(draw: st.DrawFn) -> tuple[str, Rank]:
    """A moment within a few seconds of others, in some zone, with as many digits of a second as it likes."""
    minutes = draw(st.sampled_from([0, 0, 120, -300, 330, 825]))
    at = datetime(2024, 2, 28, 23, 0, tzinfo=UTC) + timedelta(seconds=draw(st.integers(0, 90_000)))
    local = at.astimezone(timezone(timedelta(minutes=minutes)))
    fraction = draw(st.sampled_from(["", "", "5", "50", "123456", "1234567", "123456789012", "999999999999"]))
    hours, rest = divmod(abs(minutes), 60)
    offset = f"{'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"
    zones = [offset, offset.replace(":", "")] + (["Z", " UTC", "", "z"] if not minutes else [])
    day, time = local.strftime("%Y-%m-%d"), local.strftime("%H:%M:%S")
    text = day + draw(st.sampled_from(["T", " "])) + time + (f".{fraction}" if fraction else "")
    seconds = Decimal(int((at - _EPOCH).total_seconds())) + Decimal(f"0.{fraction or 0}")
    return json.dumps(text + draw(st.sampled_from(zones))), (3, seconds)


@st.composite
def _days(draw: st.DrawFn) -> tuple[str, Rank]:
    day = datetime(2024, 2, 27, tzinfo=UTC) + timedelta(days=draw(st.integers(0, 4)))
    return json.dumps(day.strftime("%Y-%m-%d")), (3, Decimal(int((day - _EPOCH).total_seconds())))


@st.composite
def _texts(draw: st.DrawFn) -> tuple[str, Rank]:
    """What is no number and no moment, though some of it looks like one."""
    text = draw(st.sampled_from(_LOOKS) | st.text("abcÄ\U0001f600 ", max_size=4).filter(lambda t: t.strip()))
    return json.dumps(text), (1, text.encode())


_missing: st.SearchStrategy[tuple[str, Rank]] = st.sampled_from([("null", (0, 0)), ("", (0, 0))])
versions = st.one_of(_numbers(), _numbers(), _instants(), _instants(), _days(), _texts(), _missing)
"""JSON of a version, empty where the field is left out, and its rank."""
