"""The ports, and the values that travel between them, on one page.

    Source --Batch--> Shaper --Shaped--> Landing --Receipt--> the ledger

A new source or destination is one file that implements the protocol below, and one line in the contract
tests. Values are frozen; whoever holds a connection stays put.
"""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from penstock.spec import StreamSpec

if TYPE_CHECKING:
    import pyarrow as pa

    from penstock.errors import SourceError
    from penstock.schema import Schema

Reason = Literal[
    "invalid_json",
    "not_an_object",
    "missing_identity",
    "contract",
    "destination_rejected",
    "too_large",
    "identity_conflict",
]


CONFLICT = "a message with the same id and another body came before"
"""Why a record is an ``identity_conflict``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far one part of a source has been read.

    ``key`` names the part (a file's path); ``state`` is the source's own, JSON only, and is given back to
    the source unchanged when it resumes. Reading resumes *after* the last record the state covers.
    """

    source: str
    key: str
    state: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Rows of a batch, from ``start`` on, that came from one place.

    Row ``i`` has the origin ``f"{place}#{number + i - start}"``; without a number, just the place.
    """

    start: int
    place: str
    number: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A record that cannot land: its bytes as they came, why, and where it came from.

    ``headers`` are what a message carried beside its body. ``claim`` has the identity and the content's hash of a
    record that contradicts another one in its batch: the warehouse may know it for a duplicate. ``entry`` is the
    quarantine entry that it is already, when it was replayed.
    """

    body: bytes
    code: Reason
    reason: str
    origin: str
    headers: Mapping[str, Any] | None = None
    claim: tuple[bytes, bytes] | None = None
    entry: str | None = None


def no_headers(row: int) -> Mapping[str, Any] | None:
    """Records that are no messages have none."""
    del row
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Records that travel together, unparsed.

    ``bodies`` is a binary Arrow array, one record a row. ``untyped`` says that every value in them is text
    without a type (CSV). ``positions`` are the source's positions once this batch has landed, for the ledger to keep;
    ``acknowledgements`` are what the source gets back after the commit: its own affair, kept nowhere. ``read`` counts
    ``bodies`` and ``rejects`` together, ``bytes`` what was taken from the source. ``replays`` names, for each row,
    the quarantine entry it comes from, when it does. ``message_ids`` has each row's message id, null where it has
    none; it is None when no row has one. ``headers`` gives what came beside a row's body, ``came`` has the bodies of
    messages that came compressed or in an envelope, as they came, and ``parts`` which record of its message a row is,
    from 0, where it is not the first. An :attr:`empty` batch says that the source waits for more to come.
    """

    bodies: pa.BinaryArray
    segments: Sequence[Segment]
    positions: Sequence[Position] = ()
    acknowledgements: Sequence[Any] = ()
    rejects: Sequence[Reject] = ()
    untyped: bool = False
    bytes: int = 0
    replays: Sequence[str] = ()
    message_ids: pa.StringArray | None = None
    headers: Callable[[int], Mapping[str, Any] | None] = no_headers
    came: Mapping[int, builtins.bytes] = field(default_factory=dict)
    parts: Mapping[int, int] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to land."""
        return not (len(self.bodies) or self.rejects or self.positions or self.acknowledgements)

    def origin(self, row: int) -> str:
        """Where row ``row`` came from."""
        segment = next(s for s in reversed(self.segments) if s.start <= row)
        return segment.place if segment.number is None else f"{segment.place}#{segment.number + row - segment.start}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a batch brought that was wanted, unparsed: its records (those inside the window, duplicates too), and what
    its source could not read. ``untyped`` as in :class:`Batch`."""

    bodies: pa.BinaryArray
    rejects: Sequence[Reject]
    untyped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaped:
    """A batch as typed rows.

    ``rows`` has one column per schema column, then the record columns; each ``_pen_id`` once. ``duplicates``
    counts the records left out because the batch held them already. ``schema`` is the schema that the rows
    follow; it has grown when ``schema.version`` is above the destination's. ``refused`` gives a row's record as
    a reject, for a code and a reason. ``replayed`` are the quarantine entries that are settled
    once this lands. ``taken`` gives what the rows, rejects and duplicates were made from.
    """

    rows: pa.Table
    refused: Callable[[int, Reason, str], Reject]
    schema: Schema
    taken: Callable[[], Taken]
    rejects: Sequence[Reject]
    read: int
    duplicates: int
    bytes: int
    positions: Sequence[Position] = ()
    replayed: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What one load did, as the ledger has it: ``read = landed + duplicates + quarantined``.

    ``deleted`` rows were there before a refresh (``replace``) and are not in it.
    """

    load_id: int
    seq: int
    stream: str
    source: str
    read: int
    landed: int
    duplicates: int
    quarantined: int
    deleted: int
    bytes: int
    started_at: datetime
    committed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Half-open event-time window ``[start, end)``, naive UTC."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.start.isoformat()}/{self.end.isoformat()}"


class Source(Protocol):
    """Where records come from. Delivery: at least once; identity makes it once."""

    name: str
    failures: list[SourceError]
    """The parts (files, pages, objects) that :meth:`read` could not read, beside which it read the others. Their
    positions stay as they were, so that they are tried again. Emptied when :meth:`read` begins."""

    def read(self, known: Mapping[str, Mapping[str, Any]]) -> Iterator[Batch]:
        """Yield what is new after ``known`` (position key → state), in order.

        May block; a source without an end yields an empty batch from time to time while it waits. Called again, it
        starts over from ``known``, and what it gave before but was not acknowledged may come again. Raises
        :class:`penstock.errors.SourceError` when the source as a whole cannot be read, and adds to :attr:`failures` why
        a part of it cannot be read; whatever was yielded is sound in either case.
        """
        ...

    def acknowledge(self, acknowledgements: Sequence[Any], /) -> None:
        """Called once per commit, after it, with what the batches that it covers had for it, in their order.

        Forgetting it may cause a second delivery, never a loss."""
        ...


class Landing(Protocol):
    """One open destination transaction: rows, rejects, positions and the ledger entry, or nothing."""

    def write(self, shaped: Shaped) -> None:
        """Write a batch. Raises ``RejectedRows`` when the destination refuses what rows hold, of this batch or, unless
        the target is ``immediate``, of one before; and :class:`SchemaMoved` when another load has changed the schema
        meanwhile. The landing is then dead and must be rolled back."""
        ...

    def admitted(self, shaped: Shaped) -> Shaped:
        """The batch without the records of people who were erased, which :meth:`write` leaves out."""
        ...

    def keep(self, positions: Sequence[Position]) -> None:
        """Add positions to those of the batches that were written."""
        ...

    def commit(self) -> Receipt:
        """Commit all that was written. After it returns the rows are durable. Raises ``RejectedRows`` when the
        destination refuses rows that it had put off."""
        ...

    def rollback(self) -> None:
        """Undo all that was written. Harmless when nothing is open."""
        ...


class SchemaMoved(Exception):
    """The stream's schema in the ledger is newer than the one the batch was shaped with: shape again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a load lands into: a stream, from one of its sources. ``partial`` says that what lands is not all there is,
    so that replace deletes nothing; ``immediate`` that no row of a batch may be put off beyond its write, so
    that one which is refused is refused there."""

    spec: StreamSpec
    source: str
    partial: bool = False
    immediate: bool = False

    @property
    def stream(self) -> str:
        """The stream's name."""
        return self.spec.stream

    @property
    def whole(self) -> bool:
        """Whether what lands takes the place of all there was."""
        return self.spec.disposition == "replace" and not self.partial


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The answer to a query: column names, and rows of Python values in that order."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEntry:
    """What the ledger keeps of a stream: the identity and the disposition of its first landing, and the field whose
    versions its rows have the keys of."""

    identity: str
    disposition: str
    version: str | None


class Ledger(Protocol):
    """What is known of streams, loads and runs: the tables of schema ``penstock``.

    It may share the warehouse's connection, or be another database. A landing writes to it between :meth:`begin` and
    :meth:`commit`; where the ledger is :attr:`beside` the rows, these do nothing, since the rows' transaction is
    its own. Where it is apart, all that a landing writes is there at once after :meth:`commit`, or not at all.
    """

    kind: str
    """The engine that it is kept in."""
    types: Mapping[str, str]
    """That engine's names for ``text``, ``json`` and ``bytes``."""
    beside: bool
    """Whether it is in the database of the rows, in the same transaction, where views and models can read both."""

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run one statement on the ledger's tables. Parameters are ``$1``, ``$2``, …

        Raises ``DestinationError`` when the engine refuses it; inside a landing, the engine's own error.
        """
        ...

    def tables(self) -> list[tuple[str, str]]:
        """What is there of it: each table with each column."""
        ...

    def schema(self, stream: str) -> Schema:
        """The stream's columns; version 0 and empty when it never landed."""
        ...

    def positions(self, stream: str, source: str) -> dict[str, dict[str, Any]]:
        """Position key → state."""
        ...

    def erased(self) -> list[str]:
        """The pseudonyms of people who were erased."""
        ...

    def last_seq(self, stream: str) -> int:
        """The number of the stream's last load; 0 when there is none."""
        ...

    def newest_load(self, stream: str) -> int:
        """The greatest load id of the stream; 0 when there is none."""
        ...

    def next_load(self) -> int:
        """A load id that was never given, and never is again, whatever becomes of the load."""
        ...

    def begin(self) -> None:
        """Open a transaction."""
        ...

    def hold(self, stream: str) -> None:
        """Until the transaction ends, nobody else lands into the stream. Waits its turn."""
        ...

    def hold_numbers(self) -> None:
        """Until the transaction ends, nobody else is given a ``seq``. Waits its turn."""
        ...

    def enter_stream(self, target: Target) -> StreamEntry:
        """The stream's entry, made at its first landing.

        Raises ``UsageError`` when its identity or disposition is not that of the first landing.
        """
        ...

    def keep_version(self, stream: str, version: str | None) -> None:
        """Note the field whose versions the stream's rows have the keys of."""
        ...

    def keep_columns(self, stream: str, have: Schema, wanted: Schema) -> None:
        """Enter the columns by which ``wanted`` grows out of ``have``. Raises :class:`SchemaMoved` when it does not."""
        ...

    def quarantine(self, target: Target, rejects: Sequence[Reject], load_id: int) -> int:
        """Enter rejects, each once; how many are new."""
        ...

    def mark_replayed(self, entries: Sequence[str], load_id: int) -> None:
        """Settle quarantine entries."""
        ...

    def keep_positions(self, stream: str, positions: Iterable[Position], load_id: int, at: datetime) -> None:
        """Keep how far a source was read, by one load at one time."""
        ...

    def add_load(self, load: Receipt) -> int:
        """Enter a load; its ``seq``, which follows the order of commits. What the receipt has for one is not kept."""
        ...

    def commit(self) -> None:
        """End the transaction."""
        ...

    def rollback(self) -> None:
        """Undo the transaction. Harmless when none is open."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an engine can do, as data."""

    one_process: bool
    """One process at a time has the warehouse: others ask it, and having it is every claim."""
    has_roles: bool
    """It knows users and their rights, and keeps copies of what views read."""
    holds_views: bool
    """A table cannot be dropped without the views that read it."""
    served: bool
    """Tools on other machines can read it."""
    deletes_rows: bool
    """Statements here can delete rows of its tables, and nothing of them stays in its files when it is tidied."""
    json_member: str
    """SQL for a member of a JSON object, as text: a template of the object's ``column``, and of the member's quoted
    ``pointer`` and ``name``."""
    dialect: str
    """The SQL that its models are written in, as sqlglot names it."""
    writes_models: bool = True
    """Steps of models run by :meth:`Destination.writing`; elsewhere dbt takes every step."""
    tries_parts: bool = False
    """Its landings into an ``immediate`` target are each a :class:`penstock.land.refused.Trial`."""


class Destination(Protocol):
    """The warehouse. Not thread-safe: one thread at a time."""

    kind: str
    capabilities: Capabilities
    commit_bytes: int
    """How much one transaction should land when the project does not say."""

    @property
    def ledger(self) -> Ledger:
        """The ledger of what lands here, for all but landings."""
        ...

    def prepare(self) -> None:
        """Make schema ``penstock`` when it is missing. Harmless again."""
        ...

    def is_prepared(self) -> bool:
        """Whether the ledger is there. Changes nothing."""
        ...

    def check_rights(self) -> None:
        """Whether we may make what landing needs. Changes nothing.

        Raises ``DestinationError`` when not, naming what to grant.
        """
        ...

    def land(self, target: Target) -> Landing:
        """Open a landing. It waits for other landings into the same stream, where there can be any."""
        ...

    def query(self, sql: str, parameters: Sequence[Any] = (), *, read_only: bool = False) -> Rows:
        """Run one statement outside of landings, in a transaction of its own. Parameters are ``$1``, ``$2``, …

        With ``read_only`` that transaction can change nothing and is rolled back, and the text has to be exactly one
        statement, so that it cannot end the transaction and go on.

        Raises ``DestinationError`` when the warehouse refuses it.
        """
        ...

    def transaction(self, streams: Sequence[str] = ()) -> AbstractContextManager[None]:
        """One transaction for the queries inside, rolled back by whatever they raise. Nothing lands into ``streams``
        meanwhile."""
        ...

    def writing(self) -> AbstractContextManager[Callable[[str], int]]:
        """One transaction for what is given to the function inside, rolled back by whatever is raised; landings go on
        beside it. The function takes a text of one statement or several, without parameters, and gives how many rows
        the last of them gave or wrote.

        Raises ``DestinationError`` when the warehouse refuses one.
        """
        ...

    def claim(self, name: str, wait: Callable[[float], object] = time.sleep) -> AbstractContextManager[bool]:
        """Inside, no other process that shares the warehouse is inside for ``name``, on whatever machine; comes to its
        end with the process, however that ends. Waits its turn, by calling ``wait`` with seconds again and again; what
        that returns says whether to give up, and False is then given. Where one process at a time has the warehouse,
        having it is the claim."""
        ...

    def tidy(self, tables: Sequence[str], *, rewrite: bool = False) -> None:
        """Free the space of rows that were deleted from these tables, ``schema.table`` quoted; with ``rewrite``, leave
        nothing of them in the files either, which takes a copy."""
        ...

    def close(self) -> None:
        """Release connections and locks. Harmless again."""
        ...
