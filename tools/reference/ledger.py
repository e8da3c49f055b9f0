"""``docs/ledger.md``: the tables of schema ``penstock``, from the statements that make them and their comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files

from penstock.ledger import TYPES
from tools.reference.markdown import MADE, code, table

_TABLE = re.compile(r"create table if not exists penstock\.(\w+) \(")
_COLUMN = re.compile(
    r"  (?P<name>\w+) (?P<type>[^,]*?)(?P<null> not null| primary key)?(?: unique)?,?(?: -- (?P<text>.*))?$"
)
_ADDED = re.compile(r"alter table penstock\.(?P<table>\w+) add column if not exists (?P<name>\w+) (?P<type>.*);$")
_COMMENT = re.compile(r"-- (?:(?P<name>\w+): )?(?P<text>.*)$")
_SLOT = re.compile(r"\{(\w+)\}")

_HEAD = f"""\
# The ledger

{MADE.format(source="src/penstock/ledger/create.sql")}

Schema `penstock` of each destination says what was read, what became of it, and what was built from it. Its rows are
written in the transaction that writes what they tell of, never ahead and never behind. They are there to be read:

    penstock query "select stream, sum(landed) from penstock.loads group by 1"

`penstock status`, `runs` and `quarantine` show the same. Do not write to these tables. Types are PostgreSQL's; DuckDB
has `varchar` for `text`, `json` for `jsonb` and `blob` for `bytea`. Times are in UTC.

Beside each raw table there is the view `raw.STREAM__delta`: the rows of the latest load that landed any.
"""


@dataclass(slots=True)
class _Table:
    text: str
    columns: list[tuple[str, str, str, str]] = field(default_factory=list)


def ledger_page(_: str) -> str:
    """The page."""
    lines = [_HEAD.rstrip()]
    for name, found in ledger_tables().items():
        lines += ["", f"## penstock.{name}", "", found.text, ""]
        lines += table(("column", "type", "null", "meaning"), found.columns)
    return "\n".join([*lines, ""])


def ledger_tables() -> dict[str, _Table]:
    """Each table with its columns: name, type, whether it may be null, meaning."""
    found: dict[str, _Table] = {}
    inside: _Table | None = None
    comment = ""
    for line in _lines():
        if start := _TABLE.match(line):
            inside = found[start[1]] = _Table(comment)
        elif line.startswith(")"):
            inside = None
        elif inside is not None and (column := _COLUMN.match(line)) and column["name"] != "primary":
            empty = "" if column["null"] else "yes"
            inside.columns.append((code(column["name"]), column["type"], empty, column["text"] or ""))
        elif added := _ADDED.match(line):
            columns = found[added["table"]].columns
            if code(added["name"]) not in (name for name, *_ in columns):
                columns.append((code(added["name"]), added["type"], "yes", comment))
        if said := _COMMENT.match(line):
            comment = said["text"]
    return found


def _lines() -> Iterator[str]:
    text = files("penstock.ledger").joinpath("create.sql").read_text(encoding="utf-8")
    names = {**TYPES["postgres"]}
    for line in text.splitlines():
        yield _SLOT.sub(lambda slot: names[slot[1]], line).replace("timestamp with time zone", "timestamptz")
