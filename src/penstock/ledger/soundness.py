"""Whether the ledger is whole: somebody may have emptied or dropped a table of it, or of ``raw``, by hand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.errors import LandingBlocked
from penstock.ledger import ledger_sql
from penstock.logs import get_log
from penstock.sql import identifier

if TYPE_CHECKING:
    from penstock.ports import Destination

_log = get_log("ledger")

_CREATED = re.compile(r"create table if not exists penstock\.(\w+)")
_LOST = {
    "loads": "what landed is known no longer",
    "streams": "the identities with which streams landed are known no longer",
    "positions": "sources are read from their beginning, which gives duplicates",
    "quarantine": "what was in quarantine is gone",
    "columns": "the columns of streams are known no longer",
    "runs": "what ran is known no longer, and every model is built once",
    "watermarks": "models take in again what they have taken in",
    "erasures": "who was erased is known no longer, and comes back when it is sent again",
}
"""What it means that a table is gone; those that came with later versions are not here."""
_OWN = "_pen_"

Columns = Iterable[tuple[str, str]]
"""Tables and columns, as ``ledger_columns_<kind>.sql`` gives them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """What is wrong with what the ledger knows of a stream, and what mends it."""

    stream: str
    what: str
    fix: str


def is_complete(present: Columns) -> bool:
    """Whether these are the tables of a whole ledger of this version."""
    columns = set(present)
    return ("watermarks", "removed_at") in columns and set(_tables()) <= {table for table, _ in columns}


def tell_lost(present: Columns) -> None:
    """Log which tables were gone of a ledger that had these before what is missing was made."""
    there = {table for table, _ in present}
    for table, meaning in _LOST.items():
        if there and table not in there:
            _log.warning(
                "a table of the ledger was gone, and is made anew, empty",
                table=f"penstock.{table}", meaning=meaning, fix="restore it from a backup if that matters",
            )  # fmt: skip


def missing_tables(destination: Destination) -> list[str]:
    """The tables that a ledger lacks; none where there is no ledger at all."""
    there = {table for table, _ in destination.query(ledger_sql(f"ledger_columns_{destination.kind}")).rows}
    return [f"penstock.{table}" for table in _tables() if there and table not in there]


def damage_of(destination: Destination, stream: str) -> Damage | None:
    """What is wrong with a stream's table or its part of the ledger; None when nothing is."""
    known, there = _columns(destination, stream)
    if known and not there:
        return _damage(stream, f"table raw.{stream} is gone, and the ledger has rows in it")
    if lost := sorted(known - there):
        return _damage(stream, f"table raw.{stream} lacks columns that the ledger has: {', '.join(lost)}")
    return _forgotten(destination, stream, known, there)


def expect_known(destination: Destination, stream: str) -> None:
    """Refuse to land where the ledger has forgotten what a stream's table holds. Cheap where no load was ever deleted.
    Whether the table is as it should be, the landing looks itself.

    Raises:
        LandingBlocked: it has, with what mends it.
    """
    _refuse(_forgotten(destination, stream, *_columns(destination, stream)))


def expect_sound(destination: Destination, streams: Iterable[str]) -> None:
    """Refuse to go on where what the ledger knows of a stream is not what its table holds.

    Raises:
        LandingBlocked: it is not, with what mends it.
    """
    for stream in streams:
        _refuse(damage_of(destination, stream))


def _refuse(damage: Damage | None) -> None:
    if damage is not None:
        raise LandingBlocked(damage.what, where=f"stream {damage.stream}", fix=damage.fix)


def _columns(destination: Destination, stream: str) -> tuple[set[str], set[str]]:
    """The columns that the ledger knows, and those that the table has."""
    known: set[str] = set()
    there: set[str] = set()
    for place, name in destination.query(ledger_sql(f"columns_there_{destination.kind}"), [stream]).rows:
        (known if place == "ledger" else there).add(name)
    return known, there


def _forgotten(destination: Destination, stream: str, known: set[str], there: set[str]) -> Damage | None:
    """What the ledger has forgotten of a table that is there."""
    if "_pen_load" not in there:
        return None
    if not known and any(not name.startswith(_OWN) for name in there):
        return _damage(stream, f"the ledger does not know the columns of raw.{stream}: penstock.columns was emptied")
    if not destination.query(ledger_sql("loads_kept"), [stream]).rows[0][0]:
        return None
    rows, loads = destination.query(ledger_sql("loads_lost", table=f"raw.{identifier(stream)}")).rows[0]
    if not rows:
        return None
    name = shlex.quote(stream)
    return Damage(
        stream=stream,
        fix=f"have the loads entered again, which deletes nothing: penstock reset {name} --keep-rows; or restore the"
        f" schemas penstock and raw from one backup; or start the stream anew from its sources: penstock reset {name}",
        what=f"{rows:,} rows of raw.{stream} are of {loads:,} loads that the ledger does not know: penstock.loads was"
        " emptied, in part or whole, and models would leave them out",
    )


def _damage(stream: str, what: str) -> Damage:
    anew = f"start the stream anew from its sources: penstock reset {shlex.quote(stream)}"
    return Damage(stream=stream, what=what, fix=f"restore the schemas penstock and raw from one backup; or {anew}")


def _tables() -> list[str]:
    return _CREATED.findall(ledger_sql("create"))
