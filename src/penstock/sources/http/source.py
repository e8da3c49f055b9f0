"""An endpoint of an HTTP API as a source of one stream.

Delivery: at least once. A position says which page comes next, in the transaction that lands the pages before it; what
is asked for again is told apart by identity.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from penstock.errors import SourceError
from penstock.ports import Batch, Position, Window
from penstock.sources.gathering import Gathering
from penstock.sources.http.auth import query_key
from penstock.sources.http.background import iterate
from penstock.sources.http.client import Client
from penstock.sources.http.fetched import Fetched, Walk
from penstock.sources.http.fetching import Fetcher
from penstock.sources.http.incremental import Columns
from penstock.sources.http.lanes import in_lanes
from penstock.sources.http.parents import Siblings
from penstock.sources.http.passes import WHOLE, Pass, Passes
from penstock.sources.http.walks import Walks

if TYPE_CHECKING:
    from penstock.project.http import Endpoint, Http
    from penstock.sources.http.breaker import CircuitBreaker

State = Mapping[str, Any]

_BUDGET_BYTES = 4 << 20
"""Pages that wait to be landed may take so much."""
_AHEAD = 2
"""Pages under way or waiting, for each request that may be under way."""
_HOPELESS = 10
"""So many lists that cannot be read, one after the other, end the load: the reason is not theirs."""
_TRIED = 3
"""Parents whose children are asked for as a trial."""
_FIX_PATH = "check path: of the endpoint"


class HttpSource:
    """Reads an endpoint.

    Args:
        name: the source's name, under which positions are kept.
        endpoint: the endpoint's name.
        window: only this is asked for, where the endpoint declares windows.
        fingerprint: go by what has landed; without it all is asked for from the start.
        refresh: begin with the first page each time.
        lookback: how long after its window a record may come, where that is longer than the endpoint's ``overlap``.
        identity: the stream's key fields; the children of different parents should not be one by them.
        standing: is told how the API's hosts stand.
    """

    def __init__(
        self,
        name: str,
        settings: Http,
        endpoint: str,
        *,
        batch_bytes: int = 8 << 20,
        window: Window | None = None,
        fingerprint: bool = True,
        refresh: bool = False,
        lookback: timedelta = timedelta(),
        identity: Sequence[str] = (),
        standing: Callable[[Mapping[str, CircuitBreaker]], None] = lambda _: None,
    ) -> None:
        self.name = name
        self.skipped: list[str] = []
        self.failures: list[SourceError] = []
        self.warnings: list[str] = []
        """What looks like a mistake in the settings, after :meth:`read`: each in a sentence with its fix."""
        self._name = endpoint
        self._refresh = refresh
        self._identity = identity
        self._settings = settings
        self._endpoint = settings.endpoint(endpoint)
        self._where = f"source {name}, endpoint {endpoint}"
        self._batch_bytes = batch_bytes
        self._standing = standing
        self._passes = Passes(
            self._endpoint,
            where=self._where,
            window=window,
            fingerprint=fingerprint,
            refresh=refresh,
            lookback=lookback,
        )

    def plan(self, known: Mapping[str, State]) -> list[Pass]:
        """The passes that :meth:`read` would make, in order; windows that landed before are in ``skipped``.

        Raises:
            UsageError: windows are declared, and the dates have no beginning.
        """
        passes, self.skipped = self._passes.plan(known)
        return passes

    def read(self, known: Mapping[str, State]) -> Iterator[Batch]:
        """Yield batches of about ``batch_bytes``, mostly of whole pages.

        What cannot be read of a page of a numbered list, or of a parent's or a window's list, is added to ``failures``;
        the others are given all the same. A pass goes on at the first of them the next time.
        """
        self.failures, self.warnings = [], []
        passes = {p.key: p for p in self.plan(known)}
        if not passes:
            return
        gathering = Gathering(untyped=self._endpoint.format == "csv")
        columns = Columns()
        unread: list[pa.Array] = []
        moved: set[str] = set()
        siblings = Siblings(self._identity, self._settings.included(self._name), where=self._where)
        failed: set[str] = set()
        lists = missing = in_a_row = 0

        def take() -> Batch:
            if unread:
                self._passes.look(passes[WHOLE], unread, columns)
                unread.clear()
            for key in moved:
                state = self._passes.state(passes[key])
                if state != known.get(key):
                    gathering.positions[key] = Position(source=self.name, key=key, state=state)
            moved.clear()
            return gathering.take()

        pages = iterate(lambda: self._fetch(list(passes.values())), budget_bytes=_BUDGET_BYTES)
        try:
            for page in pages:
                current = passes[page.walk.key]
                if page.failure is not None:
                    in_a_row += 1
                    failed.add(current.key)
                    if in_a_row == _HOPELESS:
                        raise page.failure
                    self.failures.append(page.failure)
                    continue
                if not page.walk.finishes:
                    in_a_row = 0
                siblings.look(page)
                for cut in page.cuts:
                    gathering.add(page.place, cut)
                    current.records += len(cut.bodies) if current.windowed else 0
                    if current.key == WHOLE and self._endpoint.incremental is not None:
                        unread.append(cut.bodies)
                gathering.rejects.extend(page.rejects)
                if page.whole and current.key not in failed:
                    current.went_on(page.following, page.walk.parent, finished=page.walk.finishes)
                    moved.add(current.key)
                lists += not page.walk.finishes
                missing += page.missing
                if page.walk.finishes and missing and missing == lists:
                    raise SourceError(f"{self._where}: status 404 for every parent", fix=_FIX_PATH)
                if gathering.bytes >= 0.9 * self._batch_bytes:
                    yield take()
        except SourceError:
            # what came before is sound, and must not wait for the API to be mended
            yield take()
            raise
        else:
            self.warnings += self._passes.grown(passes.values())
            yield take()
        finally:
            pages.close()
            columns.close()
            self.warnings += siblings.warnings

    def acknowledge(self, acknowledgements: Sequence[Any], /) -> None:
        """An API needs no acknowledgement: the position in the ledger is all."""

    def described(self, known: Mapping[str, State]) -> str:
        """What :meth:`read` would ask for, in words."""
        endpoint = self._endpoint
        assert endpoint.pagination is not None
        passes = self.plan(known)
        words = f"{endpoint.method} {self._settings.base_url}/{str(endpoint.path).lstrip('/')}"
        if endpoint.pagination.type != "none":
            words += f" by {endpoint.pagination.type.replace('_', ' ')}"
        parent = endpoint.parent
        while parent is not None:
            words += f" for each of {parent.endpoint}"
            parent = self._settings.endpoint(parent.endpoint).parent
        if self.skipped:
            words += f", {len(self.skipped)} windows landed before"
        if not passes:
            return words
        first = passes[0]
        words += f", {len(passes)} windows from {first.key}" if first.windowed else ""
        if parameters := self._passes.parameters(first):
            words += f", with {', '.join(f'{k}={v}' for k, v in parameters.items())}"
        return words + (", from where the last load stopped" if first.resumed else ", from the first page")

    def first_page(self) -> Fetched:
        """The first page of the endpoint, as a trial; where it has parents, of the first of them that has children.

        Raises:
            SourceError: it cannot be read, or there is no parent to ask for.
        """
        return asyncio.run(self._first_page())

    async def _first_page(self) -> Fetched:
        self.warnings = []
        page: Fetched | None = None
        requests = asyncio.Semaphore(1)
        async with self._client() as client:
            own = self._fetcher(client, self._endpoint, requests, ahead=0, go_on=False)
            walks = self._walks(client, requests, ahead=0)
            tried = 0
            async with aclosing(walks.of([Pass(key=WHOLE)])) as lists:
                async for walk in lists:
                    if walk.failure is not None:
                        raise walk.failure
                    if walk.finishes or tried == _TRIED:
                        break
                    tried += 1
                    async with aclosing(own.pages(walk)) as pages:
                        page = await anext(pages)
                    if page.failure is not None:
                        raise page.failure
                    if not page.missing:
                        break
        self.warnings = [*own.signs.warnings(self._where), *walks.warnings()]
        if page is None:
            assert self._endpoint.parent is not None
            raise SourceError(
                f"{self._where}: there is no record of {self._endpoint.parent.endpoint} to ask for its children",
                fix="check the endpoint of the parents; with none of them, nothing is loaded",
            )
        if page.missing:
            raise SourceError(
                f"{self._where}: status 404 for the first {tried} parents", where=page.place, fix=_FIX_PATH
            )
        return page

    def _client(self) -> Client:
        return Client(self._settings, name=self.name, concurrency=self._settings.concurrency, standing=self._standing)

    def _walks(self, client: Client, requests: asyncio.Semaphore, *, ahead: int = _AHEAD) -> Walks:
        def fetcher(endpoint: Endpoint) -> Fetcher:
            return self._fetcher(client, endpoint, requests, ahead=ahead, go_on=self._goes_on)

        return Walks(self._settings, self._name, fetcher, self._passes.parameters, where=self._where)

    @property
    def _goes_on(self) -> bool:
        """Whether pages count that come behind one that cannot be read: not where a load has to be whole, and not
        where each page moves on what is asked for next."""
        incremental = self._endpoint.incremental
        return not self._refresh and (incremental is None or incremental.order != "ascending")

    def _fetcher(
        self, client: Client, endpoint: Endpoint, requests: asyncio.Semaphore, *, ahead: int, go_on: bool
    ) -> Fetcher:
        own = list(self._settings.params)
        if (key := query_key(self._settings.auth)) is not None:
            own.append(key[0])
        return Fetcher(
            client,
            endpoint,
            where=self._where,
            requests=requests,
            ahead=ahead,
            own_params=own,
            wait_seconds=self._settings.retries.first_wait_seconds,
            go_on=go_on,
        )

    async def _fetch(self, passes: Sequence[Pass]) -> AsyncGenerator[Fetched]:
        """All pages of all passes, in order."""
        concurrency = self._settings.concurrency
        requests = asyncio.Semaphore(concurrency)
        one = len(passes) == 1 and self._endpoint.parent is None
        async with self._client() as client:
            ahead = _AHEAD * concurrency if one else _AHEAD
            fetcher = self._fetcher(client, self._endpoint, requests, ahead=ahead, go_on=self._goes_on)

            async def run(walk: Walk) -> AsyncGenerator[Fetched]:
                if walk.finishes or walk.failure is not None:
                    yield Fetched(walk=walk, failure=walk.failure)
                    return
                async with aclosing(fetcher.pages(walk)) as pages:
                    async for page in pages:
                        yield page

            walks = self._walks(client, requests)
            try:
                async with aclosing(in_lanes(walks.of(passes), run, lanes=1 if one else concurrency)) as answers:
                    async for page in answers:
                        yield page
            finally:
                self.warnings = [*fetcher.signs.warnings(self._where), *walks.warnings()]
