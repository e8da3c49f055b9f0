"""The ledger in a database that speaks SQL, over whatever runs its statements."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from penstock.errors import PenstockError
from penstock.ledger import TYPES, check_stream, column_rows, ledger_sql, schema_from_rows, state_text
from penstock.ledger.quarantine_rows import COLUMNS, entries
from penstock.ports import Position, Receipt, Reject, Rows, StreamEntry, Target

if TYPE_CHECKING:
    from penstock.schema import Schema

_LOCKS: Mapping[str, str] = {"postgres": "select pg_advisory_xact_lock(hashtextextended($1, 0))::text"}
"""Statements that hold a named lock until the transaction ends, where several processes can be in the ledger."""
_NUMBERS = "penstock ledger"


class Executor(Protocol):
    """Runs statements on one connection, each parameter ``$1``, ``$2``, … as the Python value that it is."""

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run one statement; its rows."""
        ...

    def insert(self, table: str, columns: Mapping[str, str], rows: Sequence[Sequence[Any]], key: str) -> int:
        """Insert rows whose ``key`` is not there yet; how many these were.

        Args:
            columns: their names, each with its type: ``uuid``, ``text``, ``bigint``, ``bytes``, ``timestamptz``,
                ``json`` (given as text).
        """
        ...


class SqlLedger:
    """A :class:`penstock.ports.Ledger` of DuckDB or PostgreSQL.

    Args:
        executor: what runs its statements.
        kind: the engine.
        beside: see the protocol. A ledger that is not has its ``executor`` to itself, so that it can have transactions
            of its own.
    """

    def __init__(self, executor: Executor, kind: str, *, beside: bool = True) -> None:
        self.kind = kind
        self.types = TYPES[kind]
        self.beside = beside
        self._executor = executor
        self._open = False

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run one statement."""
        return self._executor.query(sql, parameters)

    def _rows(self, name: str, *parameters: Any) -> Sequence[Sequence[Any]]:
        return self._executor.query(ledger_sql(name, **self.types), parameters).rows

    def _number(self, name: str, *parameters: Any) -> int:
        return int(self._rows(name, *parameters)[0][0])

    def tables(self) -> list[tuple[str, str]]:
        """Each table with each column."""
        return [(table, column) for table, column in self._rows(f"ledger_columns_{self.kind}")]

    def schema(self, stream: str) -> Schema:
        """The stream's columns."""
        return schema_from_rows(self._rows("schema", stream))

    def positions(self, stream: str, source: str) -> dict[str, dict[str, Any]]:
        """Position key → state."""
        return {key: json.loads(state) for key, state in self._rows("positions", stream, source)}

    def erased(self) -> list[str]:
        """The pseudonyms of people who were erased."""
        return [subject for (subject,) in self._rows("erased")]

    def last_seq(self, stream: str) -> int:
        """The number of the stream's last load."""
        return self._number("last_seq", stream)

    def newest_load(self, stream: str) -> int:
        """The stream's greatest load id."""
        return self._number("newest_load", stream)

    def next_load(self) -> int:
        """A load id of its own."""
        return int(self.query("select nextval('penstock.load_ids')").rows[0][0])

    def begin(self) -> None:
        """Open a transaction of its own, where it is apart."""
        if not self.beside:
            self.query("begin")
            self._open = True

    def hold(self, stream: str) -> None:
        """Land into the stream alone, until the transaction ends."""
        self._lock(f"penstock stream {stream}")

    def hold_numbers(self) -> None:
        """Hand out numbers of commits alone, until the transaction ends."""
        self._lock(_NUMBERS)

    def _lock(self, name: str) -> None:
        if self.kind in _LOCKS:
            self.query(_LOCKS[self.kind], [name])

    def enter_stream(self, target: Target) -> StreamEntry:
        """The stream's entry, made when there is none."""
        self._rows("keep_stream", target.stream, target.spec.sameness, target.spec.disposition)
        identity, disposition, version = self._rows("stream", target.stream)[0]
        check_stream(target, identity, disposition)
        return StreamEntry(identity=identity, disposition=disposition, version=version)

    def keep_version(self, stream: str, version: str | None) -> None:
        """Note the field of the stream's versions."""
        self._rows("keep_version", stream, version)

    def keep_columns(self, stream: str, have: Schema, wanted: Schema) -> None:
        """Enter what ``wanted`` has more than ``have``."""
        for row in column_rows(stream, have, wanted):
            self._rows("add_column", *row)

    def quarantine(self, target: Target, rejects: Sequence[Reject], load_id: int) -> int:
        """Enter rejects; how many are new."""
        parts = entries(target, rejects, load_id, datetime.now(UTC))
        return sum(self._executor.insert("penstock.quarantine", COLUMNS, part, "quarantine_id") for part in parts)

    def mark_replayed(self, entries: Sequence[str], load_id: int) -> None:
        """Settle quarantine entries."""
        for entry in entries:
            self._rows("mark_replayed", load_id, entry)

    def keep_positions(self, stream: str, positions: Iterable[Position], load_id: int, at: datetime) -> None:
        """Keep how far a source was read."""
        for p in positions:
            self._rows("keep_position", stream, p.source, p.key, state_text(p.state), load_id, at)

    def add_load(self, load: Receipt) -> int:
        """Enter a load; its number."""
        self.hold_numbers()
        counts = (load.read, load.landed, load.duplicates, load.quarantined, load.deleted, load.bytes)
        entry = (load.load_id, load.stream, load.source, *counts, load.started_at, load.committed_at)
        return self._number("add_load", *entry)

    def commit(self) -> None:
        """End a transaction of its own."""
        if self._open:
            self.query("commit")
            self._open = False

    def rollback(self) -> None:
        """Undo a transaction of its own."""
        if self._open:
            self._open = False
            with suppress(PenstockError):  # its connection may be gone, which undoes it too
                self.query("rollback")
