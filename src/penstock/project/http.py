"""The settings of an HTTP source. Names, types and docstrings here are the reference that users read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from penstock.jsonpath import parse_path
from penstock.project.group import Settings, none
from penstock.project.http_connection import HttpConnection
from penstock.project.values import Frozen

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhdw]?)\s*")
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}


def _checked_path(text: str) -> str:
    parse_path(text)
    return text


def _duration(value: Any) -> Any:
    """Seconds of ``30s``, ``10m``, ``2h``, ``1d``, ``1w`` or a plain number."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(str(value))
    if match is None:
        raise ValueError("expected a duration such as 30s, 10m, 2h or 1d")
    try:
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    except OverflowError:
        raise ValueError("expected a duration such as 30s, 10m, 2h or 1d") from None


def _parameters(value: Any) -> Any:
    """Parameters, also written as ``from={from}&to={to}``."""
    if not isinstance(value, str):
        return value
    pairs = parse_qsl(value, keep_blank_values=True)
    if not pairs or "=" not in value:
        raise ValueError("expected parameters such as updated_since={cursor}")
    return dict(pairs)


def _paginated(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


JsonPath = Annotated[str, AfterValidator(_checked_path)]
Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*[smhdw]?\s*$"}]}
    ),
]
Value = str | int | float | bool
Parameters = Annotated[Mapping[str, Value | tuple[Value, ...]], BeforeValidator(_parameters), Frozen]


class Page(Settings):
    """Pages by number."""

    type: Literal["page"]
    """Which kind of pagination this is."""
    param: str = "page"
    """The parameter for the page's number."""
    start: Annotated[int, Field(ge=0)] = 1
    """The first page's number."""
    size_param: str | None = None
    """The parameter for how many records a page has."""
    size: Annotated[int, Field(ge=1)] | None = None
    """How many records a page has. When the first page has so many, one with fewer is the last."""
    pages: JsonPath | None = None
    """Where an answer says how many pages there are, such as `info.pages`."""
    total: JsonPath | None = None
    """Where an answer says how many records there are, such as `meta.total`."""
    total_header: str | None = None
    """The header that says how many records there are, such as `X-Total-Count`."""


class Offset(Settings):
    """Pages by the number of records before them."""

    type: Literal["offset"]
    """Which kind of pagination this is."""
    param: str = "offset"
    """The parameter for how many records to leave out."""
    limit_param: str = "limit"
    """The parameter for how many records to answer."""
    limit: Annotated[int, Field(ge=1)] = 100
    """How many records to ask for at a time."""
    total: JsonPath | None = None
    """Where an answer says how many records there are, such as `meta.total`."""
    total_header: str | None = None
    """The header that says how many records there are, such as `X-Total-Count`."""


class Cursor(Settings):
    """Pages by a cursor, which each answer gives for the next."""

    type: Literal["cursor"]
    """Which kind of pagination this is."""
    path: JsonPath | None = None
    """Where an answer has the cursor, such as `meta.next_cursor`. Without one, or with null, it is the last."""
    field: JsonPath | None = None
    """Instead of `path`: the field of the page's last record that is the cursor, such as `id`."""
    param: str = "cursor"
    """The parameter for the cursor."""
    more: JsonPath | None = None
    """Where an answer says whether there is more, such as `has_more`."""
    size_param: str | None = None
    """The parameter for how many records a page has."""
    size: Annotated[int, Field(ge=1)] | None = None
    """How many records a page has."""


class NextLink(Settings):
    """Pages by a link to the next one in the answer's body."""

    type: Literal["next_link"]
    """Which kind of pagination this is."""
    path: JsonPath = "next"
    """Where an answer has the link, such as `links.next`. Without one, or with null, it is the last."""


class LinkHeader(Settings):
    """Pages by the header `Link: <…>; rel="next"` (RFC 8288)."""

    type: Literal["link_header"]
    """Which kind of pagination this is."""


class NoPages(Settings):
    """One answer has all records; it is read as it comes, however large it is."""

    type: Literal["none"] = "none"
    """Which kind of pagination this is."""


Pagination = Annotated[
    Page | Offset | Cursor | NextLink | LinkHeader | NoPages, Field(discriminator="type"), BeforeValidator(_paginated)
]


class Endpoint(Settings):
    """One list of records of an API. The stream that has its name takes them."""

    path: str | None = None
    """The path below `base_url`, or a whole address. By default the endpoint's name."""
    method: Literal["GET", "POST"] = "GET"
    """How the endpoint is asked."""
    params: Parameters = Field(default_factory=none)
    """Parameters of every request: a mapping, or text such as `sort=updated&order=asc`."""
    headers: Annotated[Mapping[str, str], Frozen] = Field(default_factory=none)
    """Headers of every request."""
    records: JsonPath = "$"
    """Where an answer has its records: a key, a path such as `data.items` or `$.data[*].items`, or `$` for the whole
    answer. A list there holds records, an object is one."""
    pagination: Pagination = Field(default_factory=NoPages)
    """How there is more than one answer, as `type: page` and its settings, or just the type's name."""


class Http(HttpConnection):
    """An HTTP API: its endpoints, each with a list of records."""

    type: Literal["http"]
    """Which kind of source this is."""
    concurrency: Annotated[int, Field(ge=1, le=256)] = 8
    """How many requests are under way at a time."""
    endpoints: Annotated[Mapping[str, Endpoint], Frozen] = Field(min_length=1)
    """The lists of records, by the name of the stream that takes each."""
