"""Looks after Iceberg tables, without Spark: small files, old snapshots, orphans.

Raw tables are changed under the lock of their stream, which landings wait for, and the tables of models under the claim
on building them; for moments only. What fails of one table leaves the others to be looked after.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyiceberg.exceptions import CommitFailedException, NoSuchTableError

from penstock.destinations.refusals import refusals
from penstock.destinations.spark.compacting import Compaction, groups
from penstock.destinations.spark.expiring import expire, old_snapshots, theirs_alone
from penstock.destinations.spark.known_models import KnownModels
from penstock.destinations.spark.orphans import Folder, orphans
from penstock.destinations.spark.tended import ModelTable, RawTable
from penstock.errors import DestinationError, PenstockError, UsageError
from penstock.faults import fault_point
from penstock.upkeep import TidiedTable

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

    from penstock.destinations.spark.tended import Tended, Wait, Warehouse
    from penstock.project.lakehouse import SparkTidy

TIDYING = "tidy"
"""The claim on it."""
_TRIES = 5


class Tidying:
    """One going-over of a warehouse's tables. ``wait`` is how it waits for models that are being built; once that says
    that nothing is waited for any longer, no other table is begun."""

    def __init__(self, warehouse: Warehouse, settings: SparkTidy, *, dry_run: bool, wait: Wait = time.sleep) -> None:
        self._warehouse = warehouse
        self._dry_run = dry_run
        self._wait = wait
        now = datetime.now(UTC)
        self._snapshots_before = now - settings.max_snapshot_age
        self._orphans_before = now - settings.orphan_age

    def run(self, streams: Sequence[str]) -> Iterator[TidiedTable]:
        """The raw tables of these streams; of all, and the tables of models, where none is named.

        Raises:
            DestinationError: the ledger is away. What one table alone is refused is told with that table.
            UsageError: a stream that is named has no table.
        """
        known = [str(name) for (name,) in self._warehouse.ledger.query(_STREAMS).rows]
        if unknown := [stream for stream in streams if stream not in known]:
            names = ", ".join(known) or "none yet"
            raise UsageError(
                f"nothing has landed in a stream {unknown[0]!r}", where=self._warehouse.shown, fix=f"there are: {names}"
            )
        tables: list[Tended] = [RawTable(self._warehouse, stream) for stream in streams or known]
        if not streams:
            models = KnownModels(self._warehouse.ledger)
            tables += [ModelTable(self._warehouse, name, models, self._wait) for name in models.names()]
        for table in tables:
            if self._wait(0.0):
                return
            done = None
            try:
                with refusals(self._warehouse), suppress(NoSuchTableError):
                    done = self._tidied(table)
            except PenstockError as e:
                self._warehouse.ledger.query("select 1")
                done = TidiedTable(table=".".join(table.name), error=e)
            if done is not None:
                yield done

    def _tidied(self, tended: Tended) -> TidiedTable:
        table = tended.load()
        folder = Folder(table)
        done = _with_files(TidiedTable(table=".".join(tended.name)), table)
        left = ""
        if self._dry_run:
            done = replace(done, rewritten=sum(map(len, groups(table))))
        else:
            compaction = Compaction(tended, folder)
            left = compaction.run()
            done = replace(done, rewritten=compaction.rewritten, left=(left,) if left else ())
        done = self._without_old(done, tended)
        table = tended.load()
        return self._without_orphans(_with_files(done, table, after=True), table, folder)

    def _without_old(self, done: TidiedTable, tended: Tended) -> TidiedTable:
        """Have old snapshots go, and then the files that were theirs alone."""
        for attempt in range(_TRIES):
            try:
                with tended.lock():
                    table = tended.load()
                    old = old_snapshots(table, self._snapshots_before, tended.needed(table))
                    if old and not self._dry_run:
                        expire(table, old)
                break
            except CommitFailedException:
                if attempt + 1 == _TRIES:
                    raise
        kept = len(table.metadata.snapshots) if self._dry_run else len(tended.load().metadata.snapshots)
        done = replace(
            done,
            snapshots_expired=len(old),
            snapshots_kept=kept - len(old) * self._dry_run,
        )
        return self._without_files_of(done, tended.load(), old) if old else done

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


_STREAMS = "select distinct stream from penstock.loads order by 1"


def _with_files(done: TidiedTable, table: Table, *, after: bool = False) -> TidiedTable:
    """With the files that the current snapshot names, as it counts them itself."""
    snapshot = table.current_snapshot()
    summary = {} if snapshot is None or snapshot.summary is None else snapshot.summary.additional_properties
    files, size = int(summary.get("total-data-files", 0)), int(summary.get("total-files-size", 0))
    if after:
        return replace(done, files_after=files, bytes_after=size)
    return replace(done, files_before=files, bytes_before=size)
