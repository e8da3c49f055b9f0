"""What a table holds and its ledger does not know: what a load left that ended between two commits, or more than that.

Every snapshot that a load made bears the load's number.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyiceberg.expressions import AlwaysTrue, EqualTo, GreaterThan

from penstock.errors import LandingBlocked

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

STAMP = "penstock.load"
"""The property of a snapshot that names the load that made it."""


def expect_entered(table: Table, newest: int, *, where: str) -> None:
    """See that the ledger has the load that wrote to the table last, where both are committed at once.

    Raises:
        LandingBlocked: it has not: it was emptied in part, or restored without the catalog beside it.
    """
    stamp = newest_stamp(table)
    if stamp is not None and stamp > newest:
        raise _forgotten(table, where)


def newest_stamp(table: Table) -> int | None:
    """The load that wrote to the table last; None when none is known that did."""
    snapshot = table.current_snapshot()
    while snapshot is not None and stamp_of(snapshot) is None:
        snapshot = _parent(table, snapshot)
    return None if snapshot is None else int(stamp_of(snapshot) or 0)


def take_back(table: Table, newest: int, is_known: Callable[[int], bool], *, where: str) -> bool:
    """Have the table hold no more than the ledger knows; whether there was more. ``newest`` is the ledger's newest load
    of the stream, ``is_known`` says whether it has one.

    The table goes back to the last snapshot before a load that the ledger does not know. Where others have rewritten it
    meanwhile, as a compaction does, or that snapshot is gone, the rows go that bear the load, and those that they took
    the place of come again with the records of their sources, as
    :class:`penstock.destinations.landing.WarehouseLanding` has it.

    Raises:
        LandingBlocked: there are several such loads. One that is cut off leaves one, so it is the ledger that has
            forgotten some.
    """
    unknown: list[Snapshot] = []
    between: list[Snapshot] = []
    snapshot = table.current_snapshot()
    while snapshot is not None:
        load = stamp_of(snapshot)
        if load is None:
            between.append(snapshot)
        elif is_known(int(load)):
            between = []
            break
        else:
            unknown.extend([*between, snapshot])
            between = []
        snapshot = _parent(table, snapshot)
    loads = {int(load) for load in map(stamp_of, unknown) if load is not None}
    if between:
        # the snapshots before these have expired; rows still bear the numbers of their loads
        loads |= _loads_after(table, newest)
    if not loads:
        return False
    if len(loads) > 1:
        raise _forgotten(table, where)
    if not unknown:
        table.delete(EqualTo("_pen_load", loads.pop()))
        return True
    oldest = unknown[-1].parent_snapshot_id
    stamped_alone = all(stamp_of(snapshot) for snapshot in unknown)
    if not stamped_alone or (oldest is not None and table.snapshot_by_id(oldest) is None):
        table.delete(EqualTo("_pen_load", loads.pop()))
    elif oldest is None:
        table.delete(AlwaysTrue())
    else:
        with table.manage_snapshots() as manage:
            manage.rollback_to_snapshot(oldest)
    return True


def _loads_after(table: Table, newest: int) -> set[int]:
    """The loads above ``newest`` that rows bear. Files of others are told by their statistics."""
    rows = table.scan(row_filter=GreaterThan("_pen_load", newest), selected_fields=("_pen_load",)).to_arrow()
    return set(rows.column("_pen_load").unique().to_pylist())


def stamp_of(snapshot: Snapshot) -> str | None:
    """The load that made a snapshot."""
    return None if snapshot.summary is None else snapshot.summary.additional_properties.get(STAMP)


def _parent(table: Table, snapshot: Snapshot) -> Snapshot | None:
    parent = snapshot.parent_snapshot_id
    return None if parent is None else table.snapshot_by_id(parent)


def _forgotten(table: Table, where: str) -> LandingBlocked:
    name = ".".join(table.name())
    return LandingBlocked(
        f"the ledger does not know loads that {name} holds rows of: penstock.loads was emptied, in part or whole, or"
        " restored from an older backup",
        where=where,
        fix="restore the ledger's database from a backup that is as new as the table; or start the stream anew from its"
        f" sources: penstock reset {shlex.quote(table.name()[-1])}",
    )
