"""A project at work in this process: its destination open, its shapers warm."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from penstock.extras import require
from penstock.land.loop import Landed, Stop, load
from penstock.land.presence import presence_of
from penstock.lineage import lineage_of
from penstock.logs import Commits, bound, described, get_log
from penstock.project.steps import LoadStep

if TYPE_CHECKING:
    from penstock.lake.writer import LakeWriter
    from penstock.ports import Batch, Destination, Receipt, Source, Window
    from penstock.project import Files, Http, Lake, Project, RabbitMQ
    from penstock.shape.rules import Rules
    from penstock.shape.shaper import Shaper
    from penstock.sources.files.source import FilesSource
    from penstock.sources.http.source import HttpSource
    from penstock.sources.rabbitmq.queued import QueueSource

_log = get_log("load")


class Session:
    """Performs load steps. Keep one open to load again and again: the second load starts at once.

    Not thread-safe. Use it as a context manager, or call :meth:`close`.

    Args:
        destination: where to land, in place of the project's own; closed with the session, and opened again by its
            next use.
    """

    def __init__(self, project: Project, *, destination: Destination | None = None) -> None:
        self.project = project
        self._given = destination
        self._destination: Destination | None = None
        self._shapers: dict[str, Shaper] = {}

    @property
    def destination(self) -> Destination:
        """The open destination, its ledger in place."""
        if self._destination is None:
            from penstock.destinations import open_destination

            destination = self._given or open_destination(self.project.destination)
            destination.prepare()
            self._destination = destination
        return self._destination

    def load(
        self,
        step: LoadStep,
        *,
        progress: Callable[[Batch], None] = lambda _: None,
        on_commit: Callable[[Receipt], None] = lambda _: None,
        stop: Stop | None = None,
        source: Source | None = None,
    ) -> Landed:
        """Perform one step, from ``source`` when one is given; see :func:`penstock.land.loop.load` for what it
        promises and raises."""
        with bound(stream=step.stream, source=step.source):
            started = time.monotonic()
            _log.info("load started", window=None if step.window is None else str(step.window))
            try:
                landed = self._load(step, progress, on_commit, stop, source)
            except BaseException as e:
                _log.info("load failed", **described(e))
                raise
            for failure in landed.failures:
                _log.info("could not be read", **described(failure))
            counts = {name: landed.total(name) for name in ("read", "landed", "duplicates", "quarantined")}
            seconds = round(time.monotonic() - started, 3)
            ended = "load stopped" if landed.stopped else "load failed" if landed.failures else "load ended"
            _log.info(ended, **counts, failures=len(landed.failures), seconds=seconds)
        return landed

    def _load(
        self,
        step: LoadStep,
        progress: Callable[[Batch], None],
        on_commit: Callable[[Receipt], None],
        stop: Stop | None,
        source: Source | None,
    ) -> Landed:
        receipts: list[Receipt] = []
        commits = Commits(_log)
        destination = self.destination
        with lineage_of(self.project).load(step, lambda: destination.schema(step.stream)) as told:

            def took(receipt: Receipt) -> None:
                receipts.append(receipt)
                commits(receipt)
                told.committed(receipt)
                on_commit(receipt)

            landed = load(
                source or self.source(step),
                destination,
                self.shaper(step.stream),
                step.target(self.project),
                window=self._filter(step) if source is None else step.window,
                commit_bytes=self.project.load.commit_bytes,
                progress=progress,
                on_commit=took,
                stop=stop,
                lake=self.lake(step),
                presence=presence_of(self.project, step.stream, step.source),
            )
            told.stopped, told.error = landed.stopped, landed.failure
        commits.flush()
        landed.receipts = receipts
        return landed

    def _filter(self, step: LoadStep) -> Window | None:
        """The window that the stream's event time has to be in. An API that is asked window by window picks itself."""
        settings = self.project.sources[step.source]
        asked = settings.type == "http" and settings.endpoints[step.stream].windows is not None
        return None if asked else step.window

    def source(self, step: LoadStep) -> Source:
        """The source of a step, ready to read. A queue is consumed: :meth:`queue` says until when."""
        settings = self.project.sources[step.source]
        if settings.type == "http":
            return self.http(step, settings)
        return self.queue(step, settings) if settings.type == "rabbitmq" else self.files(step, settings)

    def lake(self, step: LoadStep) -> LakeWriter | None:
        """Where a step lands what it fetches, beside the warehouse; None when it does not."""
        settings = self.project.lake
        if settings is None or not step.land:
            return None
        from penstock.lake.writer import LakeWriter

        return LakeWriter(
            settings.path,
            step.stream,
            settings.format,
            compression=settings.compression,
            warehouse=self.project.destination.address,
        )

    def files(
        self, step: LoadStep, settings: Files | Lake, *, refresh: bool | None = None, growing: bool = False
    ) -> FilesSource:
        """The source of a step that reads files, or the lake; all of them anew as the stream's disposition asks for, or
        as said."""
        replaced = self.project.streams[step.stream].disposition == "replace" if refresh is None else refresh
        if settings.type == "lake":
            from penstock.sources.lake.source import LakeSource

            return LakeSource(
                step.stream,
                folder=settings.path,
                batch_bytes=self.project.load.batch_bytes,
                window=step.window,
                fingerprint=step.fingerprint,
                refresh=replaced,
            )
        from penstock.records.opening import CsvDialect
        from penstock.sources.files.source import FilesSource

        csv = settings.csv
        return FilesSource(
            step.source,
            settings.path,
            root=self.project.directory,
            format=settings.format,
            compression=settings.compression,
            dialect=CsvDialect(
                delimiter=csv.delimiter, quote=csv.quote, header=csv.header, null_values=tuple(csv.null_values)
            ),
            batch_bytes=self.project.load.batch_bytes,
            window=step.window,
            fingerprint=step.fingerprint,
            refresh=replaced,
            growing=growing,
        )

    def http(self, step: LoadStep, settings: Http) -> HttpSource:
        """The source of a step that reads an endpoint of an API."""
        require("http")
        from penstock.sources.http.source import HttpSource
        from penstock.sources.http.standing import keep_standing

        return HttpSource(
            step.source,
            settings,
            step.stream,
            batch_bytes=self.project.load.batch_bytes,
            window=step.window,
            fingerprint=step.fingerprint,
            refresh=self.project.streams[step.stream].disposition == "replace",
            lookback=step.lookback,
            identity=self.project.streams[step.stream].identity.fields,
            standing=keep_standing(self.project.directory, step.source),
        )

    def queue(
        self,
        step: LoadStep,
        settings: RabbitMQ,
        *,
        until_empty: bool = False,
        max_messages: int | None = None,
        max_seconds: float | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> QueueSource[Any]:
        """The source of a step that consumes a queue: until stopped, unless a limit is given. Close it after use."""
        require("rabbitmq")
        kind: type[QueueSource[Any]]
        if settings.protocol == "stream":
            from penstock.sources.rabbitmq.stream_source import StreamProtocolSource as kind
        else:
            from penstock.sources.rabbitmq.source import RabbitMQSource as kind

        stream = self.project.streams[step.stream]
        return kind(
            step.source,
            settings,
            message_ids=stream.identity.kind == "message",
            max_record_bytes=stream.max_record_bytes,
            until_empty=until_empty,
            max_messages=max_messages,
            max_seconds=max_seconds,
            stop=stop,
        )

    def shaper(self, stream: str) -> Shaper:
        """The stream's shaper, made at its first use."""
        if stream not in self._shapers:
            from penstock.shape.shaper import Shaper

            self._shapers[stream] = Shaper(self.rules(stream))
        return self._shapers[stream]

    def rules(self, stream: str) -> Rules:
        """What the project file says about the stream's records."""
        from penstock.shape.rules import Rules

        settings = self.project.streams[stream]
        return Rules(
            stream=stream,
            identity=tuple(map(settings.field, settings.identity.fields)),
            declared=tuple((settings.field(f), type_) for f, type_ in settings.columns.items()),
            event_time=settings.event_time and settings.field(settings.event_time),
            version=settings.version and settings.field(settings.version),
            content=settings.disposition != "append" or settings.identity.kind == "message",
            message=settings.identity.kind == "message",
            columns=settings.contract.columns,
            types=settings.contract.types,
            max_record_bytes=settings.max_record_bytes,
            pii=tuple(map(settings.field, settings.pii or ())),
            keys=self.project.privacy.needed_keys(f"stream {stream} has pii:") if settings.pii else None,
            layout=settings.layout,
            raw_json=settings.raw_json,
        )

    def release(self) -> None:
        """Let go of the destination, so that dbt can have it; the next load takes it again."""
        if self._destination is not None:
            self._destination.close()

    def close(self) -> None:
        """Let go of everything."""
        self.release()
        for shaper in self._shapers.values():
            shaper.close()
        self._shapers.clear()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
