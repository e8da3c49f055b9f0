"""Erases a person: from raw tables, quarantine and models, with a proof in the ledger.

All that names the person goes in one transaction, with the proof. What was made of many people and names none, such as
a report, is then built anew, and the proof says when; killed between the two, the next call does the rest. From the
first commit on, what is sent again of the person stays out: see :mod:`penstock.destinations.erased`.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from penstock.destinations.erased import ids_in, subject_condition
from penstock.errors import DestinationError, TransformError, UsageError
from penstock.faults import fault_point
from penstock.lake.names import SOURCE as LAKE
from penstock.lake.names import parse
from penstock.plan import LoadStep
from penstock.privacy.marks import open_dbt, personal_fields, subject_columns, subject_field
from penstock.pseudonym import Keys, id_text, subject_text
from penstock.sources.messages import readings_of
from penstock.sql import identifier, literal

if TYPE_CHECKING:
    import pyarrow as pa

    from penstock.ports import Destination
    from penstock.project import Project
    from penstock.session import Session
    from penstock.transform.dbt import Dbt, Relation

_KEPT = ("table", "incremental", "snapshot", "seed", "test")
"""What has rows of its own."""
_ENTRIES = 200
"""Of the quarantine, held at a time."""
_SHORTEST = 5
"""Characters of a value by which a broken body is taken for the person's."""
_RESCUED = {
    "duckdb": "json_extract_string(_pen_rescued, {pointer})",
    "postgres": "_pen_rescued ->> {field}",
}


@dataclass(slots=True, kw_only=True)
class Erasure:
    """What was erased of a person: rows by table; the models built anew; the inputs that still hold the person, which
    are not ours to change. ``before`` is when the person was erased first, if that was not now."""

    subject: str
    counts: dict[str, int] = field(default_factory=dict)
    rebuilt: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    before: datetime | None = None

    @property
    def rows(self) -> int:
        """How many rows and records."""
        return sum(self.counts.values())

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "subject": self.subject,
            "erased": self.counts,
            "rebuilt": self.rebuilt,
            "inputs": self.inputs,
            "erased_before": self.before,
        }


def parse_subject(project: Project, text: str) -> tuple[str, str]:
    """Kind and id of ``customer:42``.

    Raises:
        UsageError: it is none, or no stream says that its records are about such people.
    """
    kind, _, id_ = text.partition(":")
    kinds = sorted({k for stream in project.streams.values() for k in stream.subject})
    if not id_ or not kind:
        raise UsageError(f"{text!r} names nobody", fix="write it so: --subject customer:42")
    if kind not in kinds:
        raise UsageError(
            f"no stream has records about a {kind!r}" + (f"; there is {', '.join(kinds)}" if kinds else ""),
            where=str(project.file),
            fix=f"say in the stream which field has the id: subject: {{{kind}: {kind}_id}}",
        )
    return kind, id_text(id_)


def erase(session: Session, kind: str, id_: str, *, rewrite: bool = False) -> Erasure:
    """Erase a person. Again does nothing, unless something has come in between or a call before was cut short.

    With ``rewrite`` nothing is left in the free space of the warehouse's files either, which are copied for it.

    Raises:
        UsageError: no privacy key, or a snapshot that nobody can rebuild does not say which rows are the person's.
        DestinationError: the warehouse refused; nothing was erased.
        TransformError: the person is erased, and models that name nobody could not be built anew.
    """
    project, destination = session.project, session.destination
    keys = project.privacy.needed_keys("who was erased is written down as a pseudonym")
    dbt = open_dbt(project)
    relations = [] if dbt is None else [r for r in dbt.relations() if r.kind in _KEPT]
    streams = [s for s, settings in project.streams.items() if kind in settings.subject]
    naming = [(r, marks) for r in relations if (marks := subject_columns(r, kind))]
    others = [r for r in relations if not subject_columns(r, kind) and r.streams & set(streams)]
    _check_rebuildable(project, kind, others)
    found = Erasure(subject=subject_text(kind, id_))
    _complete_lake(session, streams)
    with destination.transaction(streams):
        work = _Work(destination, project, kind, id_, found)
        work.erase_raw(streams)
        work.erase_quarantine(streams)
        work.erase_models(naming)
        work.erase_lake(streams)
        if found.rows:
            work.empty([r for r in others if r.kind == "test"])
        found.before, unfinished = _before(destination, keys, found.subject)
        if found.rows:
            _prove(destination, keys, found, work.ids)
        fault_point("before_erasure")
    fault_point("after_erasure")
    if found.rows or unfinished:
        _rebuild(session, dbt, [r for r in others if work.has_rows(r) and r.kind != "test"], found)
    if found.rows or unfinished or rewrite:
        destination.tidy(work.tables(streams, naming), rewrite=rewrite)
    if found.rows or unfinished:
        destination.query(
            f"update penstock.erasures set rebuilt_at = $1 where rebuilt_at is null and {_about(keys, found.subject)}",
            [datetime.now(UTC)],
        )
    return found


def _complete_lake(session: Session, streams: Sequence[str]) -> None:
    """Settle what killed loads left of the lake's files, or it could come to light later."""
    for stream in streams:
        writer = session.lake(LoadStep(stream=stream, source=LAKE, land=True))
        if writer is not None:
            writer.recover(partial(session.destination.positions, stream, LAKE))
            writer.close()


def _check_rebuildable(project: Project, kind: str, relations: Sequence[Relation]) -> None:
    for relation in relations:
        if relation.kind == "snapshot":
            raise UsageError(
                f"snapshot {relation.name} cannot be built anew, and does not say which of its rows are a {kind}'s",
                where=str(project.directory),
                fix=f"put meta: {{subject: {kind}}} on its column with the {kind}'s id; nothing was erased",
            )


def _about(keys: Keys, subject: str) -> str:
    """SQL condition for the person's proofs, under whichever key."""
    return f"subject in ({', '.join(literal(keys.pseudonym(subject, v)) for v in sorted(keys.secrets))})"


def _before(destination: Destination, keys: Keys, subject: str) -> tuple[datetime | None, bool]:
    """When the person was erased first, and whether models are yet to be built anew since."""
    row = destination.query(
        "select min(erased_at), count(*) filter (where rebuilt_at is null) from penstock.erasures where "
        + _about(keys, subject)
    ).rows[0]
    return row[0], row[1] > 0


def _prove(destination: Destination, keys: Keys, found: Erasure, ids: Sequence[str]) -> None:
    """Write down that a person was erased, and of what, in a way that only who knows the person and the key can read:
    the identities of rows as hashes with a salt."""
    salt = secrets.token_hex(16)
    hashes = sorted(hashlib.sha256(f"{salt}:{id_}".encode()).hexdigest() for id_ in ids)
    destination.query(
        "insert into penstock.erasures (erasure_id, subject, erased_at, counts, salt, ids)"
        " values (cast($1 as uuid), $2, $3, $4, $5, $6)",
        [
            str(uuid4()),
            keys.pseudonym(found.subject),
            datetime.now(UTC),
            json.dumps(found.counts),
            salt,
            json.dumps(hashes),
        ],
    )


def _rebuild(session: Session, dbt: Dbt | None, relations: Sequence[Relation], found: Erasure) -> None:
    """Build anew what names nobody, from what is left."""
    if dbt is None or not relations:
        return
    upper = session.destination.query("select coalesce(max(seq), 0) from penstock.loads").rows[0][0]
    session.release()
    try:
        nodes = dbt.build(
            select=[r.name for r in relations], full_refresh=True, environment={"PENSTOCK_UPPER_SEQ": str(upper)}
        )
    finally:
        dbt.release()
    failed = [n for n in nodes if n.failed and n.kind not in ("test", "unit_test")]
    if failed:
        raise TransformError(
            f"{found.subject} is erased, and {', '.join(n.name for n in failed)} could not be built anew",
            where=str(session.project.directory),
            fix="mend the model, then call again; details are in .penstock/logs/dbt.log",
        )
    found.rebuilt = sorted(f"{r.schema}.{r.table}" for r in relations)


class _Work:
    """Deletes, in an open transaction, and counts."""

    def __init__(self, destination: Destination, project: Project, kind: str, id_: str, found: Erasure) -> None:
        self.ids: list[str] = []
        self._destination = destination
        self._project = project
        self._kind = kind
        self._id = id_
        self._found = found
        self._values: set[str] = set()
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
        return [*raw, *(_name(r) for r, _ in naming if self.has_rows(r)), "penstock.quarantine"]

    def erase_raw(self, streams: Sequence[str]) -> None:
        """Delete the person's rows of the streams' tables."""
        for stream in (s for s in streams if ("raw", s) in self._there):
            schema = self._destination.schema(stream)
            field_ = subject_field(self._project, stream, self._kind)
            condition = subject_condition(schema, field_, self._id, self._rescued)
            table = f"raw.{identifier(stream)}"
            pii = personal_fields(self._project, [stream])
            columns = [c.name for c in schema.columns if c.field in pii and c.type == "text"]
            listed = ", ".join(["_pen_id", "_pen_origin", *(identifier(c) for c in columns)])
            for id_, origin, *values in self._destination.query(f"select {listed} from {table} where {condition}").rows:
                self.ids.append(str(id_))
                self._values.update(v for v in values if v is not None and len(v) >= _SHORTEST)
                self._came_from(origin)
            self._delete(table, condition)

    def erase_quarantine(self, streams: Sequence[str]) -> None:
        """Delete the entries whose body is the person's: by the id, or where it is broken by what raw tables knew."""
        fields = {s: subject_field(self._project, s, self._kind) for s in streams}
        gone = []
        for stream in streams:
            last = "00000000-0000-0000-0000-000000000000"
            while entries := self._destination.query(
                "select quarantine_id, body, origin, headers from penstock.quarantine"
                f" where stream = $1 and quarantine_id > cast($2 as uuid) order by quarantine_id limit {_ENTRIES}",
                [stream, last],
            ).rows:
                for id_, body, origin, headers in entries:
                    beside = json.loads(headers) if isinstance(headers, str) else headers
                    if any(self._is_theirs(b, fields[stream]) for b in readings_of(beside, bytes(body))):
                        gone.append(str(id_))
                        self._came_from(origin)
                last = str(entries[-1][0])
        for start in range(0, len(gone), _ENTRIES):
            ids = ", ".join(f"cast({literal(g)} as uuid)" for g in gone[start : start + _ENTRIES])
            self._destination.query(f"delete from penstock.quarantine where quarantine_id in ({ids})")
        if gone:
            self._found.counts["penstock.quarantine"] = len(gone)

    def erase_models(self, naming: Sequence[tuple[Relation, dict[str, str]]]) -> None:
        """Delete the person's rows of models whose columns say which they are.

        Other keys are found on the way, from the id outwards: those that stand in one row with a key that is known,
        and in none with another person's. Where a row has several keys, the one that is nearest to the id decides.
        """
        tables = [(_name(r), marks) for r, marks in naming if self.has_rows(r)]
        known: dict[str, set[str]] = {self._kind: {self._id}}
        while True:
            found: dict[str, set[str]] = {}
            for table, marks in tables:
                nearest = _nearest(marks, known)
                for column, mark in marks.items() if nearest else ():
                    if mark not in known:
                        found.setdefault(mark, set()).update(self._keys_beside(table, column, nearest, known))
            if not found:
                break
            known.update(found)
        for table, marks in tables:
            if nearest := _nearest(marks, known):
                self._delete(table, _any_of(nearest, known))

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

    def erase_lake(self, streams: Sequence[str]) -> None:
        """Take the person's records out of the lake's files, and have the ledger know the files as they are then."""
        lake = self._project.lake
        if lake is None:
            return
        from penstock.lake.rewriting import files_of, rewrite
        from penstock.ledger import state_text

        for stream in streams:
            field_ = subject_field(self._project, stream, self._kind)
            for path in files_of(lake.path, stream):
                try:
                    written = rewrite(path, partial(self._others, field_))
                except OSError as e:
                    raise DestinationError(
                        f"a file of the lake cannot be written anew: {e.strerror or e}",
                        where=str(path),
                        fix="make room or give the right to write, and call again; nothing else was erased",
                    ) from None
                if written is not None:
                    key = path.relative_to(lake.path).as_posix()
                    self._found.counts[str(path)] = written.removed
                    self._destination.query(
                        f"update penstock.positions set state = $1 where stream = $2 and source = {literal(LAKE)}"
                        " and key = $3",
                        [state_text(written.state), stream, key],
                    )

    def _others(self, field_: str, records: pa.Array) -> pa.Array:
        """Which records are not the person's. Only those that may be are read."""
        import pyarrow as pa
        import pyarrow.compute as pc

        stays = [True] * len(records)
        maybe = pc.match_substring(records, "\\u")
        for text in (self._id, self._id.upper(), *self._values):
            maybe = pc.or_(maybe, pc.match_substring(records, text))
        for i in pc.indices_nonzero(maybe).to_pylist():
            stays[i] = not self._is_theirs(records[i].as_py(), field_)
        return pa.array(stays, pa.bool_())

    def _delete(self, table: str, condition: str) -> None:
        count = int(self._destination.query(f"select count(*) from {table} where {condition}").rows[0][0])
        if count:
            self._destination.query(f"delete from {table} where {condition}")
            self._found.counts[table.replace('"', "")] = count

    def _rescued(self, field_: str) -> str:
        from penstock.shape.layout import pointer

        return _RESCUED[self._destination.kind].format(pointer=literal(pointer([field_])), field=literal(field_))

    def _is_theirs(self, body: bytes, field_: str) -> bool:
        if self._id in ids_in(body, field_):
            return True
        try:
            json.loads(body)
        except ValueError:
            text = body.decode("utf-8", "replace")
            return any(re.search(rf"(?<!\w){re.escape(v)}(?!\w)", text) for v in self._values)
        return False

    def _came_from(self, origin: str) -> None:
        place, _, number = origin.rpartition("#")
        place = place if place and number.isdecimal() else origin
        in_lake = self._project.lake is not None and parse(place) is not None
        if place not in self._found.inputs and not in_lake:
            self._found.inputs.append(place)


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
