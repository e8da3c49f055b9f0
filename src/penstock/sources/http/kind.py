"""APIs as a kind of source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from penstock.extras import require
from penstock.findings import Finding
from penstock.plural import count
from penstock.ports import Batch
from penstock.project import Http
from penstock.project.fields import NamedField, fields_named
from penstock.sources.datasets import DatasetName
from penstock.sources.kinds import Forecast, Opening, SourceKind, State

if TYPE_CHECKING:
    from penstock.project.settings import Stream
    from penstock.sources.http.source import HttpSource


@dataclass(frozen=True)
class HttpKind(SourceKind[Http]):
    """Endpoints of an API, each of which feeds the stream of its name."""

    settings = Http

    def open(self, settings: Http, opening: Opening) -> HttpSource:
        require("http")
        from penstock.sources.http.source import HttpSource
        from penstock.sources.http.standing import keep_standing

        return HttpSource(
            opening.source,
            settings,
            opening.stream,
            batch_bytes=opening.batch_bytes,
            window=opening.window,
            fingerprint=opening.fingerprint,
            refresh=opening.refresh,
            lookback=opening.lookback,
            identity=opening.identity,
            standing=keep_standing(opening.directory, opening.source),
        )

    def forecast(self, settings: Http, opening: Opening, known: Mapping[str, State]) -> Forecast:
        return Forecast(words=self.open(settings, opening).described(known))

    def check(self, name: str, settings: Http, opening: Opening) -> Iterator[Finding]:
        """One page is asked for, which shows that address, credentials and format are right."""
        source = self.open(settings, opening)
        page = source.first_page()
        records = f"{page.place}: {count(sum(len(c.bodies) for c in page.cuts), 'record')}"
        detail = "; ".join([records, *(f"warning: {text}" for text in source.warnings)])
        yield Finding(name=name, ok=True, detail=detail)

    def sample(self, settings: Http, opening: Opening) -> Iterator[Batch]:
        """The first page; none where it takes other endpoints to ask for it."""
        if settings.endpoints[opening.stream].parent is None:
            for cut in self.open(settings, opening).first_page().cuts:
                yield Batch(bodies=cut.bodies, segments=[])

    def datasets(self, settings: Http, opening: Opening) -> list[DatasetName]:
        parts = urlsplit(settings.base_url)
        space = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        endpoint = (settings.endpoints[opening.stream].path or opening.stream).strip("/").partition("?")[0]
        name = "/".join(p for p in (parts.path.strip("/"), endpoint) if p)
        return [DatasetName(namespace=space, name=f"/{name}", uri=f"{space}/{name}")]

    def picks_days(self, settings: Http, stream: str) -> bool:
        return settings.endpoints[stream].windows is not None

    def overlap(self, settings: Http, stream: str) -> timedelta:
        endpoint = settings.endpoints[stream]
        if endpoint.windows is None or endpoint.incremental is None:
            return timedelta()
        return endpoint.incremental.overlap

    def named_fields(self, settings: Http, stream: str, stream_settings: Stream) -> Iterable[NamedField]:
        return fields_named(stream_settings, settings.endpoint(stream))

    def is_untyped(self, settings: Http, stream: str, place: str) -> bool:
        del place
        return stream in settings.endpoints and settings.endpoint(stream).format == "csv"


KIND = HttpKind()
