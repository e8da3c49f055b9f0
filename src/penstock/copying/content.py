"""What rows hold, as a number that is the same for the same rows in any order, on any engine.

A row's hash is MD5 over its values as texts, each with its length before it, in the order of the columns' names. JSON
counts as the document that it is: neither the order of its keys nor the spelling of its numbers matters, which
``jsonb`` does not keep. The hashes of all rows are added up, modulo 2^128 in two halves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, InvalidOperation
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from penstock.sql import identifier

if TYPE_CHECKING:
    from collections.abc import Callable

_HALF = 1 << 64
_NUMBER = "\ue000"
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """How many rows, and the sum of their hashes."""

    rows: int
    high: int
    low: int

    @property
    def hash(self) -> str:
        """The sum as 32 digits."""
        return f"{self.high:016x}{self.low:016x}"


def content_of(
    batches: Iterable[pa.Table], columns: Mapping[str, str], took: Callable[[int], object] = lambda _: None
) -> Content:
    """The content of plain rows. ``took`` is told of the rows of each batch."""
    rows = high = low = 0
    sql = _hashed(columns)
    connection: duckdb.DuckDBPyConnection | None = None
    with ExitStack() as opened:
        for batch in batches:
            if not batch.num_rows:
                continue
            if connection is None:  # which takes longer than to hash most tables
                connection = opened.enter_context(duckdb.connect())
                connection.execute("set timezone = 'UTC'")
            connection.register("batch", _canonical(batch, columns))
            more, upper, lower = connection.execute(sql).fetchall()[0]
            connection.unregister("batch")
            rows, high, low = rows + more, (high + (upper or 0)) % _HALF, (low + (lower or 0)) % _HALF
            took(more)
    return Content(rows=rows, high=high, low=low)


def _hashed(columns: Mapping[str, str]) -> str:
    texts = ", ".join(_text(name, columns[name]) for name in sorted(columns))
    return (
        "select count(*), sum(md5_number_upper(t)), sum(md5_number_lower(t))"
        f" from (select concat({texts}) as t from batch)"
    )


def _text(name: str, type_: str) -> str:
    column = identifier(name)
    text = f"sha256({column})" if type_ == "bytes" else f"cast({column} as varchar)"
    return f"coalesce(strlen({text}) || ':' || {text}, '~')"


def _canonical(batch: pa.Table, columns: Mapping[str, str]) -> pa.Table:
    """The rows with each JSON document in one spelling."""
    for i, name in enumerate(batch.column_names):
        if columns[name] == "json":
            texts = batch.column(name).combine_chunks().dictionary_encode()
            spelt = pa.array([canonical(text) for text in texts.dictionary.to_pylist()], pa.string())
            batch = batch.set_column(i, name, spelt.take(texts.indices))
    return batch


def canonical(document: str) -> str:
    """A JSON document in one spelling; as it is where it cannot be read."""
    try:
        value = json.loads(document, parse_int=_number, parse_float=_number)
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError, InvalidOperation):
        return document


def _number(text: str) -> str:
    number = _EXACT.create_decimal(text)
    sign, digits, exponent = number.as_tuple()
    significant = "".join(map(str, digits)).lstrip("0")
    if not significant:
        return f"{_NUMBER}0"
    stripped = significant.rstrip("0")
    assert isinstance(exponent, int)
    return f"{_NUMBER}{'-' if sign else ''}{stripped}e{exponent + len(significant) - len(stripped)}"
