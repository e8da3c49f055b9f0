"""Looks after Iceberg tables, without Spark: small files, old snapshots, orphans.

Raw tables are changed under the lock of their stream, which landings wait for, and for moments only; the tables of
models as Iceberg has it, where whoever comes second tries again. Small files of models stay, since a rewriting of them
would look to the next step like a change of all rows: their steps write anew what they touch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Protocol

from pyiceberg.exceptions import CommitFailedException, NoSuchTableError

from penstock.destinations.refusals import refusals
from penstock.destinations.spark.catalogs import RAW
from penstock.destinations.spark.compacting import Compaction, groups
from penstock.destinations.spark.expiring import (
    expire,
    needed_by_loads,
    needed_by_models,
    old_snapshots,
    theirs_alone,
)
from penstock.destinations.spark.orphans import Folder, orphans
from penstock.errors import DestinationError, UsageError
from penstock.faults import fault_point
from penstock.upkeep import TidiedTable

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

    from penstock.ports import Ledger
    from penstock.project.lakehouse import SparkTidy

TIDYING = "tidy"
"""The claim on it."""
_TRIES = 5


class Warehouse(Protocol):
    """The destination that is looked after."""

    shown: str

    @property
    def ledger(self) -> Ledger:
        """The ledger of what lands there."""
        ...

    @property
    def catalog(self) -> Catalog:
        """The catalog."""
        ...

    def refusal(self, error: Exception, *, rows: bool = False) -> DestinationError | None:
        """The drivers' errors as ours."""
        ...

    def transaction(self, streams: Sequence[str] = ()) -> AbstractContextManager[None]:
        """One transaction of the ledger, holding the locks of ``streams``."""
        ...

    def is_known(self, stream: str, load_id: int) -> bool:
        """Whether the ledger has a load of a stream."""
        ...


class Tidying:
    """One going-over of a warehouse's tables."""

    def __init__(self, warehouse: Warehouse, settings: SparkTidy, *, dry_run: bool) -> None:
        self._warehouse = warehouse
        self._dry_run = dry_run
        now = datetime.now(UTC)
        self._snapshots_before = now - settings.max_snapshot_age
        self._orphans_before = now - settings.orphan_age

    def run(self, streams: Sequence[str]) -> Iterator[TidiedTable]:
        """The raw tables of these streams; of all, and the tables of models, where none is named.

        Raises:
            UsageError: a stream that is named has no table.
        """
        known = [str(name) for (name,) in self._warehouse.ledger.query(_STREAMS).rows]
        if unknown := [stream for stream in streams if stream not in known]:
            names = ", ".join(known) or "none yet"
            raise UsageError(
                f"nothing has landed in a stream {unknown[0]!r}", where=self._warehouse.shown, fix=f"there are: {names}"
            )
        for stream in streams or known:
            yield from self._tidied(partial(self._raw, stream))
        if not streams:
            needed = self._known_to_models()
            for name in models_of(self._warehouse):
                yield from self._tidied(partial(self._model, name, needed))

    def _tidied(self, perform: Callable[[], TidiedTable]) -> Iterator[TidiedTable]:
        with refusals(self._warehouse):
            try:
                done = perform()
            except NoSuchTableError:
                return
        yield done

    def _raw(self, stream: str) -> TidiedTable:
        name = (RAW, stream)
        load = partial(self._warehouse.catalog.load_table, name)
        lock = partial(self._warehouse.transaction, [stream])
        is_known = partial(self._warehouse.is_known, stream)
        table = load()
        folder = Folder(table)
        done = _with_files(TidiedTable(table=".".join(name)), table)
        if self._dry_run:
            small = list(groups(table))
            done = replace(done, rewritten=sum(map(len, small)))
            left = ""
        else:
            compaction = Compaction(load, lock, is_known, folder)
            left = compaction.run()
            done = replace(done, rewritten=compaction.rewritten)
        done = self._without_old(done, load, lock, lambda table: needed_by_loads(table, is_known))
        done = _with_files(done, load(), after=True)
        return self._without_orphans(replace(done, left=(*done.left, *([left] if left else []))), load(), folder)

    def _model(self, name: tuple[str, ...], known: frozenset[int]) -> TidiedTable:
        load = partial(self._warehouse.catalog.load_table, name)
        table = load()
        done = _with_files(_with_files(TidiedTable(table=".".join(name)), table), table, after=True)
        done = self._without_old(done, load, self._warehouse.transaction, lambda table: needed_by_models(table, known))
        return self._without_orphans(done, load(), Folder(table))

    def _without_old(
        self,
        done: TidiedTable,
        load: Callable[[], Table],
        lock: Callable[[], AbstractContextManager[None]],
        needed: Callable[[Table], set[int]],
    ) -> TidiedTable:
        """Have old snapshots go, and then the files that were theirs alone."""
        for attempt in range(_TRIES):
            try:
                with lock():
                    table = load()
                    old = old_snapshots(table, self._snapshots_before, needed(table))
                    if old and not self._dry_run:
                        expire(table, old)
                break
            except CommitFailedException:
                if attempt + 1 == _TRIES:
                    raise
        kept = len(table.metadata.snapshots) if self._dry_run else len(load().metadata.snapshots)
        done = replace(
            done,
            snapshots_expired=len(old),
            snapshots_kept=kept - len(old) * self._dry_run,
        )
        return self._without_files_of(done, load(), old) if old else done

    def _without_files_of(self, done: TidiedTable, table: Table, old: Sequence[Snapshot]) -> TidiedTable:
        fault_point("snapshots_expired")
        folder = Folder(table)
        count = size = 0
        for location in theirs_alone(table, old):
            size += folder.size(location)
            count += 1
            if not self._dry_run:
                folder.remove(location)
        return replace(done, files_removed=count, bytes_removed=done.bytes_removed + size)

    def _without_orphans(self, done: TidiedTable, table: Table, folder: Folder) -> TidiedTable:
        try:
            found = orphans(table, folder, self._orphans_before)
        except DestinationError as e:
            return replace(done, left=(*done.left, e.what))
        size = 0
        for info in found:
            size += info.size
            if not self._dry_run:
                folder.remove_path(info.path)
        return replace(done, orphans_removed=len(found), bytes_removed=done.bytes_removed + size)

    def _known_to_models(self) -> frozenset[int]:
        """The snapshots that the next steps of models begin from: their own, and those of models that they read."""
        if not _has_models(self._warehouse):
            return frozenset()
        steps = [json.loads(step) for (step,) in self._warehouse.ledger.query(_STEPS).rows]
        known = [snapshot for step in steps for snapshot in (step.get("snapshot"), *(step.get("read") or {}).values())]
        return frozenset(int(snapshot) for snapshot in known if snapshot)


def models_of(warehouse: Warehouse) -> list[tuple[str, ...]]:
    """The tables of the models that the ledger knows."""
    if not _has_models(warehouse):
        return []
    rows = warehouse.ledger.query("select model from penstock_lake.models order by 1").rows
    return [tuple(str(model).split(".", 1)) for (model,) in rows]


def _has_models(warehouse: Warehouse) -> bool:
    return bool(warehouse.ledger.query("select to_regclass('penstock_lake.models') is not null").rows[0][0])


_STREAMS = "select distinct stream from penstock.loads order by 1"
_STEPS = "select step from penstock_lake.models"


def _with_files(done: TidiedTable, table: Table, *, after: bool = False) -> TidiedTable:
    """With the files that the current snapshot names, as it counts them itself."""
    snapshot = table.current_snapshot()
    summary = {} if snapshot is None or snapshot.summary is None else snapshot.summary.additional_properties
    files, size = int(summary.get("total-data-files", 0)), int(summary.get("total-files-size", 0))
    if after:
        return replace(done, files_after=files, bytes_after=size)
    return replace(done, files_before=files, bytes_before=size)
