"""What is copied: the raw tables and the tables of the ledger, each with its columns in the words of contracts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.errors import UsageError
from penstock.ledger import ledger_sql
from penstock.ports import Target
from penstock.schema import Schema
from penstock.spec import StreamSpec
from penstock.sql import identifier

if TYPE_CHECKING:
    from penstock.ports import Destination
    from penstock.project import Project

RAW, LEDGER = "raw", "penstock"
_OWN: Mapping[str, str] = {
    "_pen_id": "uuid",
    "_pen_load": "bigint",
    "_pen_loaded_at": "timestamptz",
    "_pen_origin": "text",
    "_pen_rescued": "json",
    "_pen_json": "json",
    "_pen_content": "uuid",
    "_pen_version": "text",
}
"""The columns that a raw table can have beside those of its schema."""
_MODELLED = "kind <> 'transform'"
"""Of runs, those that built no models: of what they built, nothing is copied."""
COPIED: Mapping[str, str] = {
    "loads": "",
    "streams": "",
    "positions": "",
    "columns": "",
    "quarantine": "",
    "erasures": "",
    "runs": _MODELLED,
    "run_steps": f"run_id in (select run_id from penstock.runs where {_MODELLED})",
    "schedules": "",
    "alerts": "",
}
"""The tables of the ledger that are copied, each with the condition on its rows."""
BUILT_ANEW = ("watermarks",)
"""Those that are not: they say what models hold, which are built anew."""
_CREATED = re.compile(r"create table if not exists penstock\.(\w+)")
_TYPES: Mapping[str, str] = {
    "character varying": "text",
    "varchar": "text",
    "jsonb": "json",
    "bytea": "bytes",
    "blob": "bytes",
    "double precision": "double",
    "timestamp with time zone": "timestamptz",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One table: its columns, each with its type, and the condition on the rows that are copied, empty for all."""

    schema: str
    name: str
    columns: Mapping[str, str]
    condition: str = ""

    @property
    def table(self) -> str:
        """Its name in SQL."""
        return f"{self.schema}.{identifier(self.name)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawPart(Part):
    """One stream's table: ``target`` and ``known`` are what it is made from; ``foreign`` are columns that the ledger
    does not know, which are not copied."""

    target: Target
    known: Schema
    foreign: Sequence[str] = ()


def ledger_tables() -> list[str]:
    """The tables of a ledger of this version."""
    return _CREATED.findall(ledger_sql("create"))


def ledger_parts(destination: Destination) -> list[Part]:
    """The tables of its ledger that are copied."""
    rows = destination.ledger.query(
        "select table_name, column_name, data_type from information_schema.columns where table_schema = 'penstock'"
    ).rows
    columns: dict[str, dict[str, str]] = {}
    for table, name, type_ in rows:
        columns.setdefault(table, {})[name] = _TYPES.get(type_.lower(), type_.lower())
    return [
        Part(schema=LEDGER, name=table, columns=columns[table], condition=condition)
        for table, condition in COPIED.items()
    ]


def raw_tables(destination: Destination) -> list[str]:
    """The names of all that is in schema ``raw`` and no view."""
    rows = destination.query(
        "select table_name from information_schema.tables"
        " where table_schema = 'raw' and table_type = 'BASE TABLE' order by 1"
    ).rows
    return [name for (name,) in rows]


def streams_of(destination: Destination) -> list[str]:
    """The streams that the ledger knows."""
    rows = destination.ledger.query(
        "select stream from penstock.streams union select stream from penstock.columns"
        " union select stream from penstock.loads order by 1"
    ).rows
    return [stream for (stream,) in rows]


def raw_parts(destination: Destination, project: Project) -> list[RawPart]:
    """The tables of its streams. A stream whose records are all in quarantine has none."""
    there = set(raw_tables(destination))
    return [_raw_part(destination, project, stream) for stream in streams_of(destination) if stream in there]


def _raw_part(destination: Destination, project: Project, stream: str) -> RawPart:
    known = destination.ledger.schema(stream)
    names = destination.query(f"select * from raw.{identifier(stream)} limit 0").columns
    types = {column.name: "text" if column.type == "pseudonym" else column.type for column in known.columns}
    types.update(_OWN)
    settings = project.streams.get(stream)
    return RawPart(
        schema=RAW,
        name=stream,
        columns={name: types[name] for name in names if name in types},
        target=Target(spec=_spec(destination, stream, names, settings.event_time if settings else None), source="copy"),
        known=known,
        foreign=[name for name in names if name not in types],
    )


def _spec(destination: Destination, stream: str, names: Sequence[str], event_time: str | None) -> StreamSpec:
    """What the table is made by: of a stream that has changed in the project since, or is there no longer, the table
    itself says which columns it has."""
    entries = destination.ledger.query(ledger_sql("stream"), [stream]).rows
    if not entries:
        raise UsageError(
            f"the ledger does not know with which identity stream {stream} landed: penstock.streams was emptied",
            where=destination.kind,
            fix="penstock run lands into it again, and enters it",
        )
    _, disposition, version = entries[0]
    return StreamSpec(
        stream=stream,
        disposition=disposition,
        message="_pen_content" in names and disposition == "append",
        version=version if "_pen_version" in names else None,
        event_time=event_time,
        raw_json="_pen_json" in names,
    )
