"""What the ledger keeps of a person beside rows and quarantine: how far sources were read, and what went wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.ports import Destination
    from penstock.privacy.traces import Traces


def erase_positions(destination: Destination, traces: Traces) -> int:
    """Take the person out of positions; how many had something.

    A pass over an API that is under way at the person, or at a page whose address has the person in it, begins anew:
    what it brings again is known. So does a file that is named after the person.
    """
    changed = 0
    rows = destination.query("select stream, source, key, state from penstock.positions").rows
    for stream, source, key, state in rows:
        place = [stream, source, key]
        where = "stream = $1 and source = $2 and key = $3"
        if any(value in key for value in traces):
            destination.query(f"delete from penstock.positions where {where}", place)
            changed += 1
            continue
        data = json.loads(state) if isinstance(state, str) else state
        kept = {name: value for name, value in data.items() if not _names(value, traces, under=name == "pass")}
        if kept != data:
            destination.query(
                f"update penstock.positions set state = {_json(destination, 4)} where {where}",
                [*place, json.dumps(kept)],
            )
            changed += 1
    return changed


def _names(value: Any, traces: Traces, *, under: bool) -> bool:
    """Whether a part of a position names the person; ids only ``under`` a pass, as a page may have the same number."""
    if isinstance(value, dict):
        return any(_names(v, traces, under=under) for v in value.values())
    if isinstance(value, list):
        return any(_names(v, traces, under=under) for v in value)
    if not isinstance(value, str):
        return False
    return (under and (value == traces.id or _in_address(value, traces.id))) or any(v in value for v in traces)


def _in_address(value: str, id_: str) -> bool:
    from urllib.parse import quote, urlsplit

    parts = urlsplit(value)
    words = [*parts.path.split("/"), *(p.partition("=")[2] for p in parts.query.split("&"))]
    return "/" in value and (id_ in words or quote(id_, safe="") in words)


def erase_texts(destination: Destination, traces: Traces) -> dict[str, int]:
    """Mask the person in what runs and alerts say went wrong; how many rows had something, by table."""
    return {
        table: count
        for table, keys, columns in (
            ("penstock.run_steps", ("run_id", "step"), ("error", "fix", "name")),
            ("penstock.runs", ("run_id",), ("detail",)),
            ("penstock.alerts", ("alert", "subject"), ("what", "detail")),
        )
        if (count := _mask(destination, traces, table, keys, columns))
    }


def _mask(destination: Destination, traces: Traces, table: str, keys: Sequence[str], columns: Sequence[str]) -> int:
    changed = 0
    listed = ", ".join([*keys, *(f"cast({c} as text)" for c in columns)])
    for row in destination.query(f"select {listed} from {table}").rows:
        key, before = row[: len(keys)], row[len(keys) :]
        after = [None if text is None else traces.masked(text) for text in before]
        if list(before) != after:
            sets = ", ".join(
                f"{column} = {_json(destination, i) if column == 'detail' else f'${i}'}"
                for i, column in enumerate(columns, len(keys) + 1)
            )
            where = " and ".join(f"{name} = ${i}" for i, name in enumerate(keys, 1))
            destination.query(f"update {table} set {sets} where {where}", [*key, *after])
            changed += 1
    return changed


def _json(destination: Destination, place: int) -> str:
    return f"cast(${place} as {destination.ledger.types['json']})"
