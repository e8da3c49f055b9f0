"""An endpoint of an HTTP API as a source of one stream.

Delivery: at least once. A position says which page comes next; what is asked for again is told apart by identity.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from penstock.errors import SourceError
from penstock.jsonpath import parse_path
from penstock.ports import Batch, Position, Segment
from penstock.sources.http.background import iterate
from penstock.sources.http.client import Client
from penstock.sources.http.fetching import Fetched, Fetcher, Walk
from penstock.sources.http.records import joined

if TYPE_CHECKING:
    from penstock.project.http import Http

State = Mapping[str, Any]
_BUDGET_BYTES = 32 << 20
"""Pages that wait to be landed may take this much."""


@dataclass(slots=True)
class _Gathering:
    """Pages on their way to becoming a batch."""

    bodies: list[pa.Array] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    positions: dict[str, Position] = field(default_factory=dict)
    rows: int = 0
    bytes: int = 0

    def add(self, page: Fetched) -> None:
        if len(page.bodies):
            self.segments.append(Segment(start=self.rows, place=page.place, number=1))
            self.bodies.append(page.bodies)
            self.rows += len(page.bodies)
        self.bytes += page.bytes

    def take(self) -> Batch:
        """The batch so far; what comes next starts another."""
        batch = Batch(
            bodies=joined(self.bodies),
            segments=tuple(self.segments),
            positions=tuple(self.positions.values()),
            bytes=self.bytes,
        )
        self.bodies, self.segments, self.positions, self.rows, self.bytes = [], [], {}, 0, 0
        return batch


class HttpSource:
    """Reads the endpoint of a stream.

    Args:
        name: the source's name, under which positions are kept.
        endpoint: the endpoint's name.
    """

    def __init__(self, name: str, settings: Http, endpoint: str, *, batch_bytes: int = 8 << 20) -> None:
        self.name = name
        self.skipped: list[str] = []
        self._settings = settings
        self._endpoint = settings.endpoints[endpoint]
        self._path = self._endpoint.path or endpoint
        self._batch_bytes = batch_bytes

    def read(self, known: Mapping[str, State]) -> Iterator[Batch]:
        """Yield batches of about ``batch_bytes``, of whole pages."""
        gathering = _Gathering()
        state = known.get("", {})
        walk = Walk(path=self._path, params=self._endpoint.params, state=state.get("next") or {})
        pages = iterate(lambda: self._pages(walk), budget_bytes=_BUDGET_BYTES)
        try:
            for page in pages:
                gathering.add(page)
                gathering.positions[""] = Position(source=self.name, key="", state={"next": page.following})
                if gathering.bytes >= 0.9 * self._batch_bytes:
                    yield gathering.take()
        except SourceError:
            # what came before is sound
            if gathering.rows:
                yield gathering.take()
            raise
        finally:
            pages.close()
        if gathering.rows or gathering.positions:
            yield gathering.take()

    def acknowledge(self, positions: Sequence[Position]) -> None:
        """An API needs no acknowledgement: the position in the ledger is all."""

    async def _pages(self, walk: Walk) -> AsyncGenerator[Fetched]:
        fetcher = Fetcher(self._endpoint, parse_path(self._endpoint.records), concurrency=self._settings.concurrency)
        async with Client(self._settings) as client:
            async for page in fetcher.pages(client, walk):
                yield page
