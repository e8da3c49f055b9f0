"""Files as a kind of source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.errors import PenstockError, SourceError, together
from penstock.findings import Finding, failed
from penstock.plural import count
from penstock.project import Files
from penstock.records.opening import CsvDialect, is_csv
from penstock.sources.datasets import DatasetName, file_dataset
from penstock.sources.files.matching import base_of
from penstock.sources.kinds import Forecast, Opening, SourceKind, State

if TYPE_CHECKING:
    from penstock.project import Project
    from penstock.sources.files.source import FilesSource


@dataclass(frozen=True)
class FilesKind(SourceKind[Files]):
    """Files in folders."""

    settings = Files

    def open(self, settings: Files, opening: Opening) -> FilesSource:
        return open_files(settings, opening)

    def watched(self, settings: Files) -> Files:
        return settings

    def forecast(self, settings: Files, opening: Opening, known: Mapping[str, State]) -> Forecast:
        return forecast_of_files(self.open(settings, opening), known)

    def check(self, name: str, settings: Files, opening: Opening) -> Iterator[Finding]:
        return check_files(name, self.open(settings, opening))

    def datasets(self, settings: Files, opening: Opening) -> list[DatasetName]:
        return [file_dataset(base_of(pattern, opening.directory)) for pattern in settings.path]

    def is_untyped(self, settings: Files, stream: str, place: str) -> bool:
        del stream
        return is_csv(place, settings.format)


KIND = FilesKind()


def open_files(settings: Files, opening: Opening, *, growing: bool = False) -> FilesSource:
    """A source of files; with ``growing`` it leaves a last line that is not finished for later."""
    from penstock.sources.files.source import FilesSource

    csv = settings.csv
    return FilesSource(
        opening.source,
        settings.path,
        root=opening.directory,
        format=settings.format,
        compression=settings.compression,
        dialect=CsvDialect(
            delimiter=csv.delimiter, quote=csv.quote, header=csv.header, null_values=tuple(csv.null_values)
        ),
        batch_bytes=opening.batch_bytes,
        window=opening.window,
        fingerprint=opening.fingerprint,
        refresh=opening.refresh,
        growing=growing,
    )


def files_like(project: Project, stream: str) -> Files:
    """How files of a stream are written that are none of its sources': as those of the first that has files are."""
    own = (project.sources[name] for name in project.streams[stream].from_)
    return next((s for s in own if isinstance(s, Files)), Files.model_validate({"type": "files", "path": "."}))


def forecast_of_files(source: FilesSource, known: Mapping[str, State]) -> Forecast:
    """What reading files would give."""
    plans = source.plan(known)
    return Forecast(files=plans, bytes=sum(p.size - p.offset for p in plans if p.action != "skip"))


def check_files(name: str, source: FilesSource) -> Iterator[Finding]:
    """Whether there are files and each can be opened."""
    plans = source.plan({})
    failures: list[PenstockError] = []
    for plan in plans:
        try:
            source.probe(plan)
        except SourceError as e:
            failures.append(e)
    if failures:
        yield failed(name, together(failures))
    else:
        size = sum(p.size for p in plans)
        yield Finding(name=name, ok=True, detail=f"{count(len(plans), 'file')}, {count(size, 'byte')}")
