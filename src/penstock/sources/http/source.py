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
from urllib.parse import quote

import pyarrow as pa

from penstock.errors import SourceError
from penstock.jsonpath import parse_path
from penstock.ports import Batch, Position, Window
from penstock.shape.structures import members_of
from penstock.sources.gathering import Gathering
from penstock.sources.http.auth import query_key
from penstock.sources.http.background import iterate
from penstock.sources.http.client import Client
from penstock.sources.http.fetching import Fetched, Fetcher, Walk
from penstock.sources.http.incremental import Columns
from penstock.sources.http.lanes import in_lanes
from penstock.sources.http.passes import WHOLE, Pass, Passes, filled
from penstock.sources.http.records import MAX_PENDING_BYTES

if TYPE_CHECKING:
    from penstock.project.http import Endpoint, Http
    from penstock.sources.http.breaker import CircuitBreaker

State = Mapping[str, Any]

_BUDGET_BYTES = 8 << 20
"""Pages that wait to be landed may take so much."""
_SHOWN_NAMES = 20
_AHEAD = 2
"""Pages under way or waiting, for each request that may be under way."""


class HttpSource:
    """Reads an endpoint.

    Args:
        name: the source's name, under which positions are kept.
        endpoint: the endpoint's name.
        window: only this is asked for, where the endpoint declares windows.
        fingerprint: go by what has landed; without it all is asked for from the start.
        refresh: begin with the first page each time.
        lookback: how long after its window a record may come, where that is longer than the endpoint's ``overlap``.
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
        standing: Callable[[Mapping[str, CircuitBreaker]], None] = lambda _: None,
    ) -> None:
        self.name = name
        self.skipped: list[str] = []
        self.warnings: list[str] = []
        """What looks like a mistake in the settings, as far as the last :meth:`read` came."""
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
        """Yield batches of about ``batch_bytes``, mostly of whole pages."""
        self.warnings.clear()
        passes = {p.key: p for p in self.plan(known)}
        if not passes:
            return
        gathering = Gathering(untyped=self._endpoint.format == "csv")
        columns = Columns()
        unread: list[pa.Array] = []
        moved: set[str] = set()
        lists = missing = 0

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
                found = passes[page.walk.key]
                for cut in page.cuts:
                    gathering.add(page.place, cut)
                    found.records += len(cut.bodies) if found.windowed else 0
                    if found.key == WHOLE and self._endpoint.incremental is not None:
                        unread.append(cut.bodies)
                gathering.rejects.extend(page.rejects)
                if page.whole:
                    found.went_on(page.following, page.walk.parent, finished=page.walk.finishes)
                    moved.add(found.key)
                lists += not page.walk.finishes
                missing += page.missing
                if page.walk.finishes and missing and missing == lists:
                    raise SourceError(f"{self._where}: status 404 for every parent", fix="check path: of the endpoint")
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

    def acknowledge(self, positions: Sequence[Position]) -> None:
        """An API needs no acknowledgement: the position in the ledger is all."""

    def described(self, known: Mapping[str, State]) -> str:
        """What :meth:`read` would ask for, in words."""
        endpoint = self._endpoint
        assert endpoint.pagination is not None
        passes = self.plan(known)
        said = f"{endpoint.method} {self._settings.base_url}/{str(endpoint.path).lstrip('/')}"
        if endpoint.pagination.type != "none":
            said += f" by {endpoint.pagination.type.replace('_', ' ')}"
        if endpoint.parent is not None:
            said += f" for each of {endpoint.parent.endpoint}"
        if self.skipped:
            said += f", {len(self.skipped)} windows landed before"
        if not passes:
            return said
        first = passes[0]
        said += f", {len(passes)} windows from {first.key}" if first.windowed else ""
        if parameters := self._passes.parameters(first):
            said += f", with {', '.join(f'{k}={v}' for k, v in parameters.items())}"
        return said + (", from where the last load stopped" if first.resumed else ", from the first page")

    def first_page(self) -> Fetched:
        """The first page of the endpoint, or of its parents, as a trial.

        Raises:
            SourceError: it cannot be read.
        """
        return asyncio.run(self._first_page())

    async def _first_page(self) -> Fetched:
        parent = self._endpoint.parent
        async with self._client() as client:
            endpoint = self._endpoint if parent is None else self._settings.endpoint(parent.endpoint)
            fetcher = self._fetcher(client, endpoint, asyncio.Semaphore(1), ahead=0)
            walk = Walk(key=WHOLE, path=str(endpoint.path), params=endpoint.params, body=endpoint.body)
            async with aclosing(fetcher.pages(walk)) as pages:
                return await anext(pages)

    def _client(self) -> Client:
        return Client(self._settings, name=self.name, concurrency=self._settings.concurrency, standing=self._standing)

    def _fetcher(self, client: Client, endpoint: Endpoint, requests: asyncio.Semaphore, *, ahead: int) -> Fetcher:
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
        )

    async def _fetch(self, passes: Sequence[Pass]) -> AsyncGenerator[Fetched]:
        """All pages of all passes, in order."""
        concurrency = self._settings.concurrency
        requests = asyncio.Semaphore(concurrency)
        one = len(passes) == 1 and self._endpoint.parent is None
        async with self._client() as client:
            fetcher = self._fetcher(client, self._endpoint, requests, ahead=_AHEAD * concurrency if one else _AHEAD)

            async def run(walk: Walk) -> AsyncGenerator[Fetched]:
                if walk.finishes:
                    yield Fetched(walk=walk)
                    return
                async with aclosing(fetcher.pages(walk)) as pages:
                    async for page in pages:
                        yield page

            walks = self._walks(client, passes, requests)
            async with aclosing(in_lanes(walks, run, lanes=1 if one else concurrency)) as found:
                async for page in found:
                    yield page

    async def _walks(self, client: Client, passes: Sequence[Pass], requests: asyncio.Semaphore) -> AsyncGenerator[Walk]:
        for found in passes:
            if self._endpoint.parent is None:
                yield self._walk(found, {}, state=found.next, resumed=found.resumed)
            else:
                async with aclosing(self._children(client, found, requests)) as children:
                    async for walk in children:
                        yield walk
            yield Walk(key=found.key, finishes=True)

    async def _children(self, client: Client, found: Pass, requests: asyncio.Semaphore) -> AsyncGenerator[Walk]:
        """A walk for each parent, page by page of the parents, from where the last load stopped."""
        parent = self._endpoint.parent
        assert parent is not None
        endpoint = self._settings.endpoint(parent.endpoint)
        fetcher = self._fetcher(client, endpoint, requests, ahead=_AHEAD)
        before = found.parent
        walk = Walk(
            key=found.key,
            path=str(endpoint.path),
            params=endpoint.params,
            body=endpoint.body,
            state={} if before is None else before["page"],
            resumed=before is not None,
        )
        path = parse_path(parent.field)
        columns = Columns()
        first: pa.Array | None = None
        count = 0
        try:
            async with aclosing(fetcher.pages(walk)) as pages:
                async for page in pages:
                    bodies = [c.bodies.cast(pa.large_binary()) for c in page.cuts]
                    if not bodies:
                        continue
                    values = await asyncio.to_thread(columns.texts, pa.concat_arrays(bodies), path)
                    names = list(dict.fromkeys(v for v in values if v is not None))
                    first = bodies[0] if first is None else first
                    count += len(names)
                    again = None
                    if before is not None and page.at == before["page"] and before["value"] in names:
                        done = bool(before.get("done"))
                        names = names[names.index(before["value"]) + done :]
                        again = None if done else before["value"]
                    before = None
                    for name in names:
                        yield self._walk(
                            found,
                            {f"parent.{parent.field}": name},
                            state=found.next if name == again else None,
                            resumed=name == again,
                            parent={"page": page.at, "value": name},
                        )
            if first is not None and not count:
                self.warnings.append(await asyncio.to_thread(self._nameless, first))
        finally:
            columns.close()

    def _nameless(self, parents: pa.Array) -> str:
        """What to say when no parent has the field that its children are asked by."""
        parent = self._endpoint.parent
        assert parent is not None
        names = sorted({".".join(path) for path in members_of(parents, MAX_PENDING_BYTES).paths})
        return (
            f"{self._where}: parent.field: names {parent.field!r}, and no record of {parent.endpoint} has that field,"
            f" so nothing was asked for; they have {', '.join(names[:_SHOWN_NAMES]) or 'none'}"
        )

    def _walk(
        self,
        found: Pass,
        values: Mapping[str, Any],
        *,
        state: State | None,
        resumed: bool,
        parent: Mapping[str, Any] | None = None,
    ) -> Walk:
        """The request of a pass, for one parent where there are parents."""
        endpoint = self._endpoint
        quoted = {name: quote(str(value), safe="") for name, value in values.items()}
        shown = self._passes.parameters(found)
        return Walk(
            key=found.key,
            path=str(filled(endpoint.path, quoted)),
            params={**{k: filled(v, values) for k, v in endpoint.params.items()}, **shown},
            shown=shown,
            body=None if endpoint.body is None else filled(endpoint.body, values),
            state=state or {},
            parent=parent,
            resumed=resumed,
        )
