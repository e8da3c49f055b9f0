"""Strict JSON, one record at a time, in Python: for bytes that SQL would get wrong in silence.

DuckDB's JSON reader takes trailing commas, ``NaN``, duplicate keys and ``\\u0000``, and rounds numbers to
doubles. A record that shows a sign of any of these is read here. It leaves either as unsound, with its reason,
or as JSON that means the same to DuckDB: numbers that no double holds become marked texts
(:mod:`penstock.shape.digits`), and several objects in one body become several bodies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

from penstock.layout import PLAIN, Layout
from penstock.ports import Reason
from penstock.shape.digits import Exact, Refused, integer, mark, real

MAX_DEPTH = 500
"""Levels of nesting a record may have. PostgreSQL's jsonb and every JSON parser have a limit near here."""

MAX_EXPONENT = 1000
"""Powers of ten beyond this are refused for both destinations; PostgreSQL's numeric ends at 131,072 digits."""

_NOT_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"?|[^"\[\]{}]+', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Sound:
    """A record fit for SQL: ``body`` is what SQL reads, ``original`` what came."""

    body: str
    original: bytes


@dataclass(frozen=True, slots=True)
class Unsound:
    """A record that cannot land."""

    original: bytes
    code: Reason
    reason: str


def examine(body: bytes, max_bytes: int, layout: Layout = PLAIN) -> Iterator[Sound | Unsound]:
    """Yield the records in ``body``, laid out: several when it holds several objects, or an array of them."""
    if len(body) > max_bytes:
        yield Unsound(body, "too_large", f"{len(body):,} bytes; the stream takes {max_bytes:,}")
        return
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as e:
        yield Unsound(body, "invalid_json", f"not UTF-8: byte {body[e.start]:#04x} at byte {e.start + 1}")
        return
    if _depth(body) > MAX_DEPTH:
        yield Unsound(body, "invalid_json", f"nested deeper than {MAX_DEPTH} levels")
        return
    try:
        parts = list(pieces(text))
    except Refused as e:
        yield Unsound(body, e.code, e.reason)
        return
    for value, start, end in parts:
        if isinstance(value, list):
            for element, original in _elements(value, text, start):
                yield _record(element, original, layout)
        else:
            yield _record(value, body if len(parts) == 1 else text[start:end].encode(), layout)


def pieces(text: str) -> Iterator[tuple[Any, int, int]]:
    """The JSON values in ``text``, each with its span. An error anywhere refuses the whole text."""
    position, end = _skip(text, 0), len(text)
    if position == end:
        raise Refused("invalid_json", "empty")
    while position < end:
        try:
            value, stop = _DECODER.raw_decode(text, position)
        except json.JSONDecodeError as e:
            raise Refused("invalid_json", f"{e.msg.removesuffix(' at')} at character {e.pos + 1}") from None
        except RecursionError:
            raise Refused("invalid_json", f"nested deeper than {MAX_DEPTH} levels") from None
        yield value, position, stop
        position = _skip(text, stop)


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n\ufeff":
        position += 1
    return position


def _elements(values: list[Any], text: str, start: int) -> Iterator[tuple[Any, bytes]]:
    """The elements of the sound array that starts in ``text`` there, each with its bytes as they came."""
    at = start + 1
    for value in values:
        at = _skip(text, at)
        end = _DECODER.raw_decode(text, at)[1]
        yield value, text[at:end].encode()
        at = _skip(text, end) + 1


def _record(value: Any, original: bytes, layout: Layout) -> Sound | Unsound:
    if not isinstance(value, dict):
        return Unsound(original, "not_an_object", f"a top-level {_kind(value)}, not an object")
    laid = layout.applied(value) if layout else value
    try:
        _check(laid)
    except Refused as e:
        return Unsound(original, e.code, e.reason)
    return Sound(json.dumps(laid, ensure_ascii=False, default=mark), original)


def _check(value: Any) -> None:
    """Refuse text that a destination cannot store, anywhere in the value."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if "\0" in item:
                raise Refused("destination_rejected", "holds the character U+0000, which PostgreSQL cannot store")
            if _SURROGATE.search(item):
                raise Refused("invalid_json", "holds half of a surrogate pair, which is no character")
        elif isinstance(item, dict):
            stack.extend(item)
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, Exact) and abs(Decimal(item.text).adjusted()) > MAX_EXPONENT:
            raise Refused("destination_rejected", f"holds a number beyond 1e±{MAX_EXPONENT}")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, list):
        return "array"
    return "string" if isinstance(value, str) else "number"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        twice = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]
        raise Refused("invalid_json", f"duplicate key {twice!r}")
    return members


def _constant(text: str) -> NoReturn:
    raise Refused("invalid_json", f"{text} is not JSON")


def _depth(body: bytes) -> int:
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return 0
    depth = deepest = 0
    for byte in _NOT_STRUCTURE.sub(b"", body):
        depth += 1 if byte in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=integer,
    parse_float=real,
    parse_constant=_constant,
)
