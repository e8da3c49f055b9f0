"""Snapshots that nobody needs any longer, and the files that are theirs alone.

The table's metadata lets go of a snapshot first, its files are removed afterwards: killed between the two, they are
orphans, which go when they are old enough.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from penstock.destinations.spark.catalogs import RAW
from penstock.destinations.spark.reachable import Reachable
from penstock.destinations.spark.take_back import STAMP, stamp_of

if TYPE_CHECKING:
    from datetime import datetime

    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot


def history(table: Table) -> Iterator[Snapshot]:
    """The current snapshot, the one before it, and so on, as far as they are kept."""
    snapshot = table.current_snapshot()
    while snapshot is not None:
        yield snapshot
        parent = snapshot.parent_snapshot_id
        snapshot = None if parent is None else table.snapshot_by_id(parent)


def needed_by_loads(table: Table, is_known: Callable[[int], bool]) -> set[int]:
    """The snapshots by which the next load tells whether the one before it came to its end: the newest of a load that
    the ledger knows, and all after it. Where none of those that are kept is known, all of them."""
    needed = set()
    for snapshot in history(table):
        needed.add(snapshot.snapshot_id)
        load = stamp_of(snapshot)
        if load is not None and is_known(int(load)):
            break
    return needed


def carried_stamp(table: Table, is_known: Callable[[str, int], bool]) -> dict[str, str]:
    """The stamp of a raw table's newest load, for a snapshot by which no later load has to look into those before it;
    none where that load is to be taken back."""
    load = next((load for snapshot in history(table) if (load := stamp_of(snapshot)) is not None), None)
    if load is None or table.name()[0] != RAW or not is_known(table.name()[-1], int(load)):
        return {}
    return {STAMP: load}


def needed_by_models(table: Table, known: Collection[int]) -> set[int]:
    """The snapshots between which steps of models ask what came and went: from the oldest that the ledger knows up to
    the current one, since a change log needs those between as well."""
    all_ = [snapshot.snapshot_id for snapshot in history(table)]
    oldest = max((i for i, id_ in enumerate(all_) if id_ in known), default=0)
    return {*known, *all_[: oldest + 1]}


def old_snapshots(table: Table, before: datetime, needed: Collection[int]) -> list[Snapshot]:
    """Those from before a moment, but for what is needed, tagged, or the newest of a branch."""
    kept = {*needed, *(ref.snapshot_id for ref in table.metadata.refs.values())}
    limit = before.timestamp() * 1000
    return [s for s in table.metadata.snapshots if s.timestamp_ms < limit and s.snapshot_id not in kept]


def expire(table: Table, snapshots: Collection[Snapshot]) -> None:
    """Have the table's metadata know these no longer."""
    table.maintenance.expire_snapshots().by_ids([snapshot.snapshot_id for snapshot in snapshots]).commit()


def theirs_alone(table: Table, snapshots: Collection[Snapshot]) -> list[str]:
    """The files that these snapshots name and no other one of the table does."""
    gone = {snapshot.snapshot_id for snapshot in snapshots}
    kept = [snapshot for snapshot in table.metadata.snapshots if snapshot.snapshot_id not in gone]
    return list(Reachable(table, kept).others(table, snapshots))
