"""Files in a table's folder that nothing names: of loads that were killed, and of snapshots that are gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pyarrow.fs import FileSelector, FileType
from pyiceberg.io.pyarrow import PyArrowFileIO

from penstock.destinations.spark.reachable import Reachable, digest, path_of, versions
from penstock.errors import DestinationError

if TYPE_CHECKING:
    from pyiceberg.table import Table

_FOLDERS = ("data", "metadata")
"""Where writers put files; what else is in a table's folder is somebody's own, such as another table."""


class Folder:
    """The files of a table's folder."""

    def __init__(self, table: Table) -> None:
        assert isinstance(table.io, PyArrowFileIO)
        scheme, netloc, path = PyArrowFileIO.parse_location(table.location())
        self._root = path.rstrip("/")
        self._store: Any = table.io.fs_by_scheme(scheme, netloc)

    def files(self) -> Iterator[Any]:
        """Each file, as the store lists it, folder by folder."""
        folders = [f"{self._root}/{name}" for name in _FOLDERS]
        while folders:
            for info in self._store.get_file_info(FileSelector(folders.pop(), allow_not_found=True)):
                if info.type == FileType.Directory:
                    folders.append(info.path)
                elif info.type == FileType.File:
                    yield info

    def size(self, location: str) -> int:
        """How many bytes a file has; 0 where it is gone."""
        return int(self._store.get_file_info(path_of(location)).size or 0)

    def remove(self, location: str) -> None:
        """Delete a file; nothing where it is gone."""
        self.remove_path(path_of(location))

    def remove_path(self, path: str) -> None:
        """The same, of a path as the store lists it."""
        try:
            self._store.delete_file(path)
        except FileNotFoundError:
            return


def orphans(table: Table, folder: Folder, before: datetime) -> list[Any]:
    """The files from before a moment that nothing of the table names.

    Raises:
        DestinationError: the folder does not list a file that the table names there, so that what is listed cannot be
            told from what is named.
    """
    named = Reachable(table, table.metadata.snapshots)
    others = {digest(path_of(location)) for location in versions(table)}
    unseen = set(named.digests)
    found = []
    for info in folder.files():
        key = digest(info.path)
        unseen.discard(key)
        if key not in named.digests and key not in others and info.mtime is not None and info.mtime < before:
            found.append(info)
    if unseen:
        raise DestinationError(
            f"{len(unseen):,} files that {'.'.join(table.name())} names are not in its folder: no file of it is taken"
            " for an orphan",
            where=table.location(),
            fix="see whether they are elsewhere, or gone: penstock query 'select count(*) from …'",
        )
    return found
