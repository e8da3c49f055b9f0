"""What a warehouse of files does from time to time, so that these do not become ever more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from penstock.errors import PenstockError


@dataclass(frozen=True, slots=True, kw_only=True)
class TidiedTable:
    """What was done about one table, or would be.

    ``files_before`` and ``files_after`` are the files of its rows, and ``bytes_…`` their sizes. ``rewritten`` of them
    were small, and others stand in their place. ``snapshots_expired`` can no longer be read, and ``files_removed``
    were theirs alone; ``orphans_removed`` were nobody's. ``left`` says what could not be done, and why; ``error`` what
    failed, after which nothing more was done about the table.
    """

    table: str
    files_before: int = 0
    files_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    rewritten: int = 0
    snapshots_expired: int = 0
    snapshots_kept: int = 0
    files_removed: int = 0
    orphans_removed: int = 0
    bytes_removed: int = 0
    left: tuple[str, ...] = ()
    error: PenstockError | None = None

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(replace(self, error=None)), "error": None if self.error is None else self.error.what}


@runtime_checkable
class KeepsFiles(Protocol):
    """A warehouse whose tables are files and snapshots that somebody has to look after."""

    @property
    def snapshot_age(self) -> timedelta:
        """How old snapshots get before they are let go of, where nothing needs them any longer."""
        ...

    def tidy_tables(
        self, streams: Sequence[str], *, dry_run: bool = False, wait: Callable[[float], object] = time.sleep
    ) -> Iterator[TidiedTable]:
        """Look after the tables of these streams, and after those of models too where none is named, one after the
        other. With ``dry_run`` nothing is changed. ``wait`` waits so many seconds for others; once it says something
        that is true, no other table is begun.

        Raises ``DestinationError`` when the warehouse is away, and ``UsageError`` when a stream has no table.
        """
        ...
