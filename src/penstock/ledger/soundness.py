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
    """What is wrong with a stream's part of the ledger; None when nothing is. Cheap where no load was ever deleted."""
    query = destination.query
    known: set[str] = set()
    there: set[str] = set()
    for place, name in query(ledger_sql(f"columns_there_{destination.kind}"), [stream]).rows:
        (known if place == "ledger" else there).add(name)
    table = f"raw.{stream}"
    anew = f"penstock reset {shlex.quote(stream)} starts the stream anew from its sources"
    backup = "restore the schemas penstock and raw from one backup"
    if known and not there:
        what = f"table {table} is gone, and the ledger holds what landed in it"
    elif not known and "_pen_load" in there and any(not name.startswith(_OWN) for name in there):
        what = f"the ledger does not know the columns of {table}: penstock.columns was emptied"
    elif lost := sorted(known - there):
        what = f"table {table} lacks columns that the ledger knows: {', '.join(lost)}"
        backup = "put them back with alter table, or " + backup
    elif "_pen_load" in there and query(ledger_sql("loads_kept"), [stream]).rows[0][0]:
        rows, loads = query(ledger_sql("loads_lost", table=f"raw.{identifier(stream)}")).rows[0]
        if not rows:
            return None
        what = (
            f"{rows:,} rows of {table} are of {loads:,} loads that the ledger does not know: penstock.loads was"
            " emptied, in part or whole, and models would leave them out"
        )
    else:
        return None
    return Damage(stream=stream, what=what, fix=f"{backup}; or: {anew}")


def expect_sound(destination: Destination, streams: Iterable[str]) -> None:
    """Refuse to go on where what the ledger knows of a stream is not what its table holds.

    Raises:
        LandingBlocked: it is not, with what mends it.
    """
    for stream in streams:
        damage = damage_of(destination, stream)
        if damage is not None:
            raise LandingBlocked(damage.what, where=f"stream {stream}", fix=damage.fix)


def _tables() -> list[str]:
    return _CREATED.findall(ledger_sql("create"))
