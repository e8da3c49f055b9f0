"""What the ledger knows of models on Spark: which snapshot of its table a model's last step left, and which ones of
others it read.

A rewriting of files makes a snapshot in which no row is another. The next step goes on from it only where the ledger
knows it: it takes any other one for rows that somebody else wrote, and compares the whole table.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pyiceberg.table.snapshots import Operation

from penstock.destinations.spark.expiring import history

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.table import Table

    from penstock.ports import Ledger


class KnownModels:
    """The models that the ledger knows; asked anew with each call."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def names(self) -> list[tuple[str, ...]]:
        """The names of their tables."""
        return [tuple(model.split(".", 1)) for model in self._steps()]

    def snapshot(self, model: str) -> str:
        """The snapshot that the last step of a model left; empty when none is known."""
        return str(self._steps().get(model, {}).get("snapshot") or "")

    def needed(self) -> frozenset[int]:
        """The snapshots that next steps begin from: of their own tables, and of those that they read."""
        known = [id_ for step in self._steps().values() for id_ in (step.get("snapshot"), *_read(step).values())]
        return frozenset(int(id_) for id_ in known if id_)

    def moved(self, model: str, before: str, after: str) -> None:
        """Have the ledger know a rewriting of a model's table; those who had read up to the snapshot before it have
        read up to it. In a transaction of the caller's."""
        for name, step in self._steps().items():
            new = dict(step)
            if name == model and step.get("snapshot") == before:
                new["snapshot"] = after
            if _read(step).get(model) == before:
                new["read"] = {**_read(step), model: after}
            if new != step:
                self._ledger.query(
                    "update penstock_lake.models set step = $1 where model = $2", [json.dumps(new), name]
                )

    def lag(self, table: Table) -> bool:
        """Whether a table was rewritten since the snapshot that the ledger knows, and is the same in all else."""
        known, current = self.snapshot(".".join(table.name())), table.current_snapshot()
        if not known or current is None or known == str(current.snapshot_id):
            return False
        return _rewritten_since(table, known)

    def take_up(self, table: Table) -> bool:
        """Have the ledger know what has rewritten a table since the last step and was cut off before it could say so;
        whether the ledger now knows the table as it is. In a transaction of the caller's."""
        model = ".".join(table.name())
        known, current = self.snapshot(model), table.current_snapshot()
        if current is None or not self.lag(table):
            return current is not None and known == str(current.snapshot_id)
        self.moved(model, known, str(current.snapshot_id))
        return True

    def _steps(self) -> Mapping[str, dict[str, Any]]:
        if not self._ledger.query("select to_regclass('penstock_lake.models') is not null").rows[0][0]:
            return {}
        rows = self._ledger.query("select model, step from penstock_lake.models order by 1").rows
        return {str(model): json.loads(step) for model, step in rows}


def _read(step: Mapping[str, Any]) -> Mapping[str, str]:
    return step.get("read") or {}


def _rewritten_since(table: Table, known: str) -> bool:
    """Whether all snapshots after one are rewritings of files."""
    for snapshot in history(table):
        if str(snapshot.snapshot_id) == known:
            return True
        if snapshot.summary is None or snapshot.summary.operation != Operation.REPLACE:
            return False
    return False
