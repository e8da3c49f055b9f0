"""What the ledger says, as plain data."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from penstock.errors import DestinationError
from penstock.land.presence import missing_fields
from penstock.ledger.soundness import damage_of, missing_parts
from penstock.sql import statement

if TYPE_CHECKING:
    from penstock.ports import Destination
    from penstock.project import Project

_LAST_LOADS = 10


def read_status(project: Project) -> dict[str, Any]:
    """The ledger as plain data: ``damage``, where it does not fit the raw tables; ``streams``, ``loads``,
    ``quarantine``, ``models``, ``runs``, ``schedules``, ``alerts`` that are not over; the ``expectations``, judged now;
    the ``hosts`` of HTTP sources as they were last seen from this machine; and as ``warnings`` what looks like a
    mistake in the project file."""
    from penstock.alerts.expectations import judge
    from penstock.sources.http.standing import read_standing

    names = ("streams", "loads", "quarantine", "models", "runs", "schedules", "alerts")
    hosts = read_standing(project.directory, project.sources)
    destination = existing_destination(project)
    if destination is None:
        expected = [verdict.as_dict() for verdict in judge(project, None)]
        nothing: dict[str, list[Any]] = {name: [] for name in ("damage", *names, "warnings")}
        return {**nothing, "expectations": expected, "hosts": hosts}
    try:
        ledger = {
            name: _dicts(destination, statement("penstock.ledger", f"status_{name}.sql", last=str(_LAST_LOADS)))
            for name in names
        }
        damage = [asdict(d) for d in map(partial(damage_of, destination), project.streams) if d is not None]
        ledger["expectations"] = [verdict.as_dict() for verdict in judge(project, destination.query)]
        warnings = list(missing_fields(project, destination))
    finally:
        destination.close()
    now = datetime.now(UTC)
    for row in ledger["streams"]:
        row["lag_seconds"] = round((now - row["last_commit"]).total_seconds())
    return {"damage": damage, **ledger, "hosts": hosts, "warnings": warnings}


def existing_destination(project: Project) -> Destination | None:
    """The destination, unless nothing was ever landed in it."""
    from penstock.destinations import open_destination

    if not project.destination.may_exist:
        return None
    destination = open_destination(project.destination)
    try:
        if not destination.is_prepared():
            missing = missing_parts(destination)
            destination.close()
            if not missing:
                return None
            raise DestinationError(
                f"the ledger lacks {', '.join(missing)}: dropped by hand, or of an earlier version",
                where=project.target,
                fix="restore them from a backup if they were dropped; penstock load makes what is missing, empty",
            )
    except BaseException:
        destination.close()
        raise
    return destination


def _dicts(destination: Destination, sql: str) -> list[dict[str, Any]]:
    rows = destination.query(sql)
    return [dict(zip(rows.columns, row, strict=True)) for row in rows.rows]
