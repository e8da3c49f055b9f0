"""Leaves nothing of deleted rows in a table's folder: no older snapshot, no statistics of files that are gone, and no
file that nothing names.

It is done again whatever it was cut off at: what it begins with is the table as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import ManifestContent, ManifestEntry, ManifestEntryStatus, ManifestFile
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _FastAppendFiles

from penstock.destinations.spark.expiring import expire
from penstock.destinations.spark.orphans import Folder, orphans
from penstock.errors import DestinationError

if TYPE_CHECKING:
    from datetime import datetime

    from pyiceberg.table import Table

_TRIES = 5


def purge(
    load: Callable[[], Table],
    lock: Callable[[], AbstractContextManager[None]],
    before: datetime,
    properties: Callable[[Table], dict[str, str]],
) -> None:
    """Have a table keep its current rows alone. ``before`` is the moment up to which files that nothing names go.

    Raises:
        DestinationError: a tag or a branch names an older snapshot, or the folder does not list the table's files.
        CommitFailedException: others change the table again and again.
    """
    for attempt in range(_TRIES):
        try:
            with lock():
                _forget(load, properties)
            break
        except CommitFailedException:
            if attempt + 1 == _TRIES:
                raise
    with lock():
        table = load()
        folder = Folder(table)
        for info in orphans(table, folder, before):
            folder.remove_path(info.path)


def _forget(load: Callable[[], Table], properties: Callable[[Table], dict[str, str]]) -> None:
    """Have the metadata name one snapshot, whose manifests tell of the files that are there alone."""
    table = load()
    current = table.current_snapshot()
    if current is None:
        return
    named = [name for name, ref in table.metadata.refs.items() if ref.snapshot_id != current.snapshot_id]
    if named:
        raise DestinationError(
            f"{'.'.join(table.name())} has {', '.join(sorted(named))}, tags or branches whose snapshots keep deleted"
            " rows",
            where=table.location(),
            fix="drop them in Spark: alter table … drop tag …",
        )
    if any(manifest.deleted_files_count != 0 for manifest in current.manifests(table.io)):
        changes = table.transaction()
        _LiveFiles(
            operation=Operation.APPEND, transaction=changes, io=table.io, snapshot_properties=properties(table)
        ).commit()
        changes.commit_transaction()
        table = load()
    current = table.current_snapshot()
    old = [s for s in table.metadata.snapshots if current is None or s.snapshot_id != current.snapshot_id]
    if old:
        expire(table, old)


class _LiveFiles(_FastAppendFiles):
    """A snapshot of the same files, whose manifests say nothing of files that are gone: what these say of them holds
    values of their rows."""

    def _existing_manifests(self) -> list[ManifestFile]:
        snapshot = self._transaction.table_metadata.snapshot_by_name(self._target_branch or "main")
        manifests = [] if snapshot is None else snapshot.manifests(self._io)
        return [kept for manifest in manifests if (kept := self._live(manifest)) is not None]

    def _live(self, manifest: ManifestFile) -> ManifestFile | None:
        if manifest.deleted_files_count == 0 or manifest.content == ManifestContent.DELETES:
            return manifest
        entries = self.fetch_manifest_entry(manifest)
        if not entries:
            return None
        with self.new_manifest_writer(self.spec(manifest.partition_spec_id)) as writer:
            for entry in entries:
                kept = ManifestEntry.from_args(
                    status=ManifestEntryStatus.EXISTING,
                    snapshot_id=entry.snapshot_id,
                    sequence_number=entry.sequence_number,
                    file_sequence_number=entry.file_sequence_number,
                    data_file=entry.data_file,
                )
                writer.add_entry(kept)
        return writer.to_manifest_file()
