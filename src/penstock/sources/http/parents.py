"""Parents and what their children get of them: the keys that a parent is asked by, and fields added to records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow as pa

from penstock.errors import SourceError
from penstock.jsonpath import parse_path, values_at
from penstock.records.splitters import Cut
from penstock.sources.http.signs import ABSENT, beside

if TYPE_CHECKING:
    from penstock.project.http import Http
    from penstock.sources.http.fetched import Fetched

_BLANK = b" \t\r\n"
_SHOWN = 5
_SIBLINGS = 100_000
"""Records whose keys are compared: enough to notice a key that is not one, and no more memory than that."""


class _Number(str):
    """A number as it was written: its digits are kept."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """A record that children are asked for: by ``keys``, as texts. ``fields`` are added to each of its children, by
    their names and as JSON."""

    keys: tuple[str, ...]
    fields: Mapping[str, str]


class _Odd(Exception):
    """A record that cannot be a parent: what such records are or have."""


class Parents:
    """The parents of one endpoint: reads them from the records of its parent's endpoint, and keeps what is odd."""

    def __init__(self, settings: Http, name: str, *, where: str) -> None:
        endpoint = settings.endpoint(name)
        assert endpoint.parent is not None
        self._of = endpoint.parent.endpoint
        self._where = where
        self._names = endpoint.parent.fields
        self._keys = [parse_path(field) for field in self._names]
        self._in_path = [f"{{parent.{field}}}" in str(endpoint.path) for field in self._names]
        self._included = {column: parse_path(field) for column, field in settings.included(name).items()}
        self._texts = endpoint.format == "csv"
        self._odd: dict[str, list[str]] = {}
        self._odd_counts: dict[str, int] = {}
        self._lacking = set(self._included)
        self._lack: dict[str, str] = {}
        self._usable = 0

    def of(self, page: Fetched) -> Iterator[Parent]:
        """The parents on a page, or on a part of it."""
        for cut in page.cuts:
            for body, number in zip(cut.bodies, cut.numbers, strict=True):
                try:
                    yield self._parent(body.as_py())
                except _Odd as e:
                    self._keep_odd(str(e), f"{page.place}#{number}")

    def _parent(self, body: bytes) -> Parent:
        try:
            record = json.loads(body, parse_int=_Number, parse_float=_Number, parse_constant=_refused)
        except (ValueError, RecursionError):
            raise _Odd("that cannot be read as JSON") from None
        keys = []
        for name, path, in_path in zip(self._names, self._keys, self._in_path, strict=True):
            value = next(values_at(record, path), ABSENT)
            key = _text(value)
            if value is ABSENT:
                self._lack.setdefault(name, beside(record, path))
                raise _Odd(f"without {name}")
            if not key:
                raise _Odd(f"with {_article(value, name)}")
            if in_path and key in (".", ".."):
                raise _Odd(f"with the {name} {key}, which no path can hold")
            keys.append(key)
        self._usable += 1
        fields = {}
        for column, path in self._included.items():
            value = next(values_at(record, path), ABSENT)
            if value is ABSENT:
                value = None
            else:
                self._lacking.discard(column)
            fields[column] = _written(_text(value) if self._texts and _text(value) is not None else value)
        return Parent(keys=tuple(keys), fields=fields)

    def _keep_odd(self, why: str, origin: str) -> None:
        self._odd_counts[why] = self._odd_counts.get(why, 0) + 1
        origins = self._odd.setdefault(why, [])
        if len(origins) < _SHOWN:
            origins.append(origin)

    def check(self) -> None:
        """All parents were read.

        Raises:
            SourceError: none of them has the fields that children are asked by.
        """
        for name, lack in self._lack.items():
            if not self._usable:
                raise SourceError(
                    f"{self._where}: no record of {self._of} has the field {name}; {lack}",
                    fix="mend field: of the endpoint's parent, and its places in the path",
                )

    def warnings(self) -> list[str]:
        """Which parents were not asked for children, and which fields no parent had."""
        texts = []
        for why, origins in self._odd.items():
            count = self._odd_counts[why]
            more = f" and {count - len(origins):,} more" if count > len(origins) else ""
            records = f"{count:,} record{'s' if count > 1 else ''} of {self._of} {why}"
            texts.append(
                f"{self._where}: no children were asked for of {records}: {', '.join(origins)}{more}; mend them at the"
                " API, or name another field in parent:"
            )
        if self._usable:
            texts += [
                f"{self._where}: no record of {self._of} has what include: puts into {column}; it is null in all of"
                " them: mend include: of the endpoint's parent"
                for column in sorted(self._lacking)
            ]
        return texts


class Siblings:
    """Notices records of different parents that the stream's key takes for one.

    Args:
        identity: the stream's key fields; none where records are known by their content, which has their parent's keys.
        included: what records get of their parents.
    """

    def __init__(self, identity: Sequence[str], included: Mapping[str, str], *, where: str) -> None:
        self._names = identity
        self._paths = [] if set(identity) & set(included) else [parse_path(field) for field in identity]
        self._fix = f"add {next(iter(included), '')} to identity: of the stream"
        self._where = where
        self._places: dict[int, tuple[int, str]] = {}
        self.warnings: list[str] = []

    def look(self, page: Fetched) -> None:
        """Take in the records of a page."""
        if not self._paths or page.walk.parent is None or self.warnings or len(self._places) > _SIBLINGS:
            return
        parent = hash(tuple(page.walk.fields.items()))
        for cut in page.cuts:
            for body in cut.bodies.to_pylist():
                if (key := self._key(body)) is None:
                    continue
                other, place = self._places.setdefault(key, (parent, page.place))
                if other != parent:
                    self.warnings.append(
                        f"{self._where}: {place} and {page.place} have records with the same {', '.join(self._names)},"
                        f" which are taken for one; if they are not, {self._fix}"
                    )
                    return

    def _key(self, body: bytes) -> int | None:
        try:
            record = json.loads(body)
        except (ValueError, RecursionError):
            return None
        values = [next(values_at(record, path), None) for path in self._paths]
        return None if None in values else hash(json.dumps(values))


def placed(keys: Mapping[str, str]) -> dict[str, str]:
    """Keys as parts of a path."""
    return {name: quote(key, safe="") for name, key in keys.items()}


class Additions:
    """Adds a parent's fields to its children's records. A record that has such a field keeps it: it has to be equal.

    What is no object is left as it is, and goes to quarantine so.
    """

    def __init__(self, fields: Mapping[str, str], *, where: str) -> None:
        self._fields = {name: text.encode("utf-8", "backslashreplace") for name, text in fields.items()}
        self._names = [json.dumps(name, ensure_ascii=False).encode() for name in fields]
        self._members = {
            name: json.dumps(name, ensure_ascii=False).encode() + b":" + text for name, text in self._fields.items()
        }
        self._all = b",".join(self._members.values())
        self._where = where

    def to(self, cuts: Sequence[Cut], place: str) -> list[Cut]:
        """The same records, with the fields.

        Raises:
            SourceError: a record has another value in a field of that name.
        """
        if not self._fields:
            return list(cuts)
        return [
            Cut(
                pa.array([self._added(b.as_py(), place) for b in cut.bodies], cut.bodies.type),
                cut.numbers,
                cut.consumed,
            )
            for cut in cuts
        ]

    def _added(self, body: bytes, place: str) -> bytes:
        record = body.strip(_BLANK)
        if not (record.startswith(b"{") and record.endswith(b"}")):
            return body
        members = self._all
        if b"\\u" in record or any(name in record for name in self._names):
            members = b",".join(self._lacking(record, place))
            if not members:
                return body
        before = record[:-1].rstrip(_BLANK)
        return before + (b"," if len(before) > 1 else b"") + members + b"}"

    def _lacking(self, record: bytes, place: str) -> Iterator[bytes]:
        """The members that a record does not have."""
        try:
            own = json.loads(record, parse_int=_Number, parse_float=_Number)
        except (ValueError, RecursionError):
            own = {}
        for name, member in self._members.items():
            if name not in own:
                yield member
            elif not _equal(own[name], json.loads(self._fields[name], parse_int=_Number, parse_float=_Number)):
                raise Conflict(
                    f"{self._where}: a record has another value in {name} than its parent's, which would go there",
                    where=place,
                    fix=f"give the parent's field another name: parent: {{include: {{parent_{name}: …}}}}",
                )


class Conflict(SourceError):
    """A record has another value where its parent's field would go: the project file has to name that field anew."""


def _equal(one: Any, other: Any) -> bool:
    """Whether values are equal, a number and its text too."""
    text = _text(one)
    return _written(one) == _written(other) or (text is not None and text == _text(other))


def _text(value: Any) -> str | None:
    """A text, a number or a truth value as text; None for anything else, and for what no request can hold."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return str(value)


def _article(value: Any, name: str) -> str:
    if value is None:
        return f"null for {name}"
    if value == "":
        return f"an empty {name}"
    return f"a {name} that is neither a text nor a number"


def _written(value: Any) -> str:
    """A value as JSON, its numbers as they were."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:{_written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
