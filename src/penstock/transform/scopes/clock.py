"""What gives another value each time that it is asked: no step by step build may go by it."""

from __future__ import annotations

from sqlglot import exp

from penstock.transform.scopes.parts import UnsafePart

_CHANGING = (
    exp.Rand,
    exp.Randn,
    exp.Uuid,
    exp.CurrentDate,
    exp.CurrentDatetime,
    exp.CurrentTime,
    exp.CurrentTimestamp,
    exp.Localtime,
    exp.Localtimestamp,
)
_CHANGING_BY_NAME = frozenset(
    {
        *("now", "today", "current_localtime", "current_localtimestamp", "get_current_time", "get_current_timestamp"),
        *("clock_timestamp", "statement_timestamp", "transaction_timestamp", "timeofday"),
        *("random", "random_normal", "setseed", "uuid", "gen_random_uuid", "gen_random_bytes", "uuidv4", "uuidv7"),
        *("nextval", "currval", "lastval", "txid_current", "pg_current_xact_id"),
    }
)
_CHANGING_TEXTS = frozenset({"now", "today", "tomorrow", "yesterday"})
"""What PostgreSQL takes for the time of the transaction where it expects a time (its manual, 8.5.1.4)."""


def expect_same_again(query: exp.Expr) -> None:
    """Look for the clock, chance and sequences.

    Raises:
        UnsafePart: there is such.
    """
    for part in query.walk():
        if _is_changing(part):
            raise UnsafePart(part, "gives another value each time", "take a value from the records instead")


def _is_changing(part: exp.Expr) -> bool:
    if isinstance(part, exp.Anonymous):
        name = part.name.lower()
        return name in _CHANGING_BY_NAME or (name == "age" and len(part.expressions) == 1)
    if isinstance(part, exp.Cast):
        return part.to.this not in exp.DataType.TEXT_TYPES and _is_of_the_clock(part.this)
    if isinstance(part, exp.LT | exp.LTE | exp.GT | exp.GTE | exp.Between):  # a time on one side makes one of the other
        return any(map(_is_of_the_clock, part.iter_expressions()))
    return isinstance(part, _CHANGING)


def _is_of_the_clock(text: exp.Expr) -> bool:
    while isinstance(text, exp.Paren | exp.Cast):
        text = text.this
    return isinstance(text, exp.Literal) and text.is_string and text.name.strip().lower() in _CHANGING_TEXTS
