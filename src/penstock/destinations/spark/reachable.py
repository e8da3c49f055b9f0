"""Which files a table's snapshots name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING

from pyiceberg.io.pyarrow import PyArrowFileIO

if TYPE_CHECKING:
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot


class Reachable:
    """The files that some snapshots of a table name, as 8 bytes of each path: two that agree in these are taken for
    one, so that a file may be thought to be named that is not, and never the other way around."""

    def __init__(self, table: Table, snapshots: Iterable[Snapshot]) -> None:
        self._manifests: set[str] = set()
        self.digests: set[bytes] = set()
        for location in _named(table, snapshots, self._manifests):
            self.digests.add(digest(path_of(location)))

    def others(self, table: Table, snapshots: Iterable[Snapshot]) -> Iterator[str]:
        """The files that these snapshots name, each once, and those of this do not."""
        seen: set[bytes] = set()
        for location in _named(table, snapshots, set(self._manifests)):
            key = digest(path_of(location))
            if key not in self.digests and key not in seen:
                seen.add(key)
                yield location


def digest(path: str) -> bytes:
    """What tells a path within a store from others."""
    return blake2b(path.encode(), digest_size=8).digest()


def path_of(location: str) -> str:
    """A file's path within its store, however its location is written."""
    return PyArrowFileIO.parse_location(location)[2]


def versions(table: Table) -> Iterator[str]:
    """The files of the table's metadata, the current version and those that are kept, and of its statistics."""
    metadata = table.metadata
    yield table.metadata_location
    yield from (entry.metadata_file for entry in metadata.metadata_log)
    yield from (file.statistics_path for file in (*metadata.statistics, *metadata.partition_statistics))


def _named(table: Table, snapshots: Iterable[Snapshot], manifests: set[str]) -> Iterator[str]:
    """What snapshots name; nothing of manifests that are known, which are added to."""
    for snapshot in snapshots:
        yield snapshot.manifest_list
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path not in manifests:
                manifests.add(manifest.manifest_path)
                yield manifest.manifest_path
                yield from _files(table, manifest)


def _files(table: Table, manifest: ManifestFile) -> Iterator[str]:
    for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
        yield entry.data_file.file_path
