"""Columns of JSON texts from columns of numbers, a page at a time, by operations on whole columns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import cache
from typing import Any, Literal, TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Texts: TypeAlias = Any
"""A ``pa.StringArray``: in a page's columns, each is a JSON value."""
Whole: TypeAlias = NDArray[np.int64]
Format = Literal["json", "array", "ndjson", "csv"]

FIRST_DAY = date(2020, 1, 1)
_DAYS = 7_305
_FIRST_SECOND = 1_577_836_800
_DAY = 86_400


def numbers(values: NDArray[Any]) -> Texts:
    """Whole numbers."""
    return pc.cast(pa.array(values), pa.string())


def chosen(words: Texts, which: NDArray[Any]) -> Texts:
    """Of prepared words, those at the places given."""
    return words.take(pa.array(which))


def words(values: Sequence[str]) -> Texts:
    """Words to choose from, as they are."""
    return pa.array(values, pa.string())


def quoted(values: Sequence[str]) -> Texts:
    """Words to choose from, as JSON strings; none holds a quote or a backslash."""
    return pa.array([f'"{v}"' for v in values], pa.string())


def joined(*pieces: Texts | str) -> Texts:
    """The pieces of each row, one behind the other."""
    return pc.binary_join_element_wise(*pieces, "")


def unless(mask: NDArray[np.bool_], texts: Texts, otherwise: Texts | str = "null") -> Texts:
    """The texts, or the other ones where the mask is set."""
    return pc.if_else(pa.array(mask), otherwise, texts)


def money(cents: Whole) -> Texts:
    """Amounts with two decimals."""
    return joined(numbers(cents // 100), ".", chosen(_two_digits(), cents % 100))


def days(seconds: Whole) -> Texts:
    """Dates of moments (seconds since 1970), as JSON strings."""
    return joined('"', chosen(_dates(), (seconds - _FIRST_SECOND) // _DAY), '"')


def moments(seconds: Whole) -> Texts:
    """Moments as JSON strings, such as ``"2024-05-01T12:34:56Z"``."""
    clock = seconds % _DAY
    return joined(
        '"',
        chosen(_dates(), (seconds - _FIRST_SECOND) // _DAY),
        "T",
        chosen(_two_digits(), clock // 3600),
        ":",
        chosen(_two_digits(), clock // 60 % 60),
        ":",
        chosen(_two_digits(), clock % 60),
        'Z"',
    )


def page(fields: Sequence[str], columns: Sequence[Texts], format: Format) -> bytes:
    """Records as the inside of a JSON array, or as lines of JSON or CSV."""
    if not len(columns[0]):
        return b""
    if format == "csv":
        empty = [pc.if_else(pc.equal(c, "null"), "", c) for c in columns]
        pieces = [p for column in empty for p in (column, ",")]
        pieces[-1] = "\n"
    else:
        pieces = [p for field, column in zip(fields, columns, strict=True) for p in (f', "{field}": ', column)]
        pieces[0] = "{" + pieces[0][2:]
        pieces.append("}\n" if format == "ndjson" else "},")
    text = joined(*pieces).buffers()[2].to_pybytes()
    return cast("bytes", text if format in ("ndjson", "csv") else text[:-1])


@cache
def _dates() -> Texts:
    return words([str(FIRST_DAY + timedelta(days=n)) for n in range(_DAYS)])


@cache
def _two_digits() -> Texts:
    return words([f"{n:02}" for n in range(100)])
