"""Numbers of JSON that no double holds: carried through SQL with every digit, as marked texts."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import uuid4

from penstock.ports import Reason

EXACT_MARK = "\0n"
"""Starts a text that stands for an exact number. No record's own text can: NUL is rejected."""

_SIGNED = -(2**63)
_UNSIGNED = 2**64


class Refused(ValueError):
    """What no database can hold, or no JSON is."""

    def __init__(self, code: Reason, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Exact:
    """A number that no double holds."""

    text: str


def mark(value: Exact) -> str:
    """The text that stands for it on the way through SQL."""
    return EXACT_MARK + value.text


def written(value: Any) -> str:
    """``value`` as JSON again, exact numbers as numbers; for quarantine."""
    own = uuid4().hex
    marked = json.dumps(value, ensure_ascii=False, default=lambda exact: EXACT_MARK + own + exact.text)
    return re.sub(rf'"\\u0000n{own}([^"]*)"', r"\1", marked)


def integer(text: str) -> int | Exact:
    """What an integer of JSON is to SQL."""
    if len(text) < 19:
        return int(text)
    value = int(text) if len(text) < 4000 else None
    if value is not None and _SIGNED <= value < _UNSIGNED:
        return value
    return Exact(_plain(text))


def real(text: str) -> float | Exact:
    """What a number with a fraction or an exponent is to SQL.

    Raises:
        Refused: no decimal has that exponent.
    """
    value = float(text)
    try:
        exact = Decimal(text)
    except InvalidOperation:
        raise Refused("destination_rejected", "holds a number beyond any exponent") from None
    if value not in (float("inf"), float("-inf")) and Decimal(repr(value)) == exact:
        return value
    return Exact(_plain(text))


def _plain(text: str) -> str:
    """One spelling for each value: all digits up to 400 of them, else with an exponent."""
    sign, digits, exponent = Decimal(text).as_tuple()
    assert isinstance(exponent, int)
    figures = "".join(map(str, digits))
    stripped = figures.rstrip("0")
    exponent += len(figures) - len(stripped)
    minus = "-" if sign else ""
    if not stripped:
        return "0"
    if exponent >= 0 and len(stripped) + exponent <= 400:
        return minus + stripped + "0" * exponent
    if exponent < 0 and -exponent <= 400:
        padded = stripped.rjust(-exponent + 1, "0")
        return f"{minus}{padded[:exponent]}.{padded[exponent:]}"
    return f"{minus}{stripped}E{exponent}"
