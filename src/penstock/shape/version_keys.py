"""The key of a version: a text whose bytes sort as versions do, on every engine and whatever column the value has.

A version is read from the record itself, never from its column, which may not hold it. Kinds follow one another, and
within each the greater value has the greater key:

    missing (null)  <  text, by its bytes in UTF-8  <  number, exactly  <  instant, exactly

A text that spells a number is that number, and one that spells a day or a time is that instant: without a zone in UTC,
a day as its midnight. So what nobody can read as either never stands in the way of what can be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.shape.types import ZONE
from penstock.sql import identifier, literal

if TYPE_CHECKING:
    from penstock.schema import Schema
    from penstock.shape.cell import Cell

_BLANK = r"[ \t\r\n]*"
_NUMBER = rf"{_BLANK}([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{{1,7}}))?{_BLANK}"
_DAY = r"(\d{4})[-/]?(\d{2})[-/]?(\d{2})"
_TIME = r"(\d{2})(?::?(\d{2})(?::?([0-5]\d|60)(?:[.,](\d+))?)?)?"
_INSTANT = rf"{_BLANK}{_DAY}(?:[Tt ] ?{_TIME} ?({ZONE}|[zZ]|UTC|GMT)?)?{_BLANK}"
_EXPONENT_ZERO = 500_000_000
"""Added to exponents, so that they are nine digits without a sign; texts have fewer digits than that."""
_SECONDS_ZERO = 100_000_000_000
"""Added to seconds since 1970, likewise twelve."""


def version_sql(cell: Cell) -> str:
    """DuckDB SQL for the key of a field's value: null when it is absent or null."""
    text = (
        f"case when {cell.type} in ('OBJECT', 'ARRAY') then json_normalize({cell.text})::varchar"
        f" when {cell.type} <> 'NULL' then {cell.text} end"
    )
    return key_sql(text)


def key_sql(text: str) -> str:
    """DuckDB SQL for the key of a value given as text. A lambda's name must be no column's, which would win."""
    number = f"regexp_extract(_pen_t, {literal(f'^{_NUMBER}$')}, ['sign', 'whole', 'part', 'power'])"
    parts = "['year', 'month', 'day', 'hour', 'minute', 'second', 'part', 'zone']"
    instant = f"regexp_extract(_pen_t, {literal(f'^{_INSTANT}$')}, {parts})"
    return (
        f"list_transform([{text}], lambda _pen_t: case when _pen_t is null then null"
        f" when regexp_full_match(_pen_t, {literal(_NUMBER)}) and regexp_matches(_pen_t, '^[^eE]*[0-9]')"
        f" then {_number(number)}"
        f" when regexp_full_match(_pen_t, {literal(_INSTANT)}) then coalesce({_instant(instant)}, '1' || _pen_t)"
        " else '1' || _pen_t end)[1]"
    )


def kept_version(schema: Schema, field: str, *, rescued: str, json: str) -> str:
    """SQL for the text of a version that a row of a raw table has, in one of its columns or rescued.

    Args:
        rescued: SQL of the rescued field's text.
        json: SQL of the text of a JSON column, with ``{}`` for its name.
    """
    columns = [c for c in schema.columns if c.field == field and c.type != "pseudonym"]
    texts = [(json if c.type == "json" else "cast({} as text)").format(identifier(c.name)) for c in columns]
    return f"coalesce({', '.join([*texts, rescued])})"


def _number(parts: str) -> str:
    """2, then 0 for below zero, 1 for zero, 2 for above; the power of ten; the digits. What is below zero counts down,
    and its digits end in what is greater than a digit."""
    scaled = (
        f"list_transform([{parts}], lambda _pen_n: struct_pack(minus := _pen_n.sign = '-',"
        " digits := _pen_n.whole || _pen_n.part,"
        " point := length(_pen_n.whole) + coalesce(try_cast(_pen_n.power as bigint), 0)))[1]"
    )
    figures = (
        f"list_transform([{scaled}], lambda _pen_n: struct_pack(minus := _pen_n.minus,"
        " digits := trim(_pen_n.digits, '0'),"
        f" power := _pen_n.point - (length(_pen_n.digits) - length(ltrim(_pen_n.digits, '0'))) + {_EXPONENT_ZERO}))[1]"
    )
    return (
        f"list_transform([{figures}], lambda _pen_n: case when _pen_n.digits = '' then '21'"
        " when _pen_n.minus then '20' || lpad((999999999 - _pen_n.power)::varchar, 9, '0')"
        " || translate(_pen_n.digits, '0123456789', '9876543210') || '~'"
        " else '22' || lpad(_pen_n.power::varchar, 9, '0') || _pen_n.digits end)[1]"
    )


def _instant(parts: str) -> str:
    """3, then the seconds since 1970 in UTC, then the digits of the fraction; null when the calendar has no such day,
    or the day no such time."""
    day = "try_cast(_pen_i.year || '-' || _pen_i.month || '-' || _pen_i.day as date)"
    sound = (
        "_pen_i.year <> '0000' and coalesce(try_cast(_pen_i.minute as int), 0) < 60 and (_pen_i.hour < '24'"
        " or (_pen_i.hour = '24' and regexp_full_match(_pen_i.minute || _pen_i.second || _pen_i.part, '0*')))"
    )
    seconds = " + ".join(
        f"coalesce(try_cast({part} as bigint), 0) * {weight}"
        for part, weight in (("_pen_i.hour", 3600), ("_pen_i.minute", 60), ("_pen_i.second", 1))
    )
    zone = (
        "list_transform([regexp_extract(_pen_i.zone, '^([+-])([0-9]{2}):?([0-9]{2})?$', ['sign', 'hours', 'minutes'])],"
        " lambda _pen_z: (case when _pen_z.sign = '-' then -1 else 1 end)"
        " * (coalesce(try_cast(_pen_z.hours as bigint), 0) * 3600"
        " + coalesce(try_cast(_pen_z.minutes as bigint), 0) * 60))[1]"
    )
    whole = f"date_diff('day', date '1970-01-01', {day}) * 86400 + {seconds} - {zone} + {_SECONDS_ZERO}"
    return (
        f"list_transform([{parts}], lambda _pen_i: case when {sound}"
        f" then '3' || lpad(({whole})::varchar, 12, '0') || rtrim(_pen_i.part, '0') end)[1]"
    )
