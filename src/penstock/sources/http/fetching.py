"""Pages of an endpoint, several fetched at a time, and given in order."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from penstock.errors import SourceError
from penstock.sources.http.client import Client
from penstock.sources.http.content import Content
from penstock.sources.http.fetched import Fetched, Walk
from penstock.sources.http.links import next_link
from penstock.sources.http.page_requests import Asking
from penstock.sources.http.pages import Answer, Paginator, Step
from penstock.sources.http.paging import paginator
from penstock.sources.http.parents import Additions, Conflict
from penstock.sources.http.records import BadPage
from penstock.sources.http.request_errors import Refused, Unreachable
from penstock.sources.http.seen import HOW_TO_END, Circle, Seen
from penstock.sources.http.signs import Signs

if TYPE_CHECKING:
    from penstock.project.http import Endpoint

_ATTEMPTS = 3
"""How often a page is asked for whose content is not what was declared: a gateway may have answered in its place."""
_AHEAD_BYTES = 32 << 20
"""Pages under way or waiting in one walk may take so much, as far as the last one's size tells."""
_GONE = frozenset({400, 404, 410, 416, 422})
"""How an API says that a page of an earlier pass is no more: the pass then begins anew."""
_NOTHING_THERE = frozenset(range(400, 600)) - {401, 407, 408, 429, 502, 503, 504}
"""How an API says that there is no page behind the end that it told."""
_BEHIND_THE_END = frozenset({400, 403, 404, 410, 416, 422, 500})
"""How APIs answer a page behind their last one; but also one that is too far behind the first for them."""
_EMPTY = frozenset({204, 205})
"""Statuses of answers without a body (RFC 9110), which have no records."""
_IN_A_ROW = 3
"""So many pages one after the other that cannot be read end their list: those behind them cannot be read either."""


class Fetcher:
    """Asks one endpoint.

    Args:
        own_params: parameters that the client adds to every request, and that a link that holds them is freed of.
        wait_seconds: before a page whose content was wrong is asked for again; twice as long the next time.
        requests: lets so many requests be under way as the source says, over all endpoints and walks.
        ahead: pages under way or waiting in one walk.
        go_on: read the pages behind one that cannot be read, where they are known without it.
    """

    def __init__(
        self,
        client: Client,
        endpoint: Endpoint,
        *,
        where: str,
        requests: asyncio.Semaphore,
        ahead: int,
        own_params: Sequence[str] = (),
        wait_seconds: float = 0.5,
        go_on: bool = False,
    ) -> None:
        assert endpoint.pagination is not None
        self._client = client
        self._pagination = endpoint.pagination
        self._content = Content(endpoint, where=where)
        self._asking = Asking(endpoint, own_params)
        self._where = where
        self._wait_seconds = wait_seconds
        self._requests = requests
        self._ahead = ahead
        self._go_on = go_on
        self._ends = frozenset({404, *getattr(self._pagination, "end_status", ())})
        self._repeats = getattr(self._pagination, "end_repeats", False)
        self.signs = Signs()

    async def pages(self, walk: Walk) -> AsyncGenerator[Fetched]:
        """The pages of a walk, in order; those of one answer in parts. What concerns one list of several only, or
        one page of several, is a page's ``failure`` where the others are wanted all the same.

        Raises:
            SourceError: the API cannot be read, or goes in circles. What was given before is sound.
        """
        pages = self._parts(walk) if self._pagination.type == "none" else self._paged(walk)
        async with aclosing(pages) as whole:
            try:
                async for page in whole:
                    yield page
            except (Conflict, Unreachable):
                raise
            except SourceError as e:
                if walk.alone or not self._go_on:
                    raise
                yield Fetched(walk=walk, failure=e)

    async def _paged(self, walk: Walk) -> AsyncGenerator[Fetched]:
        paging = paginator(self._pagination, self.signs)
        begun = dict(walk.state)
        seen = Seen(begun.pop("after", None))
        waiting: deque[tuple[Step, asyncio.Task[Answer | None]]] = deque()

        def ask(step: Step, accept: frozenset[int] | None = None) -> None:
            if accept is None:
                accept = _NOTHING_THERE if step.beyond else frozenset() if paging.leads else self._ends
            waiting.append((step, asyncio.create_task(self._answer(walk, step, accept))))

        first = True
        failed: list[SourceError] = []
        """Failures of the pages just before, which are told once a page behind them can be read."""
        stays: Mapping[str, Any] | None = None
        """The first of the pages just before that only repeated others: nobody has seen yet what it will hold."""
        ask(paging.at(begun), _GONE | self._ends if walk.resumed else frozenset({404}) if walk.parent else frozenset())
        try:
            while True:
                step, task = waiting.popleft()
                place = self._asking.place(walk, step)
                try:
                    answer = await task
                    if answer is None and first and walk.resumed:
                        paging, first, seen = paginator(self._pagination, self.signs), False, Seen()
                        ask(paging.at({}), frozenset())
                        continue
                    repeated, following = False, None
                    if answer is not None:
                        answer, repeated, following = await self._checked(walk, paging, step, answer, seen, place)
                except (Circle, Conflict, Unreachable):
                    raise
                except SourceError as e:
                    failed.append(e)
                    more = paging.ahead(step) if self._go_on and len(failed) < _IN_A_ROW else None
                    if more is None:
                        raise failed[0] if first and not walk.resumed else _explained(failed[0], paging) from None
                    if not waiting:
                        ask(more)
                    continue
                for failure in failed:
                    yield Fetched(walk=walk, place=failure.where, failure=failure)
                failed.clear()
                if answer is None or (step.beyond and (repeated or not len(answer))) or (repeated and self._repeats):
                    if step.beyond:
                        self.signs.confirmed()
                    yield Fetched(walk=walk, place=place, at=step.state, missing=answer is None and first)
                    return
                first = False
                if following is not None:
                    if waiting and not waiting[0][0].asks_as(following):
                        _forget(waiting)
                    if waiting:
                        waiting[0] = (following, waiting[0][1])
                    else:
                        ask(following)
                    most = min(self._ahead, _AHEAD_BYTES // max(answer.size_bytes, 1))
                    while len(waiting) < most and (coming := paging.ahead(waiting[-1][0])):
                        ask(coming)
                if not repeated:
                    stays = None
                elif stays is None:
                    stays = step.state
                kept = following.state if following is not None and stays is None else stays
                yield Fetched(
                    walk=walk,
                    place=place,
                    cuts=answer.cuts,
                    rejects=answer.rejects,
                    bytes=answer.size_bytes,
                    at=step.state,
                    following=None if following is None or kept is None else {**kept, **seen.kept()},
                )
                if following is None:
                    return
        finally:
            _forget(waiting)

    async def _checked(
        self, walk: Walk, paging: Paginator, step: Step, answer: Answer, seen: Seen, place: str
    ) -> tuple[Answer, bool, Step | None]:
        """The page, which is asked for again when it is one that came before; whether it still is; what follows it."""
        repeated, following = False, None
        for attempt in range(_ATTEMPTS):
            if attempt:
                await _pause(self._wait_seconds * 2**attempt)
                again = await self._answer(walk, step, frozenset())
                assert again is not None
                answer = again
            repeated = seen.before(answer)
            if repeated and step.beyond:
                return answer, repeated, None
            if repeated and not attempt:
                continue
            try:
                following = self._asking.freed(paging.following(step, answer, repeated=repeated))
            except BadPage as e:
                raise SourceError(f"{self._where}: {e}", where=place, fix=e.fix) from None
            if not seen.leads_back(following):
                break
        if repeated and self._repeats:
            return answer, repeated, None
        if what := seen.circle(answer, following):
            raise Circle(f"{self._where}: the pages go in circles: {what}", where=place, fix=HOW_TO_END)
        seen.add(answer, following)
        return answer, repeated, following

    async def _answer(self, walk: Walk, step: Step, accept: frozenset[int]) -> Answer | None:
        """One page; None when there is none."""
        place = self._asking.place(walk, step)
        request = self._asking.request(walk, step, accept)
        for attempt in range(_ATTEMPTS):
            if attempt:
                await _pause(self._wait_seconds * 2**attempt)
            async with self._requests:
                page = await self._client.read(request)
            if page.status >= 400:
                return None
            if page.status in _EMPTY:
                return Answer(cuts=(), rejects=(), envelope={}, headers=page.headers, url=page.url, size_bytes=0)
            try:
                return await asyncio.to_thread(self._content.split, page, place, walk.fields)
            except BadPage as e:
                failure = SourceError(f"{self._where}: {e}", where=place, fix=e.fix)
        raise failure

    async def _parts(self, walk: Walk) -> AsyncGenerator[Fetched]:
        """One answer, in parts as it comes. When it breaks off it is asked for again from its start."""
        step = Step(state={})
        place = self._asking.place(walk, step)
        request = self._asking.request(walk, step, frozenset({404}) if walk.parent else frozenset())
        additions = Additions(walk.fields, where=self._where)
        for attempt in range(_ATTEMPTS):
            if attempt:
                await _pause(self._wait_seconds * 2**attempt)
            begun = False
            try:
                async with self._requests, self._client.fetch(request) as answer:
                    self._check_alone(answer.headers, place)
                    begun = True
                    missing = answer.status >= 400
                    if not missing and answer.status not in _EMPTY:
                        chunks = self._content.parts(answer.chunks(), place, answer.url, answer.headers)
                        async with aclosing(chunks) as parts:
                            async for part in parts:
                                part["cuts"] = await asyncio.to_thread(additions.to, part["cuts"], place)
                                yield Fetched(walk=walk, place=place, **part)
                # not while the request is under way: who takes this may ask for more
                yield Fetched(walk=walk, place=place, missing=missing)
                return
            except BadPage as e:
                failure = SourceError(f"{self._where}: {e}", where=place, fix=e.fix)
            except SourceError as e:
                if not begun or isinstance(e, Conflict):
                    raise
                failure = e
        raise failure

    def _check_alone(self, headers: Mapping[str, str], place: str) -> None:
        """Nobody said that there is one page only, and the API says that there are more."""
        if not self._pagination.model_fields_set and next_link(headers.get("link") or ""):
            raise SourceError(
                f'{self._where}: the answer links to a next page (Link: rel="next"), and no pagination is set',
                where=place,
                fix="say pagination: link_header, or another one; pagination: none when this page is all you want",
            )


def _explained(failure: SourceError, paging: Paginator) -> SourceError:
    """A failure of a page behind the first one, with what a status may mean there."""
    if not isinstance(failure, Refused) or failure.status not in _BEHIND_THE_END:
        return failure
    fix = f"where the API answers so behind its last page, set end_status: [{failure.status}] in pagination:"
    if paging.leads:
        fix = "the API named this page itself, in the answer before: run it again, or ask the API's owner"
    return SourceError(failure.what, where=failure.where, fix=f"{fix}; otherwise {failure.fix}")


async def _pause(seconds: float) -> None:
    """About so long, and never quite as long as another task."""
    await asyncio.sleep(seconds * random.uniform(0.5, 1.0))  # noqa: S311 - no secret


def _forget(waiting: deque[tuple[Step, asyncio.Task[Any]]]) -> None:
    for _, task in waiting:
        task.cancel()
        task.add_done_callback(lambda t: t.cancelled() or t.exception())
    waiting.clear()
