"""What a destination remembers of the copy that was made into it, and that nobody works with half of one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from penstock.errors import DestinationError, LockedError, UsageError

if TYPE_CHECKING:
    from penstock.ports import Destination
    from penstock.project import Project

TABLE = "copies"
_CREATE = """create table if not exists penstock.copies (
  source text primary key,
  address text not null,
  begun_at timestamp with time zone not null,
  finished_at timestamp with time zone
)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRecord:
    """The copy into a destination: the source's name in the project and its address, and when it was begun and
    verified; None while it is not."""

    source: str
    address: str
    begun_at: datetime
    finished_at: datetime | None


def record_of(destination: Destination) -> CopyRecord | None:
    """The copy that was made into a destination, or begun; None where there was none."""
    there = destination.ledger.query(
        "select count(*) from information_schema.tables where table_schema = 'penstock' and table_name = $1", [TABLE]
    ).rows[0][0]
    if not there:
        return None
    rows = destination.ledger.query("select source, address, begun_at, finished_at from penstock.copies").rows
    if not rows:
        return None
    source, address, begun_at, finished_at = rows[0]
    return CopyRecord(source=source, address=address, begun_at=begun_at, finished_at=finished_at)


def begin(destination: Destination, source: str, address: str) -> None:
    """Note that a copy has begun: until :func:`finish`, nobody works with what is there."""
    with destination.transaction():
        destination.ledger.query(_CREATE)
        destination.ledger.query(
            "insert into penstock.copies (source, address, begun_at) values ($1, $2, $3)",
            [source, address, datetime.now(UTC)],
        )


def finish(destination: Destination) -> None:
    """Note that all is there, and was seen to be."""
    destination.ledger.query("update penstock.copies set finished_at = $1", [datetime.now(UTC)])


def expect_copied(destination: Destination, target: str) -> None:
    """Refuse to work with a destination, called ``target``, that holds half of a copy.

    Raises:
        UsageError: so it does.
    """
    record = record_of(destination)
    if record is not None and record.finished_at is None:
        raise UsageError(
            f"the copy from {record.source} that was begun {record.begun_at:%Y-%m-%d %H:%M} UTC is not finished: rows,"
            " positions and quarantine are there in part",
            where=f"destination {target}",
            fix=f"penstock copy --target {record.source} --to {target} goes on where it ended",
        )


def expect_project_copied(project: Project) -> None:
    """The same of the project's destination, which is opened for it, and let go of. One that is away or held says
    nothing here: whoever is to land into it is told, or waits.

    Raises:
        UsageError: as :func:`expect_copied`.
    """
    from penstock.destinations.kinds import kind_of

    settings = project.destination
    if not settings.may_exist:
        return
    kind = kind_of(settings)
    destination = kind.open(kind.unwaiting(settings))
    try:
        with suppress(DestinationError, LockedError):
            expect_copied(destination, project.target)
    finally:
        destination.close()
