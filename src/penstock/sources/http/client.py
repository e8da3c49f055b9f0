"""Requests and answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from penstock.errors import SourceError

if TYPE_CHECKING:
    from penstock.project.http_connection import HttpConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str = "GET"
    url: str
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    status: int
    headers: Mapping[str, str]
    url: str
    body: bytes


class Client:
    def __init__(self, settings: HttpConnection) -> None:
        self._settings = settings

    async def __aenter__(self) -> Client:
        import httpx2

        base = self._settings.base_url.rstrip("/") + "/"
        self._client = httpx2.AsyncClient(base_url=base, follow_redirects=True, headers=dict(self._settings.headers))
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self._client.aclose()

    async def read(self, request: Request) -> Page:
        async with self.stream(request) as (page, chunks):
            body = b"".join([c async for c in chunks])
        return Page(status=page.status, headers=page.headers, url=page.url, body=body)

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[tuple[Page, AsyncIterator[bytes]]]:
        import httpx2

        try:
            async with self._client.stream(
                request.method,
                request.url,
                params={**self._settings.params, **request.params} or None,
                headers=dict(request.headers),
                json=request.json,
            ) as response:
                if response.status_code >= 400:
                    raise SourceError(f"answered {response.status_code}", where=f"{request.method} {request.url}")
                page = Page(status=response.status_code, headers=response.headers, url=str(response.url), body=b"")
                yield page, response.aiter_bytes()
        except httpx2.HTTPError as e:
            raise SourceError(str(e) or type(e).__name__, where=request.url) from e
