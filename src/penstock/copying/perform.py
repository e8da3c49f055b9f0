"""A copy: what it needs, its steps, and how each is seen to have succeeded.

The rows that are there say how far an earlier call came. Raw tables are filled in the order of loads and identities, a
batch a transaction, so that the rest of one is what comes after its last row. A stream that is there in part, and turns
out to hold other rows than the source, because the source has gone on since, is copied anew. The tables of the ledger
are filled at once, each in one transaction. Nobody works with the target until all of it was read on both sides and
found equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from penstock.copying import record
from penstock.copying.content import Content, content_of
from penstock.copying.ends import End, end_of
from penstock.copying.parts import (
    COPIED,
    LEDGER,
    RAW,
    Part,
    RawPart,
    ledger_parts,
    ledger_tables,
    raw_parts,
    raw_tables,
    streams_of,
)
from penstock.copying.plain import after, gathered
from penstock.errors import DestinationError, PenstockError, UsageError
from penstock.faults import fault_point
from penstock.ledger.soundness import expect_sound
from penstock.plural import count
from penstock.sql import identifier

if TYPE_CHECKING:
    from penstock.project import Project

Progress = Callable[[str], object]
_ATTEMPTS = 3
"""So often is a table of the ledger copied whose rows change meanwhile: not all that writes to it lands."""
_SEQUENCES = ("load_ids", "run_ids")


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedTable:
    """One table of which both sides were read and found equal: its name, how many rows it has, how many of them this
    call copied, and the hash of all."""

    table: str
    rows: int
    copied: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A copy that is there and was verified. ``left`` says what was not copied, a sentence each; ``again``, that an
    earlier call had finished it."""

    source: str
    target: str
    raw: Sequence[CopiedTable]
    ledger: Sequence[CopiedTable]
    left: Sequence[str]
    again: bool

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def copy(source: Project, target: Project, progress: Progress = lambda _: None) -> Copied:
    """Copy what has landed in the destination of ``source`` to the destination of ``target``, the same project with
    another one; verify it, and say what it is. Called again after it was cut off, it goes on; nothing is there twice.

    Nothing lands in the source meanwhile: whoever would waits.

    Raises:
        UsageError: there is nothing to copy; both are the same warehouse; the target holds something else; a copy from
            another source into it is not finished; or a kind of destination cannot be copied from or to.
        LandingBlocked: the source's ledger does not fit its tables.
        RejectedRows: the target cannot hold a value.
        DestinationError: what the target holds in the end is not what the source holds.
    """
    from penstock.destinations import open_destination

    if source.destination.address == target.destination.address:
        raise UsageError(
            f"{source.target} and {target.target} are the same warehouse",
            where=source.destination.address,
            fix="name another destination of the project with --to",
        )
    if not source.destination.may_exist:
        raise UsageError("nothing has landed yet", where=source.destination.address, fix="penstock run")
    ends = end_of(open_destination(source.destination)), end_of(open_destination(target.destination))
    try:
        if not ends[0].source:
            raise UsageError(
                f"not yet: a copy from a destination of type {ends[0].destination.kind}",
                where=f"destination {source.target}",
                fix="load the other destination from the sources, or from the lake: penstock load --from-lake DIR",
            )
        return _Copying(source, target, *ends, progress).perform()
    finally:
        for end in ends:
            end.destination.close()


class _Copying:
    """One copy at work."""

    def __init__(self, source: Project, target: Project, from_: End, to: End, progress: Progress) -> None:
        self._projects = source, target
        self._from = from_
        self._to = to
        self._progress = progress

    def perform(self) -> Copied:
        source, target = self._from.destination, self._to.destination
        source.prepare()
        record.expect_copied(source, self._projects[0].target)
        target.prepare()
        with target.claim("penstock copy"), self._held() as streams:
            expect_sound(source, streams)
            begun = record.record_of(target)
            again = begun is not None and begun.finished_at is not None
            self._expect_room(begun)
            raw, ledger = raw_parts(source, self._projects[0]), ledger_parts(source)
            if again:
                tables = [self._seen(part) for part in (*raw, *ledger)]
            else:
                if begun is None:
                    record.begin(target, self._projects[0].target, self._projects[0].destination.address)
                fault_point("copy_begun")
                tables = self._copied(raw, ledger)
                self._advance_numbers()
                fault_point("copy_numbers")
                record.finish(target)
                fault_point("copy_finished")
            return Copied(
                source=self._projects[0].target,
                target=self._projects[1].target,
                raw=tables[: len(raw)],
                ledger=tables[len(raw) :],
                left=self._left(raw),
                again=again,
            )

    @contextmanager
    def _held(self) -> Iterator[list[str]]:
        """Nothing lands in the source meanwhile, in whatever stream; the streams that there are."""
        source = self._from.destination
        self._progress(f"waiting until nothing lands in {self._projects[0].target}")
        known = sorted({*streams_of(source), *self._projects[0].streams})
        with source.transaction(known):
            source.ledger.hold_numbers()
            yield streams_of(source)

    def _expect_room(self, begun: record.CopyRecord | None) -> None:
        """See that the target is empty, or holds what an earlier call copied from this source."""
        source, target = self._projects
        destination = self._to.destination
        if begun is not None:
            if begun.address != source.destination.address:
                finished = "made" if begun.finished_at else "begun"
                raise UsageError(
                    f"a copy into it was {finished} from another destination, {begun.source} ({begun.address})",
                    where=f"destination {target.target}",
                    fix=f"penstock copy --target {begun.source} --to {target.target}, or copy into an empty one",
                )
            return
        there = {f"penstock.{table}": f"penstock.{identifier(table)}" for table in ledger_tables()}
        ask = destination.ledger.query
        rows = {name: int(ask(f"select count(*) from {table}").rows[0][0]) for name, table in there.items()}
        held = [f"{name} ({count(number, 'row')})" for name, number in rows.items() if number]
        held = [f"raw.{name}" for name in raw_tables(destination)] + held
        if held:
            raise UsageError(
                f"it holds other data already: {', '.join(held)}",
                where=f"destination {target.target}, {target.destination.address}",
                fix="copy into an empty one; or drop its schemas raw and penstock, where nothing of it is needed",
            )

    def _copied(self, raw: Sequence[RawPart], ledger: Sequence[Part]) -> list[CopiedTable]:
        """Fill the target's tables."""
        for name in set(raw_tables(self._to.destination)) - {part.name for part in raw}:
            self._drop(name)  # its stream was reset since an earlier call
        return [*(self._stream(part) for part in raw), *(self._ledger_table(part) for part in ledger)]

    def _stream(self, part: RawPart) -> CopiedTable:
        """Copy what is missing of a stream's table; all of it, where what is there turns out to be another."""
        there, behind = self._there(part)
        copied = self._rest_of(part, there, behind)
        table = self._compared(part, copied)
        if table is None and there:
            self._drop(part.name)
            table = self._compared(part, self._rest_of(part))
        if table is None:
            raise self._differs(part)
        fault_point("copy_stream")
        return table

    def _rest_of(self, part: RawPart, there: int = 0, behind: str = "") -> int:
        """Copy the rows behind those that are there, which a condition tells; how many."""
        if part.name not in raw_tables(self._to.destination):
            self._to.raw.make(part)
            fault_point("copy_table_made")
        copied = 0
        for rows in gathered(self._from.raw.read(part, behind, "_pen_load, _pen_id")):
            self._to.raw.append(part, rows)
            copied += rows.num_rows
            self._progress(f"{part.name}: {there + copied:,} rows copied")
            fault_point("copy_batch")
        return copied

    def _there(self, part: RawPart) -> tuple[int, str]:
        """How many rows an earlier call copied, and the condition on those behind them. A table goes of which the
        source has other columns or fewer rows by now: the stream has grown since, or lost or replaced some."""
        destination, source = self._to.destination, self._from.destination
        if part.name not in raw_tables(destination):
            return 0, ""
        rows = 0
        if set(part.columns) <= set(destination.query(f"select * from {part.table} limit 0").columns):
            rows = int(destination.query(f"select count(*) from {part.table}").rows[0][0])
            if not rows:
                return 0, ""
            last = f"select _pen_load, _pen_id from {part.table} order by 1 desc, 2 desc limit 1"
            load, id_ = destination.query(last).rows[0]
            behind = after(int(load), str(id_))
            if source.query(f"select count(*) from {part.table} where not {behind}").rows[0][0] == rows:
                return rows, behind
        self._drop(part.name)
        return 0, ""

    def _drop(self, stream: str) -> None:
        cascade = " cascade" if self._to.destination.capabilities.holds_views else ""
        if self._to.destination.ledger.beside:
            self._to.destination.query(f"drop view if exists raw.{identifier(stream + '__delta')}{cascade}")
        self._to.destination.query(f"drop table if exists raw.{identifier(stream)}{cascade}")

    def _ledger_table(self, part: Part) -> CopiedTable:
        """Fill one of the ledger's tables."""
        for _ in range(_ATTEMPTS):
            self._progress(f"{LEDGER}.{part.name}")
            self._to.ledger.refill(part, gathered(self._from.ledger.read(part)))
            table = self._compared(part)
            if table is not None:
                fault_point("copy_ledger")
                return table
        raise self._differs(part)

    def _compared(self, part: Part, copied: int | None = None) -> CopiedTable | None:
        """The table, read on both sides; None where they differ."""
        here, there = self._content(part, self._from), self._content(part, self._to)
        if here != there:
            return None
        copied = here.rows if copied is None else copied
        return CopiedTable(table=f"{part.schema}.{part.name}", rows=here.rows, copied=copied, hash=here.hash)

    def _content(self, part: Part, end: End) -> Content:
        name = self._projects[end is self._to].target
        seen = 0

        def took(rows: int) -> None:
            nonlocal seen
            seen += rows
            self._progress(f"{part.name}: {seen:,} rows compared in {name}")

        tables = end.raw if part.schema == RAW else end.ledger
        return content_of(gathered(tables.read(part)), part.columns, took)

    def _differs(self, part: Part) -> PenstockError:
        source, target = self._projects
        return DestinationError(
            f"{part.schema}.{part.name} holds other rows in {target.target} than in {source.target}, although all were"
            " copied",
            where=f"destination {target.target}, {target.destination.address}",
            fix="see that nothing else writes there, and copy again",
        )

    def _seen(self, part: Part) -> CopiedTable:
        """A table of a copy that was finished, compared again."""
        source, target = self._projects
        there = part.schema == LEDGER or part.name in raw_tables(self._to.destination)
        table = self._compared(part, 0) if there else None
        if table is None:
            raise UsageError(
                f"the copy was finished, and one of the two has gone on since: {part.schema}.{part.name} differs",
                where=f"destination {target.target}",
                fix=f"penstock run --target {target.target} goes on there; to copy {source.target} anew, name an empty"
                " destination",
            )
        return table

    def _advance_numbers(self) -> None:
        """Have the target give loads and runs numbers that the source never gave."""
        source, target = self._from.destination.ledger, self._to.destination.ledger
        for name in _SEQUENCES:
            sql = f"select nextval('penstock.{name}')"
            behind = int(source.query(sql).rows[0][0]) - int(target.query(sql).rows[0][0])
            if behind > 0:
                skipped = f"select max(nextval('penstock.{name}')) from generate_series(1, cast($1 as bigint))"
                target.query(skipped, [behind])

    def _left(self, raw: Sequence[RawPart]) -> list[str]:
        """What was not copied, in words."""
        source = self._from.destination
        left = [
            f"column {name} of raw.{part.name}, which the ledger does not know" for part in raw for name in part.foreign
        ]
        others = set(raw_tables(source)) - {part.name for part in raw}
        left += [f"table raw.{name}, which no stream landed in" for name in sorted(others)]
        runs = int(source.ledger.query("select count(*) from penstock.runs").rows[0][0])
        runs -= int(source.ledger.query(f"select count(*) from penstock.runs where {COPIED['runs']}").rows[0][0])
        if runs:
            left.append(f"{count(runs, 'run')} that built models, which are built anew")
        return left
