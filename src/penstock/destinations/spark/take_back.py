"""What a load left in a catalog that is not the ledger's: its rows were committed, and the ledger does not know it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyiceberg.expressions import AlwaysTrue, GreaterThan

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

STAMP = "penstock.load"
"""The property of a snapshot that names the load that made it."""


def take_back(table: Table, newest: int) -> bool:
    """Have the table hold no more than loads up to ``newest`` left in it; whether there was more.

    The table goes back to the last snapshot before those loads. Where others have rewritten it meanwhile, as a
    compaction does, the rows go that bear such a load, and those that they took the place of come again with the
    records of their sources, as :class:`penstock.destinations.landing.WarehouseLanding` has it.
    """
    unknown: list[Snapshot] = []
    between: list[Snapshot] = []
    snapshot = table.current_snapshot()
    while snapshot is not None:
        load = _stamp(snapshot)
        if load is None:
            between.append(snapshot)
        elif int(load) > newest:
            unknown.extend([*between, snapshot])
            between = []
        else:
            break
        parent = snapshot.parent_snapshot_id
        snapshot = None if parent is None else table.snapshot_by_id(parent)
    if not unknown:
        return False
    oldest = unknown[-1].parent_snapshot_id
    stamped_alone = all(_stamp(snapshot) for snapshot in unknown)
    if not stamped_alone or (oldest is not None and table.snapshot_by_id(oldest) is None):
        table.delete(GreaterThan("_pen_load", newest))
    elif oldest is None:
        table.delete(AlwaysTrue())
    else:
        with table.manage_snapshots() as manage:
            manage.rollback_to_snapshot(oldest)
    return True


def _stamp(snapshot: Snapshot) -> str | None:
    """The load that made a snapshot."""
    return None if snapshot.summary is None else snapshot.summary.additional_properties.get(STAMP)
