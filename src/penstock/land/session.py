"""A project at work in this process: its destination open, its shapers warm."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from penstock.land.loop import Landed, Landings, Stop, into_warehouse, load
from penstock.land.presence import presence_of
from penstock.land.shapers import Shapers
from penstock.lineage import lineage_of
from penstock.logs import Commits, bound, described, get_log
from penstock.project.steps import LoadStep
from penstock.sources.kinds import kind_of, open_source

if TYPE_CHECKING:
    from penstock.ports import Batch, Destination, Receipt, Source, Window
    from penstock.project import Project

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
        self._shapers: dict[str, Shapers] = {}

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
        with lineage_of(self.project).load(step, lambda: destination.ledger.schema(step.stream)) as lineage:

            def took(receipt: Receipt) -> None:
                receipts.append(receipt)
                commits(receipt)
                lineage.committed(receipt)
                on_commit(receipt)

            landed = load(
                source or open_source(self.project, step),
                destination,
                self.shapers(step.stream),
                step.target(self.project),
                window=self._filter(step) if source is None else step.window,
                commit_bytes=self.project.load.commit_bytes,
                progress=progress,
                on_commit=took,
                stop=stop,
                landings=self.landings(step),
                presence=presence_of(self.project, step.stream, step.source),
            )
            lineage.stopped, lineage.error = landed.stopped, landed.failure
        commits.flush()
        landed.receipts = receipts
        return landed

    def _filter(self, step: LoadStep) -> Window | None:
        """The window that the stream's event time has to be in. A source that picks days gives no others."""
        settings = self.project.sources[step.source]
        return None if kind_of(settings).picks_days(settings, step.stream) else step.window

    def landings(self, step: LoadStep) -> Landings:
        """Opens the landings of a step: in the warehouse, and in the lake, too, where the stream lands there."""
        settings = self.project.lake
        if settings is None or not step.land:
            return into_warehouse
        from penstock.lake.lake_landing import into_lake
        from penstock.lake.lake_writer import LakeWriter

        writer = LakeWriter(
            settings.path,
            step.stream,
            settings.format,
            compression=settings.compression,
            warehouse=self.project.destination.address,
        )
        return partial(into_lake, writer)

    def shapers(self, stream: str) -> Shapers:
        """The stream's shapers, made at their first use."""
        if stream not in self._shapers:
            from penstock.shape.shaper import Shaper

            self._shapers[stream] = Shapers(partial(Shaper, self.project.spec(stream), threads=1))
        return self._shapers[stream]

    def release(self) -> None:
        """Let go of the destination, so that dbt can have it; the next load takes it again."""
        if self._destination is not None:
            self._destination.close()

    def close(self) -> None:
        """Let go of everything."""
        self.release()
        for shapers in self._shapers.values():
            shapers.close()
        self._shapers.clear()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
