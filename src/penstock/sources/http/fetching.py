"""Pages of an endpoint, fetched several at a time, and given in order."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pyarrow as pa

from penstock.errors import SourceError, redact
from penstock.jsonpath import Step as PathStep
from penstock.sources.http.client import Client, Page, Request
from penstock.sources.http.paging import Answer, Paginator, Step, paginator
from penstock.sources.http.records import BadPage, RecordSplitter, joined

if TYPE_CHECKING:
    from penstock.project.http import Endpoint

_AHEAD = 2
"""Pages under way or waiting, for each request that may be under way."""
_SHOWN_VALUE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A list to go through, page by page: what the endpoint is asked with, from which page on."""

    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    shown: Mapping[str, Any] = field(default_factory=dict)
    """Those parameters that tell where a record came from."""
    state: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A page's records. ``following`` is the state of the page after it, None when the walk is at its end."""

    walk: Walk
    place: str
    bodies: pa.Array
    bytes: int
    following: Mapping[str, Any] | None


class Fetcher:
    """Asks one endpoint."""

    def __init__(self, endpoint: Endpoint, path: Sequence[PathStep], *, concurrency: int) -> None:
        self._endpoint = endpoint
        self._path = path
        self._concurrency = concurrency

    async def pages(self, client: Client, walk: Walk) -> AsyncGenerator[Fetched]:
        """The pages of a walk, in order."""
        paging = paginator(self._endpoint.pagination)
        seen: set[str] = set()
        waiting: deque[tuple[Step, asyncio.Task[tuple[Answer, int]]]] = deque()

        def ask(step: Step) -> None:
            waiting.append((step, asyncio.create_task(self._answer(client, walk, step))))

        ask(paging.at(walk.state))
        try:
            while waiting:
                step, task = waiting.popleft()
                place = self._place(walk, step)
                answer, size = await task
                following = self._following(paging, step, answer, place)
                if following is not None:
                    self._check_loop(following, seen, place)
                    if waiting and waiting[0][0] != following:
                        _forget(waiting)
                    if not waiting:
                        ask(following)
                    while len(waiting) < _AHEAD * self._concurrency and (more := paging.ahead(waiting[-1][0])):
                        ask(more)
                yield Fetched(
                    walk=walk,
                    place=place,
                    bodies=answer.bodies,
                    bytes=size,
                    following=None if following is None else following.state,
                )
                if following is None:
                    return
        finally:
            _forget(waiting)

    async def _answer(self, client: Client, walk: Walk, step: Step) -> tuple[Answer, int]:
        page = await client.read(self._request(walk, step))
        answer = await asyncio.to_thread(self._split, page)
        return answer, len(page.body)

    def _split(self, page: Page) -> Answer:
        splitter = RecordSplitter(self._path)
        cuts = splitter.cut(page.body)
        envelope = splitter.finish()
        return Answer(bodies=joined(cuts), envelope=envelope, headers=page.headers, url=page.url)

    def _following(self, paging: Paginator, step: Step, answer: Answer, place: str) -> Step | None:
        try:
            return paging.following(step, answer)
        except BadPage as e:
            raise SourceError(str(e), where=place) from None

    def _check_loop(self, following: Step, seen: set[str], place: str) -> None:
        known = json.dumps(following.state, sort_keys=True)
        if known in seen:
            raise SourceError("it leads to a page that was read before", where=place)
        seen.add(known)

    def _request(self, walk: Walk, step: Step) -> Request:
        if step.link is not None:
            return Request(method=self._endpoint.method, url=step.link, headers=self._endpoint.headers)
        return Request(
            method=self._endpoint.method,
            url=walk.path,
            params={**walk.params, **step.params},
            headers=self._endpoint.headers,
        )

    def _place(self, walk: Walk, step: Step) -> str:
        """Where records come from, as origins show it: no secret, no base address."""
        path, shown = walk.path, {**walk.shown, **step.params}
        if step.link is not None:
            parts = urlsplit(step.link)
            path, shown = parts.path, dict(parse_qsl(parts.query))
        text = {k: v if len(str(v)) <= _SHOWN_VALUE else f"{str(v)[:_SHOWN_VALUE]}…" for k, v in shown.items()}
        query = urlencode(text, quote_via=quote, safe=":,/…")
        return redact(f"{self._endpoint.method} /{path.lstrip('/')}" + (f"?{query}" if query else ""))


def _forget(waiting: deque[tuple[Step, asyncio.Task[Any]]]) -> None:
    for _, task in waiting:
        task.cancel()
    waiting.clear()
