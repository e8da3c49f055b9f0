"""Who holds the warehouse, in the words of a command: ``penstock up`` of the project can be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.errors import LockedError, PenstockError

if TYPE_CHECKING:
    from penstock.project import Project

_opened: list[Project] = []
"""The project that the command works on, once it is open."""


def works_on(project: Project) -> None:
    """Take note of the project."""
    _opened[:] = [project]


def explained(error: PenstockError) -> PenstockError:
    """The error; of a DuckDB file that the project's own ``penstock up`` holds, with what can be done beside it."""
    if not isinstance(error, LockedError) or error.pid is None or not _opened:
        return error
    from penstock.runs.schedules import plan_schedules
    from penstock.up.running_process import holder

    project = _opened[0]
    if error.where != project.destination.address:  # it is not the warehouse that is held
        return error
    running = holder(project)
    if running is None or running.pid != error.pid:
        return error
    if plan_schedules(project):
        ask = "have it load what is scheduled: penstock run --now"
    else:
        ask = "it lands what comes as it comes, and builds the models"
    return LockedError(
        f"the warehouse is held by process {running.pid}, penstock up of this project",
        where=error.where,
        fix=f"{ask}; penstock query, penstock status, penstock check, penstock runs and penstock quarantine list work"
        " beside it; for all else stop it with Ctrl-C or SIGTERM, and start it again afterwards",
        pid=running.pid,
    )
