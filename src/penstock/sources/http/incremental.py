"""How far a growing field has come: its greatest value, and what to ask for next."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from penstock.errors import SourceError
from penstock.jsonpath import Step, parse_path, pointer
from penstock.shape.lines import Lines
from penstock.sql import literal, statement

if TYPE_CHECKING:
    from penstock.project.http import Incremental

Mark = Mapping[str, Any]
"""A greatest value as positions keep it: ``kind`` (timestamp, number or text) and ``value``, as the API wrote it."""

_PLAIN_TIME = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?(?:Z|[+-]\d{2}(?::?\d{2})?))?)?"
_TIME = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:(?P<between>[T ])(?P<time>\d{2}:\d{2}(?P<seconds>:\d{2}(?:\.(?P<fraction>\d+))?)?)"
    r"(?P<zone> ?(?:Z|[+-]\d{2}(?::?\d{2})?))?)?"
)
_AHEAD = timedelta(days=1)
"""A time further ahead of the clock than this is a mistake in the data: it would keep all to come from being read."""


class Columns:
    """Reads single fields of many records at once, in a DuckDB of its own. Not thread-safe."""

    def __init__(self) -> None:
        self._opened: duckdb.DuckDBPyConnection | None = None

    @property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        if self._opened is None:
            self._opened = duckdb.connect(":memory:", config={"threads": 1})
            self._opened.execute("set TimeZone = 'UTC'")
        return self._opened

    def close(self) -> None:
        """Free the memory."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def texts(self, bodies: pa.Array, path: Sequence[Step]) -> list[str | None]:
        """The field of each record as text; None where there is none, or it is no text or number."""
        rows = self._read(bodies, f"select v from ({self._values(path)}) order by o")
        return [v for (v,) in rows]

    def greatest(self, bodies: pa.Array, path: Sequence[Step], kind: str) -> tuple[Mark | None, str | None]:
        """The greatest value of a field, and one that is neither a time nor a number, where that is wanted."""
        latest = (datetime.now(UTC) + _AHEAD).isoformat()
        sql = statement(
            "penstock.sources.http",
            "greatest.sql",
            values=self._values(path),
            time=literal(_PLAIN_TIME),
            latest=literal(latest),
        )
        ((time, number, text, odd),) = self._read(bodies, sql)
        if kind == "text":
            return (None if text is None else {"kind": "text", "value": text}), None
        if number is not None and kind != "timestamp":
            return {"kind": "number", "value": number}, None
        if time is not None and kind in ("auto", "timestamp"):
            return {"kind": "timestamp", "value": time}, None
        return None, odd

    def _values(self, path: Sequence[Step]) -> str:
        return (
            "select o, case when y in ('VARCHAR', 'UBIGINT', 'BIGINT', 'HUGEINT', 'UHUGEINT', 'DOUBLE')"
            f" then json_extract_string(body, {literal(pointer(path))}) end as v, y <> 'VARCHAR' as is_number"
            f" from (select o, body, json_type(body, {literal(pointer(path))}) as y from"
            " (select o, case when json_valid(body) then body end as body from records))"
        )

    def _read(self, bodies: pa.Array, sql: str) -> list[Any]:
        self._connection.register("records", Lines.of(bodies).texts())
        try:
            return self._connection.execute(sql).fetchall()
        finally:
            self._connection.unregister("records")


class Watermark:
    """The greatest value of one walk through the pages."""

    def __init__(self, settings: Incremental, *, where: str) -> None:
        self._settings = settings
        self._path = parse_path(settings.field)
        self._where = where

    def after(self, mark: Mark | None, bodies: pa.Array, columns: Columns) -> Mark | None:
        """The greater of ``mark`` and the records' greatest value.

        Raises:
            SourceError: the field holds what cannot be compared.
        """
        kind = {"unix": "number", "unix_ms": "number"}.get(self._settings.type, self._settings.type)
        if mark is not None and kind == "auto":
            kind = str(mark["kind"])
        greatest, odd = columns.greatest(bodies, self._path, kind)
        if greatest is None:
            if odd is not None and mark is None:
                raise SourceError(
                    f"incremental field {self._settings.field!r} holds what is neither a time nor a number",
                    where=self._where,
                    fix="name another field, or set type: text when its order as text is the order of time",
                )
            return mark
        return self.greater(mark, {"field": self._settings.field, **greatest})

    def greater(self, mark: Mark | None, other: Mark) -> Mark:
        """The greater one."""
        if mark is None or mark["kind"] != other["kind"]:
            return other
        return other if rank(other) > rank(mark) else mark

    def cursor(self, mark: Mark | None) -> str | int | float | None:
        """What to ask for when all up to ``mark`` has landed: some time before it. ``initial`` when nothing has."""
        if mark is None:
            return self._settings.initial
        value, overlap = str(mark["value"]), self._settings.overlap
        if mark["kind"] == "timestamp":
            return earlier(value, overlap, self._settings.format)
        if mark["kind"] == "number" and self._settings.type in ("unix", "unix_ms"):
            seconds = overlap.total_seconds() * (1_000 if self._settings.type == "unix_ms" else 1)
            before = Decimal(value) - Decimal(seconds)
            whole = Decimal(value) == Decimal(value).to_integral_value()
            return str(before.to_integral_value(rounding="ROUND_FLOOR") if whole else before)
        return value


def rank(mark: Mark) -> Any:
    """What marks of one kind compare by."""
    value = str(mark["value"])
    if mark["kind"] == "timestamp":
        return _moment(value)
    if mark["kind"] == "number":
        try:
            return Decimal(value)
        except InvalidOperation:
            return Decimal("-Infinity")
    return value


def earlier(text: str, by: timedelta, format: str | None = None) -> str:
    """A time so much earlier, written as it was: date alone or with a time, fraction and zone.

    >>> earlier("2020-12-07T00:05:00Z", timedelta(minutes=10))
    '2020-12-06T23:55:00Z'
    """
    match = _TIME.fullmatch(text)
    assert match is not None
    digits = match["fraction"] or ""
    local = _local(match)
    try:
        local -= by
    except OverflowError:
        local = datetime.min
    if format is not None:
        return local.strftime(format)
    if not match["time"]:
        return local.date().isoformat()
    shown = local.strftime("%H:%M:%S" if match["seconds"] else "%H:%M")
    if digits:
        shown += "." + f"{local.microsecond:06}".ljust(len(digits), "0")[: len(digits)]
    return f"{local.date().isoformat()}{match['between']}{shown}{match['zone'] or ''}"


def _moment(text: str) -> datetime:
    """A time in UTC, where it would be without a zone."""
    match = _TIME.fullmatch(text)
    if match is None:
        return datetime.min.replace(tzinfo=UTC)
    zone = (match["zone"] or "").strip()
    offset = timedelta(0)
    if zone not in ("", "Z"):
        digits = zone[1:].replace(":", "").ljust(4, "0")
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:])) * (-1 if zone[0] == "-" else 1)
    return _local(match).replace(tzinfo=UTC) - offset


def _local(match: re.Match[str]) -> datetime:
    local = datetime.fromisoformat(match["date"] + (f"T{match['time'].partition('.')[0]}" if match["time"] else ""))
    return local.replace(microsecond=int((match["fraction"] or "")[:6].ljust(6, "0")))
