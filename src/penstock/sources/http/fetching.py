"""Pages of an endpoint, several fetched at a time, and given in order."""

from __future__ import annotations

import asyncio
import io
import json
import random
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from penstock.errors import MASK, SourceError, redact
from penstock.jsonpath import parse_path
from penstock.records.opening import CsvDialect
from penstock.sources.http.addresses import without
from penstock.sources.http.client import Client, Page, Request
from penstock.sources.http.fetched import Fetched, Walk
from penstock.sources.http.links import next_link
from penstock.sources.http.paging import Answer, Paginator, Step, paginator
from penstock.sources.http.parents import Additions, Conflict
from penstock.sources.http.records import BadPage, Cutter, JsonCutter, LineCutter, error_in
from penstock.sources.http.refusals import Refused, Unreachable
from penstock.sources.http.secrets import is_secret
from penstock.sources.http.seen import HOW_TO_END, Circle, Seen
from penstock.sources.http.signs import Signs
from penstock.sources.http.streaming import rows_of_stream

if TYPE_CHECKING:
    from penstock.ports import Reject
    from penstock.project.http import Endpoint
    from penstock.records.splitters import Cut

_ATTEMPTS = 3
"""How often a page is asked for whose content is not what was declared: a gateway may have answered in its place."""
_CHUNK_BYTES = 4 << 20
_AHEAD_BYTES = 32 << 20
"""Pages under way or waiting in one walk may take so much, as far as the last one's size tells."""
_SHOWN_VALUE = 64
_CSV_BLOCK_BYTES = 1 << 20
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
        assert endpoint.pagination is not None and endpoint.records is not None and endpoint.csv is not None
        self._client = client
        self._endpoint = endpoint
        self._pagination = endpoint.pagination
        self._shown_records = endpoint.records
        self._records = parse_path(endpoint.records)
        self._error = None if endpoint.error is None else parse_path(endpoint.error)
        csv = endpoint.csv
        self._dialect = CsvDialect(
            delimiter=csv.delimiter, quote=csv.quote, header=csv.header, null_values=tuple(csv.null_values)
        )
        self._where = where
        self._own_params = own_params
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
        async with aclosing(pages) as found:
            try:
                async for page in found:
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
                place = self._place(walk, step)
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
                following = self._owned(paging.following(step, answer, repeated=repeated))
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
        place = self._place(walk, step)
        request = self._request(walk, step, accept)
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
                return await asyncio.to_thread(self._split, page, place, walk.fields)
            except BadPage as e:
                failure = SourceError(f"{self._where}: {e}", where=place, fix=e.fix)
        raise failure

    def _split(self, page: Page, place: str, fields: Mapping[str, str]) -> Answer:
        rejects: list[Reject] = []
        cuts: list[Cut] = []
        envelope: Any = None
        if self._endpoint.format == "csv":
            for cut, wrong in rows_of_stream(io.BytesIO(page.body), place, self._dialect, _CSV_BLOCK_BYTES):
                cuts.append(cut)
                rejects.extend(wrong)
        else:
            cutter = self._cutter()
            cuts = cutter.cut(page.body)
            rest, envelope = cutter.finish()
            cuts += rest
        answer = Answer(
            cuts=cuts, rejects=rejects, envelope=envelope, headers=page.headers, url=page.url, size_bytes=len(page.body)
        )
        self._check_envelope(answer)
        return replace(answer, cuts=Additions(fields, where=self._where).to(answer.cuts, place))

    def _check_envelope(self, answer: Answer) -> None:
        whole = answer.envelope
        if not self._records and whole == {} and answer.last is not None:
            # the one record is all of the answer
            try:
                whole = json.loads(answer.last)
            except (ValueError, RecursionError):
                raise BadPage("the answer is not JSON") from None
            if self._pagination.type != "none":
                keys = ", ".join(list(whole)[:20]) or "nothing"
                raise BadPage(f"the answer is one object, with {keys}", "say with records: where in it the records are")
        if self._error is not None and (said := error_in(whole, self._error)) is not None:
            raise BadPage(f"the API says: {said}")

    def _cutter(self) -> Cutter:
        if self._endpoint.format == "ndjson":
            return LineCutter()
        return JsonCutter(self._records, shown=self._shown_records, optional=self._endpoint.allow_missing)

    async def _parts(self, walk: Walk) -> AsyncGenerator[Fetched]:
        """One answer, in parts as it comes. When it breaks off it is asked for again from its start."""
        step = Step(state={})
        place = self._place(walk, step)
        request = self._request(walk, step, frozenset({404}) if walk.parent else frozenset())
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
                        chunks = self._cut(answer.chunks(), place, answer.url, answer.headers)
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

    async def _cut(
        self, chunks: AsyncGenerator[bytes], place: str, url: str, headers: Mapping[str, str]
    ) -> AsyncGenerator[dict[str, Any]]:
        """Records of an answer, in parts."""
        if self._endpoint.format == "csv":
            from penstock.sources.http.streaming import csv_parts

            async with aclosing(csv_parts(chunks, place, self._dialect)) as found:
                async for cut, rejects in found:
                    yield {"cuts": [cut], "rejects": rejects, "bytes": cut.consumed, "whole": False}
            return
        cutter = self._cutter()
        held: list[bytes] = []
        size = 0
        async with aclosing(chunks) as coming:
            async for chunk in coming:
                held.append(chunk)
                size += len(chunk)
                if size >= _CHUNK_BYTES:
                    cuts = await asyncio.to_thread(cutter.cut, b"".join(held))
                    yield {"cuts": cuts, "bytes": size, "whole": False}
                    held, size = [], 0
        cuts = await asyncio.to_thread(cutter.cut, b"".join(held))
        rest, envelope = await asyncio.to_thread(cutter.finish)
        cuts = [*cuts, *rest]
        answer = Answer(cuts=cuts, rejects=(), envelope=envelope, headers=headers, url=url, size_bytes=size)
        self._check_envelope(answer)
        yield {"cuts": cuts, "bytes": size, "whole": False}

    def _check_alone(self, headers: Mapping[str, str], place: str) -> None:
        """Nobody said that there is one page only, and the API says that there are more."""
        if not self._pagination.model_fields_set and next_link(headers.get("link") or ""):
            raise SourceError(
                f'{self._where}: the answer links to a next page (Link: rel="next"), and no pagination is set',
                where=place,
                fix="say pagination: link_header, or another one; pagination: none when this page is all you want",
            )

    def _owned(self, following: Step | None) -> Step | None:
        """A step whose link has no parameter that every request gets anyway: some of them are secret."""
        if following is None or following.link is None:
            return following
        link = following.link
        for name in {n for n, _ in parse_qsl(urlsplit(link).query)} & set(self._own_params):
            link = without(link, name)
        return Step(state={"link": link}, link=link)

    def _request(self, walk: Walk, step: Step, accept: frozenset[int]) -> Request:
        endpoint = self._endpoint
        if step.link is not None:
            return Request(
                method=endpoint.method, url=step.link, headers=endpoint.headers, json=walk.body, accept=accept
            )
        params, body = {**walk.params, **step.params}, walk.body
        if endpoint.parameters_in == "body":
            params, body = dict(endpoint.params), {**(body or {}), **walk.shown, **step.params}
        return Request(
            method=endpoint.method, url=walk.path, params=params, headers=endpoint.headers, json=body, accept=accept
        )

    def _place(self, walk: Walk, step: Step) -> str:
        """Where records come from, as origins show it: no secret, no base address."""
        path, shown = walk.path, {**walk.shown, **step.params}
        if step.link is not None:
            parts = urlsplit(step.link)
            path, shown = parts.path, dict(parse_qsl(parts.query))
        text = {k: MASK if is_secret(k) and step.link else _short(str(v)) for k, v in shown.items()}
        query = urlencode(text, quote_via=quote, safe=":,/…*")
        return redact(f"{self._endpoint.method} /{path.lstrip('/')}" + (f"?{query}" if query else ""))


def _explained(failure: SourceError, paging: Paginator) -> SourceError:
    """A failure of a page behind the first one, with what a status may mean there."""
    if not isinstance(failure, Refused) or failure.status not in _BEHIND_THE_END:
        return failure
    fix = f"where the API answers so behind its last page, set end_status: [{failure.status}] in pagination:"
    if paging.leads:
        fix = "the API named this page itself, in the answer before: run it again, or ask the API's owner"
    return SourceError(failure.what, where=failure.where, fix=f"{fix}; otherwise {failure.fix}")


def _short(value: str) -> str:
    return value if len(value) <= _SHOWN_VALUE else f"{value[:_SHOWN_VALUE]}…"


async def _pause(seconds: float) -> None:
    """About so long, and never quite as long as another task."""
    await asyncio.sleep(seconds * random.uniform(0.5, 1.0))  # noqa: S311 - no secret


def _forget(waiting: deque[tuple[Step, asyncio.Task[Any]]]) -> None:
    for _, task in waiting:
        task.cancel()
        task.add_done_callback(lambda t: t.cancelled() or t.exception())
    waiting.clear()
