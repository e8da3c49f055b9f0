"""What a warehouse of files does from time to time, so that these do not become ever more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class TidiedTable:
    """What was done about one table, or would be.

    ``files_before`` and ``files_after`` are the files of its rows, and ``bytes_…`` their sizes. ``rewritten`` of them
    were small, and others stand in their place. ``snapshots_expired`` can no longer be read, and ``files_removed``
    were theirs alone; ``orphans_removed`` were nobody's. ``left`` says what could not be done, and why.
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

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


@runtime_checkable
class KeepsFiles(Protocol):
    """A warehouse whose tables are files and snapshots that somebody has to look after."""

    @property
    def snapshot_age(self) -> timedelta:
        """How old snapshots get before they are let go of, where nothing needs them any longer."""
        ...

    def tidy_tables(self, streams: Sequence[str], *, dry_run: bool = False) -> Iterator[TidiedTable]:
        """Look after the tables of these streams, and after those of models too where none is named, one after the
        other. With ``dry_run`` nothing is changed.

        Raises ``DestinationError`` when the warehouse is away, and ``UsageError`` when a stream has no table.
        """
        ...
