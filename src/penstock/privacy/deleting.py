"""Deletes a person in an open transaction: from raw tables, models, quarantine, lakes, positions and files."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.destinations.erased import ids_in, leaves, subject_condition
from penstock.errors import DestinationError
from penstock.jsonpath import pointer
from penstock.privacy.files import clean_files, other_files
from penstock.privacy.ledger_texts import erase_positions, erase_texts
from penstock.privacy.personal_columns import hidden_columns, personal_fields, subject_field
from penstock.privacy.traces import Traces
from penstock.records.lake_files import FOLDER, parse
from penstock.records.lake_files import SOURCE as LAKE
from penstock.sources.rabbitmq.messages import readings_of
from penstock.sql import identifier, literal

if TYPE_CHECKING:
    import pyarrow as pa

    from penstock.ports import Destination
    from penstock.project import Project
    from penstock.transform.manifest import Relation

_LEDGER = ("quarantine", "positions", "run_steps", "runs", "alerts")
"""Tables of the ledger that may have held the person."""
FEEDS = "penstock_changes"
"""The schema of the models' change feeds: rows as they came and went, personal columns and all."""
_SYSTEM = ("penstock", "information_schema", "pg_catalog", "pg_toast")
_MAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_ENTRIES = 200
"""Entries of the quarantine, and values, that are looked at together."""


@dataclass(slots=True, kw_only=True)
class Erasure:
    """What was erased of a person.

    ``counts`` are rows and records by table and file, ``rebuilt`` the models built anew, ``inputs`` what the person
    came from, which is not ours to change. ``files`` were cleaned; those ``removed`` are made anew when needed.
    ``left`` says what was found and could not be erased or given back, ``outside`` what was not looked into. ``before``
    is when the person was erased first, if that was not now. ``snapshots_removed`` says of
    tables that keep what they were that they do so no longer.
    """

    subject: str
    counts: dict[str, int] = field(default_factory=dict)
    rebuilt: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    before: datetime | None = None
    snapshots_removed: bool = False

    @property
    def rows(self) -> int:
        """How many rows and records."""
        return sum(self.counts.values())

    @property
    def nothing(self) -> bool:
        """Whether there was nothing of the person anywhere."""
        return not (self.counts or self.rebuilt or self.files or self.removed or self.left)

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "subject": self.subject,
            "erased": self.counts,
            "rebuilt": self.rebuilt,
            "inputs": self.inputs,
            "files": self.files,
            "removed": self.removed,
            "left": self.left,
            "outside": self.outside,
            "snapshots_removed": self.snapshots_removed,
            "erased_before": self.before,
        }


class Deletion:
    """Deletes, in an open transaction, and counts."""

    def __init__(self, destination: Destination, project: Project, kind: str, id_: str, erasure: Erasure) -> None:
        self.ids: list[str] = []
        self.traces = Traces(id_)
        self.lakes: list[Path] = []
        self._destination = destination
        self._project = project
        self._kind = kind
        self._id = id_
        self._erasure = erasure
        self._emptied: list[str] = []
        self._there = {
            (schema, table): kind
            for schema, table, kind in destination.query(
                "select table_schema, table_name, table_type from information_schema.tables"
            ).rows
        }

    def has_rows(self, relation: Relation) -> bool:
        """Whether the relation is there, as a table."""
        return self._there.get((relation.schema, relation.table)) == "BASE TABLE"

    def tables(self, streams: Sequence[str], naming: Sequence[tuple[Relation, dict[str, str]]]) -> list[str]:
        """All that may have had rows of the person and has not been built anew."""
        raw = [f"raw.{identifier(s)}" for s in streams if ("raw", s) in self._there]
        named = [_name(r) for r, _ in naming if self.has_rows(r)]
        return [*raw, *named, *self._emptied, *(f"penstock.{t}" for t in _LEDGER)]

    def erase_raw(self, streams: Sequence[str]) -> None:
        """Delete the person's rows of the streams' tables."""
        for stream in (s for s in streams if ("raw", s) in self._there):
            schema = self._destination.ledger.schema(stream)
            field_ = subject_field(self._project, stream, self._kind)
            condition = subject_condition(schema, field_, self._id, self._rescued)
            table = f"raw.{identifier(stream)}"
            pii = personal_fields(self._project, [stream])
            personal = [c.name for c in schema.columns if c.field in pii]
            texts = [c.name for c in schema.columns if c.field not in pii and c.type == "text"]
            self._learn(table, condition, [*personal, "_pen_rescued"] if pii else [], texts)
            for id_, origin in self._destination.query(
                f"select _pen_id, _pen_origin from {table} where {condition}"
            ).rows:
                self.ids.append(str(id_))
                self._came_from(origin)
            self._delete(table, condition)

    def _learn(self, table: str, condition: str, personal: Sequence[str], texts: Sequence[str] = ()) -> None:
        """Take in what the person's rows hold: all that is personal, and e-mail addresses that nobody thought of."""
        for column in map(identifier, [*personal, *texts]):
            there = f"select distinct cast({column} as varchar) from {table} where {column} is not null and"
            values = [v for (v,) in self._destination.query(f"{there} {condition}").rows]
            values = [v for v in values if column.strip('"') in personal or _MAIL.fullmatch(v)]
            for first in range(0, len(values), _ENTRIES):
                some = values[first : first + _ENTRIES]
                listed = ", ".join(map(literal, some))
                others = self._destination.query(
                    f"{there} not {condition} and cast({column} as varchar) in ({listed})"
                ).rows
                self.traces.add(some, shared=[v for (v,) in others])

    def erase_quarantine(self, streams: Sequence[str]) -> None:
        """Delete the entries whose body is the person's: by the id, or where it is broken by what raw tables knew."""
        fields = {s: subject_field(self._project, s, self._kind) for s in streams}
        gone = []
        for stream in streams:
            last = "00000000-0000-0000-0000-000000000000"
            while entries := self._destination.query(
                "select quarantine_id, body, origin, reason, headers from penstock.quarantine"
                f" where stream = $1 and quarantine_id > cast($2 as uuid) order by quarantine_id limit {_ENTRIES}",
                [stream, last],
            ).rows:
                for id_, body, origin, reason, headers in entries:
                    kept = json.loads(headers) if isinstance(headers, str) else headers
                    beside = f"{reason} {json.dumps(kept, ensure_ascii=False)}"
                    readings = list(readings_of(kept, bytes(body)))
                    if any(self._is_theirs(reading, fields[stream], beside) for reading in readings):
                        gone.append(str(id_))
                        self._came_from(origin)
                        for reading in readings:
                            self._learn_body(reading, personal_fields(self._project, [stream]))
                last = str(entries[-1][0])
        for start in range(0, len(gone), _ENTRIES):
            ids = ", ".join(f"cast({literal(g)} as uuid)" for g in gone[start : start + _ENTRIES])
            self._destination.query(f"delete from penstock.quarantine where quarantine_id in ({ids})")
        if gone:
            self._erasure.counts["penstock.quarantine"] = len(gone)

    def _learn_body(self, body: bytes, pii: frozenset[str]) -> None:
        if _is_json(body):
            self.traces.add(value for path, value in leaves(json.loads(body)) if path in pii)

    def erase_models(self, naming: Sequence[tuple[Relation, dict[str, str]]]) -> None:
        """Delete the person's rows of models whose columns say which they are.

        Other keys are found on the way, from the id outwards: those that stand in one row with a key that is known,
        and in none with another person's. Where a row has several keys, the one that is nearest to the id decides.
        """
        tables = [(_name(r), marks) for r, marks in naming if self.has_rows(r)]
        known: dict[str, set[str]] = {self._kind: {self._id}}
        while True:
            values: dict[str, set[str]] = {}
            for table, marks in tables:
                nearest = _nearest(marks, known)
                for column, mark in marks.items() if nearest else ():
                    if mark not in known:
                        values.setdefault(mark, set()).update(self._keys_beside(table, column, nearest, known))
            if not values:
                break
            known.update(values)
        shown = {_name(r): r for r, _ in naming}
        for table, marks in tables:
            if nearest := _nearest(marks, known):
                condition, columns = _any_of(nearest, known), self._columns(shown[table])
                self._learn(table, condition, hidden_columns(self._project, shown[table], columns))
                self._delete(table, condition)

    def _columns(self, relation: Relation) -> list[str]:
        rows = self._destination.query(
            "select column_name from information_schema.columns where table_schema = $1 and table_name = $2",
            [relation.schema, relation.table],
        ).rows
        return [column for (column,) in rows]

    def _keys_beside(self, table: str, column: str, nearest: dict[str, str], known: dict[str, set[str]]) -> set[str]:
        """The keys in a column of the rows that are the person's, without those that rows of others have too."""
        theirs = _any_of(nearest, known)
        there = " or ".join(f"{identifier(c)} is not null" for c in nearest)
        name = identifier(column)
        rows = self._destination.query(
            f"select distinct cast({name} as varchar) from {table} where {theirs} and {name} is not null"
            f" and {name} not in (select {name} from {table} where not {theirs} and ({there}) and {name} is not null)"
        ).rows
        return {key for (key,) in rows}

    def empty(self, tests: Sequence[Relation]) -> None:
        """Delete the rows that failed tests have stored, anyone's: the next run stores them again."""
        for relation in (r for r in tests if self.has_rows(r)):
            self._delete(_name(relation), "true")
            self._emptied.append(_name(relation))

    def empty_feeds(self) -> None:
        """Empty the models' change feeds when rows were erased, which they hold too: who reads one builds itself whole
        once."""
        for schema, table in sorted(self._there):
            if schema == FEEDS and table not in ("models", "marks") and self._erasure.rows:
                name = f"{FEEDS}.{identifier(table)}"
                self._destination.query(f"delete from {name}")
                self._emptied.append(name)

    def erase_ledger(self) -> None:
        """Take the person out of positions, and out of what the ledger keeps of errors."""
        if count := erase_positions(self._destination, self.traces):
            self._erasure.counts["penstock.positions"] = count
        self._erasure.counts.update(erase_texts(self._destination, self.traces))

    def settle_lakes(self, streams: Sequence[str]) -> None:
        """Find every lake that the ledger knows, and the one of the project; settle what killed loads left of their
        files, or it could come to light later."""
        from penstock.lake.unfinished import settle

        states = self._destination.query(f"select state from penstock.positions where source = {literal(LAKE)}").rows
        folders = [(json.loads(s) if isinstance(s, str) else s).get(FOLDER) for (s,) in states]
        own = [] if self._project.lake is None else [self._project.lake.path]
        known = dict.fromkeys([*(p.resolve() for p in own), *(Path(f) for f in folders if f)])
        self.lakes = [path for path in known if path.is_dir()]
        self._erasure.outside += [f"the lake {path}, which is not there" for path in known if path not in self.lakes]
        if None in folders and not own:
            self._erasure.outside.append(
                "a lake that --land wrote to before its place was recorded: name it by --lake DIR"
            )
        warehouse = self._project.destination.address
        for folder in self.lakes:
            for stream in streams:
                settle(folder, stream, warehouse=warehouse, positions=self._destination.ledger.positions)

    def erase_lakes(self, streams: Sequence[str]) -> None:
        """Take the person's records out of the lakes' files, and have the ledger know the files as they are then."""
        from penstock.lake.record_removal import files_of, rewrite
        from penstock.ledger import state_text

        for folder, stream in ((f, s) for f in self.lakes for s in streams):
            field_ = subject_field(self._project, stream, self._kind)
            for path in files_of(folder, stream):
                try:
                    written = rewrite(path, partial(self._others, field_))
                except OSError as e:
                    raise DestinationError(
                        f"a file of the lake cannot be written anew: {e.strerror or e}",
                        where=str(path),
                        fix="make room or give the right to write, and call again; nothing else was erased",
                    ) from None
                if written is not None:
                    self._erasure.counts[str(path)] = written.removed
                    self._destination.query(
                        f"update penstock.positions set state = $1 where stream = $2 and source = {literal(LAKE)}"
                        " and key = $3",
                        [
                            state_text({**written.state, FOLDER: str(folder)}),
                            stream,
                            path.relative_to(folder).as_posix(),
                        ],
                    )

    def clean_files(self) -> None:
        """Take the person out of Penstock's files in the project."""
        cleaned = clean_files(self._project, self.traces, self.lakes)
        self._erasure.files, self._erasure.removed = cleaned.written, cleaned.removed

    def name_files(self) -> None:
        """Name the other files of the project that hold the person. It reads all of them, so nothing waits for it."""
        holding, closed = other_files(self._project, self.traces, self.lakes)
        self._erasure.left += [path for path in holding if path not in self._erasure.inputs]
        self._erasure.outside += [f"the DuckDB file {path}" for path in closed]

    def look_around(self, relations: Sequence[Relation]) -> None:
        """Name the tables that neither loads nor models make: nobody knows what is in them."""
        ours = {(r.schema, r.table) for r in relations} | {("raw", s) for s in self._project.streams}
        self._erasure.outside += [
            f"the table {schema}.{table}, which neither a stream nor a model of the project makes"
            for (schema, table), kind in sorted(self._there.items())
            if kind == "BASE TABLE" and schema not in _SYSTEM and (schema, table) not in ours
        ]

    def _others(self, field_: str, records: pa.Array) -> pa.Array:
        """Which records are not the person's. Only those that may be are read."""
        import pyarrow as pa
        import pyarrow.compute as pc

        stays = [True] * len(records)
        maybe = pc.match_substring(records, "\\u")
        for text in (self._id, self._id.upper(), *self.traces):
            maybe = pc.or_(maybe, pc.match_substring(records, text))
        for i in pc.indices_nonzero(maybe).to_pylist():
            stays[i] = not self._is_theirs(records[i].as_py(), field_)
        return pa.array(stays, pa.bool_())

    def _delete(self, table: str, condition: str) -> None:
        count = int(self._destination.query(f"select count(*) from {table} where {condition}").rows[0][0])
        if count:
            self._destination.query(f"delete from {table} where {condition}")
            self._erasure.counts[table.replace('"', "")] = count

    def _rescued(self, field_: str) -> str:
        member = self._destination.capabilities.json_member
        return member.format(column="_pen_rescued", pointer=literal(pointer([field_])), name=literal(field_))

    def _is_theirs(self, body: bytes, field_: str, beside: str = "") -> bool:
        """Whether a body is the person's: by its id, or where it gives none by what only the person's rows hold."""
        ids = set(ids_in(body, field_))
        if self._id in ids:
            return True
        if ids and _is_json(body):
            return False
        text = body.decode("utf-8", "replace")
        return any(re.search(rf"(?<!\w){re.escape(v)}(?!\w)", part) for v in self.traces.own for part in (text, beside))

    def _came_from(self, origin: str) -> None:
        place, _, number = origin.rpartition("#")
        place = place if place and number.isdecimal() else origin
        in_lake = bool(self.lakes) and parse(place) is not None
        if place not in self._erasure.inputs and not in_lake:
            self._erasure.inputs.append(place)


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def _name(relation: Relation) -> str:
    return f"{identifier(relation.schema)}.{identifier(relation.table)}"


def _nearest(marks: dict[str, str], known: dict[str, set[str]]) -> dict[str, str]:
    """The columns whose mark was learnt first, of those that are known."""
    first = next((mark for mark in known if mark in marks.values()), None)
    return {column: mark for column, mark in marks.items() if mark == first}


def _any_of(columns: dict[str, str], known: dict[str, set[str]]) -> str:
    """SQL condition for the rows with a key that is known."""
    conditions = [
        f"coalesce(cast({identifier(column)} as varchar) in ({', '.join(map(literal, sorted(known[mark])))}), false)"
        for column, mark in columns.items()
        if known[mark]
    ]
    return f"({' or '.join(conditions) or 'false'})"
