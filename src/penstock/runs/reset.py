"""Starts a stream anew: what has landed of it is deleted, and its sources are read from their beginning again.

Its loads stay in the ledger, as they did happen, and so do erasures: who was erased stays out. A reset is a load that
read nothing and deleted rows, by which the next build after the stream has landed again knows that the models which
read it are to be built anew.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from penstock.copying.record import expect_copied
from penstock.errors import PenstockError, UsageError
from penstock.ledger import ledger_sql
from penstock.ledger.soundness import expect_sound
from penstock.ports import Receipt
from penstock.privacy.personal_columns import open_dbt
from penstock.sources.kinds import kind_of
from penstock.sql import identifier, literal, statements

if TYPE_CHECKING:
    from penstock.land.session import Session
    from penstock.ports import Destination
    from penstock.transform.manifest import Relation

SOURCE = "reset"
"""What stands in the ledger where a load has its source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """What a reset deletes, or has deleted.

    ``views`` are those of models that go with the table, and are made again with the models; ``models`` are built anew
    once the stream has landed; ``snapshots`` keep what they hold. ``queues`` do not give again what they gave; ``lake``
    says that the records are in the lake still.
    """

    stream: str
    rows: int
    positions: int
    quarantined: int
    columns: int
    views: Sequence[str]
    models: Sequence[str]
    snapshots: Sequence[str]
    queues: Sequence[str]
    lake: bool

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def look(session: Session, stream: str) -> Reset:
    """What a reset of the stream would delete.

    Raises:
        UsageError: a copy into the warehouse is not finished; nothing is known of the stream; or a view reads its table
            that no model makes, so that it would be lost.
    """
    destination, project = session.destination, session.project
    expect_copied(destination, project.target)
    positions, quarantined, columns, landed = destination.ledger.query(ledger_sql("reset_known"), [stream]).rows[0]
    rows = _rows(destination, stream)
    if not (positions or quarantined or columns or landed) and rows is None:
        known = [name for (name,) in destination.ledger.query("select stream from penstock.streams order by 1").rows]
        raise UsageError(
            f"nothing has landed in a stream {stream!r}",
            where=project.target,
            fix=f"name one that has: {', '.join(known)}" if known else "penstock run",
        )
    relations = _relations(session, stream)
    settings = project.streams.get(stream)
    sources = [s for s in (settings.from_ if settings else ()) if not kind_of(project.sources[s]).repeats]
    return Reset(
        stream=stream,
        rows=rows or 0,
        positions=positions,
        quarantined=quarantined,
        columns=columns,
        views=_views(destination, stream, relations),
        models=sorted(_name(r) for r in relations if r.kind not in ("snapshot", "seed", "test")),
        snapshots=sorted(_name(r) for r in relations if r.kind == "snapshot"),
        queues=sources,
        lake=project.lake is not None and settings is not None and settings.land,
    )


def reset(session: Session, stream: str) -> Reset:
    """Delete what has landed of the stream, in one transaction; returns what that was.

    Raises:
        UsageError: as :func:`look`.
        DestinationError: the warehouse refused; nothing was deleted.
    """
    destination = session.destination
    _settle_lake(session, stream)
    with destination.transaction([stream]):
        done = look(session, stream)
        cascade = " cascade" if destination.capabilities.holds_views else ""
        destination.query(f"drop view if exists raw.{identifier(stream + '__delta')}{cascade}")
        destination.query(f"drop table if exists raw.{identifier(stream)}{cascade}")
        for sql in statements("penstock.ledger", "reset_stream.sql", stream=literal(stream)):
            destination.ledger.query(sql)
        destination.ledger.hold_numbers()
        load_id, _ = _next_load_id(destination)
        now = datetime.now(UTC)
        entry = Receipt(
            load_id=load_id, seq=0, stream=stream, source=SOURCE, read=0, landed=0, duplicates=0, quarantined=0,
            deleted=done.rows, bytes=0, started_at=now, committed_at=now,
        )  # fmt: skip
        destination.ledger.add_load(entry)
    return done


def enter_lost(session: Session, stream: str) -> int:
    """Enter into the ledger the loads of which the stream's table has rows and which the ledger has lost, and delete
    nothing; how many these are. Models take their rows in anew. Rows whose load's number was given to another stream
    meanwhile get a new one, and numbers that any table has are not given again.

    Raises:
        UsageError: the ledger has lost none.
        DestinationError: the warehouse refused, or the ledger has lost more than that.
    """
    destination = session.destination
    table = f"raw.{identifier(stream)}"
    with destination.transaction([stream]):
        if _rows(destination, stream) is None:
            raise _lost_none(stream)
        lost = int(destination.query(ledger_sql("loads_lost", table=table), [stream]).rows[0][1])
        destination.ledger.hold_numbers()
        load_id, was_behind = _next_load_id(destination)
        if not lost and not was_behind:
            raise _lost_none(stream)
        for (taken,) in destination.query(ledger_sql("loads_of_others", table=table), [stream]).rows:
            destination.query(f"update {table} set _pen_load = $1 where _pen_load = $2", [load_id, taken])
            load_id, _ = _next_load_id(destination)
        destination.query(ledger_sql("enter_lost", stream=literal(stream), source=literal(SOURCE), table=table))
        expect_sound(destination, [stream])
    return lost


def _lost_none(stream: str) -> UsageError:
    return UsageError(f"the ledger has lost no load of {stream}", fix=f"penstock reset {shlex.quote(stream)}")


def _next_load_id(destination: Destination) -> tuple[int, bool]:
    """A number that neither a load nor a row of any raw table has, and whether the sequence was behind those: it is
    when it was restored from an older backup than the tables."""
    tables = destination.query(ledger_sql("raw_tables")).rows
    numbers = ["select max(load_id) from penstock.loads"]
    numbers += [f"select max(_pen_load) from raw.{identifier(name)}" for (name,) in tables]
    newest = max(number or 0 for (number,) in destination.query(" union all ".join(numbers)).rows)
    load_id = destination.ledger.next_load()
    behind = newest - load_id
    if behind < 0:
        return load_id, False
    skipped = "select max(nextval('penstock.load_ids')) from generate_series(1, $1::bigint)"
    return int(destination.ledger.query(skipped, [behind + 1]).rows[0][0]), True


def _settle_lake(session: Session, stream: str) -> None:
    """Complete or remove what killed loads left of the lake's files, while the ledger knows which it is."""
    project = session.project
    if project.lake is not None and stream in project.streams:
        from penstock.lake.unfinished import settle

        warehouse = project.destination.address
        settle(project.lake.path, stream, warehouse=warehouse, positions=session.destination.ledger.positions)


def _rows(destination: Destination, stream: str) -> int | None:
    """How many rows the stream's table has; None when there is none."""
    there = destination.query(
        "select count(*) from information_schema.tables"
        " where table_schema = 'raw' and table_name = $1 and table_type = 'BASE TABLE'",
        [stream],
    ).rows
    if there == [(0,)]:
        return None
    return int(destination.query(f"select count(*) from raw.{identifier(stream)}").rows[0][0])


def _relations(session: Session, stream: str) -> list[Relation]:
    """The models that read the stream; none where dbt cannot read the project, which a reset must not wait for."""
    try:
        dbt = open_dbt(session.project)
        return [] if dbt is None else [r for r in dbt.manifest.relations() if stream in r.streams]
    except PenstockError:
        return []


def _views(destination: Destination, stream: str, relations: Sequence[Relation]) -> list[str]:
    """The views that go with the stream's table. DuckDB's stay, and fail until the table is there again."""
    if not destination.capabilities.holds_views:
        return []
    readers = destination.query(ledger_sql("readers_postgres"), [f"raw.{identifier(stream)}"]).rows
    made = {(r.schema, r.table) for r in relations} | {("raw", f"{stream}__delta")}
    for schema, view in readers:
        if (schema, view) not in made:
            raise UsageError(
                f"view {schema}.{view} reads raw.{stream}, and no model makes it: it would be lost with the table",
                where=destination.kind,
                fix=f"keep its text (\\d+ {schema}.{view} in psql), drop it, and make it again after the next load",
            )
    return [f"{schema}.{view}" for schema, view in readers if schema != "raw"]


def _name(relation: Relation) -> str:
    return f"{relation.schema}.{relation.table}"
