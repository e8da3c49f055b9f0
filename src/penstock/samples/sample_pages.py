"""Pages of a feed, in every way that APIs have them.

A client asks by ``page`` (from 1), ``offset``, or ``cursor``, or follows ``next`` in the body or the ``Link`` header
(RFC 8288); ``limit`` is the size of a page, and ``limit=all`` gives all records in one body, written as it is made.
``updated_since``, ``from`` and ``to`` (a day taken in) choose by a record's time; ``as_of`` shows the feed as it was.
``format`` is ``json`` (records under ``data``), ``array`` (nothing but the records), ``ndjson`` or ``csv``.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import cast, get_args

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from penstock.samples.conditions import shown_page, shown_pages
from penstock.samples.feed import Feed, Selection
from penstock.samples.moments import moment_of
from penstock.samples.texts import Format, page

MOST = 10_000
"""The largest page."""
_CHUNK = 1_000
_TYPES = {"json": "application/json", "array": "application/json", "ndjson": "application/x-ndjson", "csv": "text/csv"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request asks for."""

    number: int
    """The page, from 1."""
    limit: int
    """0 for all records at once."""
    shift: int
    """Records left out before the first page: by an offset that is no multiple of the limit."""
    format: Format
    since: int | None
    until: int | None
    as_of: int | None


class Pages:
    """Answers requests for the pages of a feed.

    Args:
        page_size: the ``limit`` of those who give none.
        as_of: the moment (seconds since 1970) that the feed is shown as of, unless a request says another.
        missing: whether a page past the end is a 404 instead of an empty page.
    """

    def __init__(self, feed: Feed, *, page_size: int = 100, as_of: int | None = None, missing: bool = False) -> None:
        self.feed = feed
        self._page_size = page_size
        self._as_of = as_of
        self._missing = missing
        self._select = lru_cache(64)(feed.select)

    async def __call__(self, request: Request) -> Response:
        asked = self._asked(request)
        selection = self._select(asked.since, asked.until, asked.as_of)
        if asked.limit == 0:
            return StreamingResponse(self._all(selection, asked.format), media_type=_TYPES[asked.format])
        left = max(len(selection) - asked.shift, 0)
        pages = -(-left // asked.limit)
        shown = shown_pages(request.scope, pages)
        source, for_ever = shown_page(request.scope, asked.number, pages)
        if self._missing and asked.number > max(shown, 1) and not for_ever:
            raise HTTPException(404, "there is no such page")
        first = asked.shift + (source - 1) * asked.limit if asked.number <= shown or for_ever else len(selection)
        body = self.body(selection, first, first + asked.limit, asked.format)
        following = asked.number if for_ever else asked.number + 1 if asked.number < shown else None
        link = None if following is None else str(request.url.include_query_params(**self._next(request, following)))
        headers = {} if link is None else {"link": f'<{link}>; rel="next"'}
        if asked.format == "json":
            about = {
                "page": asked.number,
                "limit": asked.limit,
                "total": len(selection),
                "pages": shown,
                "next_cursor": None if following is None else _cursor(following),
                "next": link,
            }
            body = b'{"data": [' + body + b"], " + json.dumps(about)[1:].encode()
        elif asked.format == "array":
            body = b"[" + body + b"]"
        elif asked.format == "csv":
            body = self._header() + body
        return Response(body, media_type=_TYPES[asked.format], headers=headers)

    def body(self, selection: Selection, first: int, last: int, format: Format) -> bytes:
        """The records from one place up to another."""
        return page(self.feed.fields, self.feed.columns(selection.numbers(first, last)), format)

    async def changes(self, request: Request) -> Response:
        """All records about one thing, ``/cars/42/changes``."""
        find = self.feed.records_of
        number = None if find is None else find(request.path_params["id"])
        if number is None or not len(number):
            raise HTTPException(404, "there is no such thing")
        text = page(self.feed.fields, self.feed.columns(number), "json")
        return Response(b'{"data": [' + text + b"]}", media_type="application/json")

    def _all(self, selection: Selection, format: Format) -> Iterator[bytes]:
        array = format in ("json", "array")
        yield b'{"data": [' if format == "json" else b"[" if array else self._header() if format == "csv" else b""
        for first in range(0, len(selection), _CHUNK):
            text = self.body(selection, first, first + _CHUNK, format)
            yield b"," + text if array and first else text
        yield b"]}" if format == "json" else b"]" if array else b""

    def _header(self) -> bytes:
        return (",".join(self.feed.fields) + "\n").encode()

    def _asked(self, request: Request) -> Asked:
        query = request.query_params
        limit = query.get("limit", str(self._page_size))
        format = query.get("format", "json")
        if format not in get_args(Format):
            raise HTTPException(400, f"format is one of {', '.join(get_args(Format))}")
        size = 0 if limit == "all" else _whole("limit", limit, least=1, most=MOST)
        number, shift = 1, 0
        if "cursor" in query:
            number = _number_of(query["cursor"])
        elif "page" in query:
            number = _whole("page", query["page"], least=1)
        elif "offset" in query and size:
            number, shift = divmod(_whole("offset", query["offset"]), size)
            number += 1
        since = [_moment(name, query[name]) for name in ("updated_since", "from") if query.get(name)]
        until = _moment("to", query["to"], end_of_day=True) + 1 if query.get("to") else None
        as_of = _moment("as_of", query["as_of"], end_of_day=True) if query.get("as_of") else self._as_of
        return Asked(
            number=number,
            limit=size,
            shift=shift,
            format=cast("Format", format),
            since=max(since, default=None),
            until=until,
            as_of=as_of,
        )

    def _next(self, request: Request, number: int) -> dict[str, str]:
        """The parameters of the next page, in the way this one was asked for."""
        query = request.query_params
        if "offset" in query:
            size = int(query.get("limit", self._page_size))
            return {"offset": str((number - 1) * size + int(query["offset"]) % size)}
        return {"cursor": _cursor(number)} if "cursor" in query else {"page": str(number)}


def _moment(name: str, text: str, *, end_of_day: bool = False) -> int:
    try:
        return moment_of(text, end_of_day=end_of_day)
    except ValueError:
        raise HTTPException(400, f"{name} is a date or a time, such as 2025-01-31 or 2025-01-31T08:00:00Z") from None


def _whole(name: str, text: str, *, least: int = 0, most: int = 1 << 53) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise HTTPException(400, f"{name} is a number from {least}" + (f" to {most}" if most < 1 << 53 else ""))
    return int(text)


def _cursor(number: int) -> str:
    return base64.urlsafe_b64encode(f"page-{number}".encode()).decode().rstrip("=")


def _number_of(cursor: str) -> int:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        if text.startswith("page-"):
            return _whole("cursor", text.removeprefix("page-"), least=1)
    except (binascii.Error, UnicodeDecodeError):
        pass
    raise HTTPException(400, "cursor is what next_cursor of the page before said")
