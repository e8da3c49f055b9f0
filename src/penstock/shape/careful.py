"""The careful lane: one record at a time, in Python, for bytes that SQL would get wrong in silence.

DuckDB's JSON reader takes trailing commas, ``NaN``, duplicate keys and ``\\u0000``, and rounds numbers to
doubles. A record that shows a sign of any of these comes here. It leaves either as a reject with its reason,
or as JSON that means the same to DuckDB: numbers that no double holds become marked texts
(:data:`EXACT_MARK`), and several objects in one body become several bodies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn
from uuid import uuid4

from penstock.layout import PLAIN, Layout
from penstock.ports import Reason

MAX_DEPTH = 500
"""Levels of nesting a record may have. PostgreSQL's jsonb and every JSON parser have a limit near here."""

EXACT_MARK = "\0n"
"""Starts a text that stands for an exact number. No record's own text can: NUL is rejected."""

MAX_EXPONENT = 1000
"""Powers of ten beyond this are refused for both destinations; PostgreSQL's numeric ends at 131,072 digits."""

_WITHHELD = b"withheld:"
_SIGNED = -(2**63)
_UNSIGNED = 2**64
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


class _Refused(ValueError):
    def __init__(self, code: Reason, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


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
        pieces = list(_pieces(text))
    except _Refused as e:
        yield Unsound(body, e.code, e.reason)
        return
    for value, start, end in pieces:
        if isinstance(value, list):
            for element, original in _elements(value, text, start):
                yield _record(element, original, layout)
        else:
            yield _record(value, body if len(pieces) == 1 else text[start:end].encode(), layout)


def _pieces(text: str) -> Iterator[tuple[Any, int, int]]:
    """The JSON values in ``text``, each with its span. An error anywhere refuses the whole text."""
    position, end = _skip(text, 0), len(text)
    if position == end:
        raise _Refused("invalid_json", "empty")
    while position < end:
        try:
            value, stop = _DECODER.raw_decode(text, position)
        except json.JSONDecodeError as e:
            raise _Refused("invalid_json", f"{e.msg.removesuffix(' at')} at character {e.pos + 1}") from None
        except RecursionError:
            raise _Refused("invalid_json", f"nested deeper than {MAX_DEPTH} levels") from None
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
    except _Refused as e:
        return Unsound(original, e.code, e.reason)
    return Sound(json.dumps(laid, ensure_ascii=False, default=_mark), original)


def without_dropped(body: bytes, layout: Layout, origin: str) -> bytes:
    """A body for quarantine: as it came when nothing is dropped. For what is no JSON, where dropped fields cannot be
    told from others, a note stands; no two records of a place that does not number them share one."""
    if not layout.drop or body.startswith(_WITHHELD):
        return body
    try:
        values = [layout.kept(value) for value, _, _ in _pieces(body.decode("utf-8"))]
    except (UnicodeDecodeError, _Refused):
        numbered = origin.rpartition("#")[2].isdecimal()
        which = origin if numbered else f"{origin} ({uuid4()})"
        return b"%s %d bytes of %s, which may hold fields that the stream drops" % (
            _WITHHELD,
            len(body),
            which.encode(),
        )
    return b"\n".join(_written(value).encode("utf-8", "surrogatepass") for value in values)


@dataclass(frozen=True, slots=True)
class _Exact:
    """A number that no double holds."""

    text: str


def _mark(value: _Exact) -> str:
    return EXACT_MARK + value.text


def _written(value: Any) -> str:
    """``value`` as JSON again, exact numbers as numbers; for quarantine."""
    mark = f"{EXACT_MARK}{uuid4().hex}"
    marked = json.dumps(value, ensure_ascii=False, default=lambda exact: mark + exact.text)
    return re.sub(rf'"\\u0000n{mark[len(EXACT_MARK) :]}([^"]*)"', r"\1", marked)


def _check(value: Any) -> None:
    """Refuse text that a destination cannot store, anywhere in the value."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if "\0" in item:
                raise _Refused("destination_rejected", "holds the character U+0000, which PostgreSQL cannot store")
            if _SURROGATE.search(item):
                raise _Refused("invalid_json", "holds half of a surrogate pair, which is no character")
        elif isinstance(item, dict):
            stack.extend(item)
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, _Exact) and abs(Decimal(item.text).adjusted()) > MAX_EXPONENT:
            raise _Refused("destination_rejected", f"holds a number beyond 1e±{MAX_EXPONENT}")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, list):
        return "array"
    return "string" if isinstance(value, str) else "number"


def _integer(text: str) -> int | _Exact:
    if len(text) < 19:
        return int(text)
    value = int(text) if len(text) < 4000 else None
    if value is not None and _SIGNED <= value < _UNSIGNED:
        return value
    return _Exact(_plain(text))


def _real(text: str) -> float | _Exact:
    value = float(text)
    try:
        exact = Decimal(text)
    except InvalidOperation:
        raise _Refused("destination_rejected", "holds a number beyond any exponent") from None
    if value not in (float("inf"), float("-inf")) and Decimal(repr(value)) == exact:
        return value
    return _Exact(_plain(text))


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


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]
        raise _Refused("invalid_json", f"duplicate key {twice!r}")
    return found


def _constant(text: str) -> NoReturn:
    raise _Refused("invalid_json", f"{text} is not JSON")


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
    parse_int=_integer,
    parse_float=_real,
    parse_constant=_constant,
)
