"""The lake as a kind of source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.findings import Finding
from penstock.project import Lake
from penstock.project.fields import NamedField, fields_named
from penstock.records.opening import is_csv
from penstock.sources.datasets import DatasetName, file_dataset
from penstock.sources.files.kind import check_files, forecast_of_files
from penstock.sources.kinds import Forecast, Opening, SourceKind, State

if TYPE_CHECKING:
    from penstock.project.settings import Stream
    from penstock.sources.lake.source import LakeSource


@dataclass(frozen=True)
class LakeKind(SourceKind[Lake]):
    """Files that loads wrote."""

    settings = Lake

    def open(self, settings: Lake, opening: Opening) -> LakeSource:
        from penstock.sources.lake.source import LakeSource

        return LakeSource(
            opening.stream,
            folder=settings.path,
            batch_bytes=opening.batch_bytes,
            window=opening.window,
            fingerprint=opening.fingerprint,
            refresh=opening.refresh,
        )

    def forecast(self, settings: Lake, opening: Opening, known: Mapping[str, State]) -> Forecast:
        return forecast_of_files(self.open(settings, opening), known)

    def check(self, name: str, settings: Lake, opening: Opening) -> Iterator[Finding]:
        return check_files(name, self.open(settings, opening))

    def datasets(self, settings: Lake, opening: Opening) -> list[DatasetName]:
        return [file_dataset(settings.path / opening.stream)]

    def named_fields(self, settings: Lake, stream: str, stream_settings: Stream) -> Iterable[NamedField]:
        """Without those that are dropped: what is in the lake has them no more."""
        del settings, stream
        return [named for named in fields_named(stream_settings) if named.how != "dropped"]

    def is_untyped(self, settings: Lake, stream: str, place: str) -> bool:
        del settings, stream
        return is_csv(place, "auto")


KIND = LakeKind()
