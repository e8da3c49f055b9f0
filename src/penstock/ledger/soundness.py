"""Whether the ledger is whole: somebody may have emptied or dropped a table of it, or of ``raw``, by hand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penstock.errors import LandingBlocked
from penstock.ledger import ledger_sql
from penstock.logs import get_log
from penstock.plural import count
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
_ADDED = re.compile(r"alter table penstock\.(\w+) add column if not exists (\w+)")
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
    return columns >= set(_added()) and set(_tables()) <= {table for table, _ in columns}


def tell_lost(present: Columns) -> None:
    """Log which tables were gone of a ledger that had these before what is missing was made."""
    there = {table for table, _ in present}
    for table, meaning in _LOST.items():
        if there and table not in there:
            _log.warning(
                "a table of the ledger was gone, and is made anew, empty",
                table=f"penstock.{table}", meaning=meaning, fix="restore it from a backup if that matters",
            )  # fmt: skip


def missing_parts(destination: Destination) -> list[str]:
    """The tables and columns that a ledger lacks; none where there is no ledger at all."""
    columns = set(destination.ledger.tables())
    tables = {table for table, _ in columns}
    lacking = [f"penstock.{table}" for table in _tables() if table not in tables]
    lacking += [f"penstock.{t}.{c}" for t, c in _added() if t in tables and (t, c) not in columns]
    return lacking if columns else []


def damage_of(destination: Destination, stream: str) -> Damage | None:
    """What is wrong with a stream's table or its part of the ledger; None when nothing is. Looks at all its loads."""
    return _damage_of(destination, stream, whole=True)


def expect_known(destination: Destination, stream: str) -> None:
    """Refuse to go on where the stream's table is gone, or the ledger has forgotten what it holds. Cheap: of the loads
    it looks at the newest alone, as long as no others seem to be missing.

    Raises:
        LandingBlocked: so it is, with what mends it.
    """
    _refuse(_damage_of(destination, stream, whole=False))


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


def _rows(destination: Destination, sql: str, *parameters: str) -> Sequence[Sequence[Any]]:
    """The rows of a question about the ledger. A table or schema of it that is gone has to be put back."""
    try:
        return destination.query(sql, parameters).rows
    except LandingBlocked as e:
        fix = "put the ledger back as it was: restore the schemas penstock and raw from one backup"
        raise LandingBlocked(e.what, where=e.where, fix=e.fix or fix) from None


def _columns(destination: Destination, stream: str) -> tuple[set[str], set[str]]:
    """The columns that the ledger knows, and those that the table has."""
    known: set[str] = set()
    there: set[str] = set()
    for place, name in _rows(destination, ledger_sql(f"columns_there_{destination.kind}"), stream):
        (known if place == "ledger" else there).add(name)
    return known, there


def _damage_of(destination: Destination, stream: str, *, whole: bool) -> Damage | None:
    if not destination.ledger.beside:
        # no statement can ask of both; a landing begins by taking back what the ledger does not know
        return None
    known, there = _columns(destination, stream)
    if known and not there:
        return _damage(stream, f"table raw.{stream} is gone, and the ledger has rows in it")
    if lost := sorted(known - there):
        adds = ", ".join(f"add column {identifier(name)} TYPE" for name in lost)
        return _damage(
            stream,
            f"table raw.{stream} lacks columns that the ledger has: {', '.join(lost)}",
            f"put it back: alter table raw.{identifier(stream)} {adds}, with the type that penstock.columns has",
        )
    if "_pen_load" not in there:
        return None
    if not known and any(not name.startswith(_OWN) for name in there):
        return _damage(stream, f"the ledger does not know the columns of raw.{stream}: penstock.columns was emptied")
    return _forgotten(destination, stream, whole=whole)


def _forgotten(destination: Destination, stream: str, *, whole: bool) -> Damage | None:
    """Which loads the ledger has forgotten of a table that is there."""
    table = f"raw.{identifier(stream)}"

    def answers(name: str) -> tuple[Any, ...]:
        return tuple(_rows(destination, ledger_sql(name, table=table), stream)[0])

    lacks_newest, given_again = answers(f"newest_load_{destination.kind}")
    rows = loads = 0
    if lacks_newest or answers("loads_kept")[0] or (whole and answers(f"loads_unknown_{destination.kind}")[0]):
        rows, loads = answers("loads_lost")
    if rows:
        what = (
            f"{count(rows, 'row')} of raw.{stream} {'is' if rows == 1 else 'are'} of {count(loads, 'load')} that the"
            " ledger does not know: penstock.loads was emptied, in part or whole, or restored from an older backup,"
            " and models would leave them out"
        )
    elif given_again:
        what = "sequence penstock.load_ids was set back: it would give loads numbers that earlier loads have"
    else:
        return None
    name = shlex.quote(stream)
    return Damage(
        stream=stream,
        what=what,
        fix=f"have the loads entered again, which deletes nothing: penstock reset {name} --keep-rows; or restore the"
        f" schemas penstock and raw from one backup; or start the stream anew from its sources: penstock reset {name}",
    )


def _damage(stream: str, what: str, put_back: str = "put it back") -> Damage:
    anew = f"start the stream anew from its sources: penstock reset {shlex.quote(stream)}"
    return Damage(
        stream=stream, what=what, fix=f"{put_back}; or restore the schemas penstock and raw from one backup; or {anew}"
    )


def _tables() -> list[str]:
    return _CREATED.findall(ledger_sql("create"))


def _added() -> list[tuple[str, str]]:
    """Tables and the columns that came to them later."""
    return _ADDED.findall(ledger_sql("create"))
