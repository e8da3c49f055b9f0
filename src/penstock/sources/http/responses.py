"""A request of an API, and its answer: as it comes, and whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import httpx2

from penstock.compression import BrokenEncoding, Decoder, decoder_of
from penstock.sources.http.request_errors import Failed

Params = Mapping[str, Any] | Sequence[tuple[str, Any]]

_DRAINED_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. ``url`` is a path below the base URL, or a whole address (a next link).

    ``params`` are added to the query that ``url`` has; those that are None are left out. ``json`` is sent as the body.
    ``accept`` are the statuses beside 2xx that are answers and not errors.
    """

    url: str
    method: str = "GET"
    params: Params = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    accept: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A whole answer. ``url`` is where it came from in the end, without credentials; header names are small."""

    status: int
    headers: Mapping[str, str]
    url: str
    body: bytes


class Answer:
    """An answer whose body is still to come."""

    def __init__(
        self, response: httpx2.Response, url: str, broken: Callable[[Exception], Exception], deadline: float | None
    ) -> None:
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers
        """Looked up without regard to case."""
        self.url = url
        """Where it came from in the end, without credentials."""
        self._response = response
        self._broken = broken
        self._deadline = deadline

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The decoded body, in pieces of about 1 MiB at most. The last one has come only when the iteration ends: a
        body that is cut short or garbled raises. Only one that says neither its length nor its encoding, and ends with
        the connection, cannot be told from a whole one. Once only."""
        try:
            encoding = self.headers.get("content-encoding")
            decoder: Decoder | None = decoder_of(encoding) if encoding else None
            async with aclosing(self._raw()) as raw:
                if decoder is None:
                    async for data in raw:
                        yield data
                else:
                    async for data in raw:
                        for piece in decoder.decode(data):
                            yield piece
                    decoder.finish()
        except (httpx2.HTTPError, BrokenEncoding, TimeoutError) as e:
            raise self._broken(e) from e

    def _raw(self) -> AsyncGenerator[bytes]:
        raw = self._response.aiter_raw()
        return raw if self._deadline is None else self._in_time(raw)

    async def _in_time(self, raw: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """Until the deadline, kept for each piece alone: a time-out around a ``yield`` would hit whoever reads."""
        async with aclosing(raw):
            while True:
                async with asyncio.timeout_at(self._deadline):
                    data = await anext(raw, None)
                if data is None:
                    return
                yield data


async def whole(answer: Answer) -> Page:
    """All of an answer."""
    pieces = [piece async for piece in answer.chunks()]
    body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    return Page(status=answer.status, headers=answer.headers, url=answer.url, body=body)


async def beginning(answer: Answer) -> bytes:
    """The first bytes of a body that says why; a short one is read to its end, which keeps the connection."""
    shown = b""
    try:
        async with aclosing(answer.chunks()) as chunks:
            async for chunk in chunks:
                shown += chunk
                if len(shown) > _DRAINED_BYTES:
                    break
    except Failed:
        pass
    return shown
