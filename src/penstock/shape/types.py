"""Column types: their names, which values fit them exactly, and how each is spelt in Arrow.

A value *fits* a type when storing it loses nothing. What does not fit is a type conflict and goes where the
stream's contract says. The expressions below are DuckDB SQL over two texts: ``t``, the value as text, and
``y``, its JSON type (``VARCHAR``, ``BIGINT``, ``UBIGINT``, ``DOUBLE``, ``BOOLEAN``, ``OBJECT``, ``ARRAY``,
``NULL``; SQL null when the field is absent; ``EXACT`` for a number that no double holds).
"""

from __future__ import annotations

import re

import pyarrow as pa

SCALARS = ("text", "bigint", "double", "boolean", "date", "timestamp", "timestamptz", "uuid", "json")
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")

DATE = r"\d{4}-\d{2}-\d{2}"
TIME = r"\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?"
ZONE = r"(?:Z|[+-](?:0\d|1[0-5])(?::?[0-5]\d)?)"
"""No place is more than 14 hours from UTC, and no database takes an offset of 16."""
PATTERNS = {
    "date": rf"{DATE}",
    "timestamp": rf"{DATE}([T ]{TIME})?",
    "timestamptz": rf"{DATE}[T ]{TIME} ?{ZONE}",
    "uuid": r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
    "integer": r"-?(0|[1-9]\d{0,37})",
    "number": r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d{1,3})?",
}
"""What text has to look like, in full, to be taken for a type. Stricter than any database's cast: a cast
that would guess (``2020-1-5``, ``epoch``, ``12/01/2020``) or cut digits off is a conflict instead."""

_NUMBERS = "('BIGINT','UBIGINT','DOUBLE','EXACT')"
_INTEGERS = "('BIGINT','UBIGINT')"
_EXACT_IN_DOUBLE = 2**53


def decimal_parts(type_: str) -> tuple[int, int] | None:
    """Precision and scale of ``decimal(p,s)``; None for another type."""
    match = _DECIMAL.fullmatch(type_)
    return (int(match[1]), int(match[2])) if match else None


def arrow_type(type_: str) -> pa.DataType:
    """The Arrow type in which a column of ``type_`` travels."""
    parts = decimal_parts(type_)
    if parts:
        return pa.decimal128(*parts)
    return {
        "text": pa.string(),
        "bigint": pa.int64(),
        "double": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us"),
        "timestamptz": pa.timestamp("us", tz="UTC"),
        "uuid": pa.uuid(),
        "json": pa.json_(pa.string()),
        "pseudonym": pa.string(),
    }[type_]


def duckdb_type(type_: str) -> str:
    """The DuckDB type of a column of ``type_``."""
    return {"text": "varchar", "pseudonym": "varchar", "timestamptz": "timestamp with time zone"}.get(type_, type_)


def value_sql(type_: str, t: str, y: str, json: str, *, parse: bool) -> str:
    """DuckDB SQL for the value of a column of ``type_``; null when the value is absent, null, or does not fit.

    Args:
        type_: the column's type.
        t: SQL of the value as text; y: SQL of its JSON type; json: SQL of the value as JSON text.
        parse: whether text that spells a number or a truth value fits (declared columns, CSV).
    """
    parts = decimal_parts(type_)
    if parts:
        return _decimal(parts[1], parts[0], t, y, parse=parse)
    text = f"{y} = 'VARCHAR'"
    if type_ == "text":
        return f"case when {y} not in ('OBJECT','ARRAY','NULL') then {t} end"
    if type_ == "json":
        return f"case when {y} <> 'NULL' then {json} end"
    if type_ == "boolean":
        spelt = f" or ({text} and lower({t}) in ('true','false'))" if parse else ""
        return f"case when {y} = 'BOOLEAN'{spelt} then try_cast({t} as boolean) end"
    if type_ == "bigint":
        spelt = f" or ({text} and {_full(t, 'integer')})" if parse else ""
        whole = (
            f"when {y} = 'DOUBLE' and abs(try_cast({t} as double)) < {_EXACT_IN_DOUBLE}"
            f" and try_cast({t} as double) = floor(try_cast({t} as double))"
            f" then try_cast(try_cast({t} as double) as bigint)"
        )
        return f"case when {y} in {_INTEGERS}{spelt} then try_cast({t} as bigint) {whole} end"
    if type_ == "double":
        spelt = (
            f" when {text} and {_full(t, 'number')} and ({_digits(t)} <= 15"
            f" or try_cast({t} as double)::varchar = {t}) then try_cast({t} as double)"
            if parse
            else ""
        )
        return (
            f"case when {y} = 'DOUBLE' then try_cast({t} as double)"
            f" when {y} in {_INTEGERS} and abs(try_cast({t} as hugeint)) <= {_EXACT_IN_DOUBLE}"
            f" then try_cast({t} as double){spelt} end"
        )
    cast = {"timestamptz": "timestamp with time zone"}.get(type_, type_)
    year = "" if type_ == "uuid" else f" and not starts_with({t}, '0000')"
    return f"case when {text} and {_full(t, type_)}{year} then try_cast({t} as {cast}) end"


def _decimal(scale: int, precision: int, t: str, y: str, *, parse: bool) -> str:
    kinds = f"{y} in {_NUMBERS}" + (f" or {y} = 'VARCHAR'" if parse else "")
    whole = precision - scale
    pattern = rf"-?0*\d{{1,{max(whole, 1)}}}(\.\d{{0,{scale}}}0*)?" if scale else rf"-?0*\d{{1,{whole}}}(\.0*)?"
    return (
        f"case when ({kinds}) and regexp_full_match({t}, '{pattern}')"
        f" then try_cast({t} as decimal({precision},{scale})) end"
    )


def _full(t: str, pattern: str) -> str:
    return f"regexp_full_match({t}, '{PATTERNS[pattern]}')"


def _digits(t: str) -> str:
    """Significant digits at most: all digits but leading zeros and those of an exponent."""
    return rf"length(regexp_replace({t}, '^-?[0.]*|[eE].*$|\.', '', 'g'))"
