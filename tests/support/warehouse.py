"""Landing files in a test's warehouse, and reading back what came of it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.destinations.known import KnownIds
from penstock.land.loop import Landed, load
from penstock.land.shapers import Shapers
from penstock.ports import Destination, Target, Window
from penstock.shape.shaper import Shaper
from penstock.sources.files.source import FilesSource
from penstock.spec import StreamSpec

MAY_DIFFER = {"_pen_load", "_pen_loaded_at", "_pen_origin"}
"""Law 2: the only record columns that the way a record came may change."""


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make ``folder`` hold exactly ``files``."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def land(
    destination: Destination,
    folder: Path,
    rules: StreamSpec,
    *,
    disposition: str = "append",
    window: Window | None = None,
    fingerprint: bool = True,
    batch_bytes: int = 16 << 20,
    commit_bytes: int | None = None,
    at_once: int = 1,
) -> Landed:
    """Land every file in ``folder`` into ``rules.stream``, by as many shapers as ``at_once`` says.

    Raises:
        SourceError: files could not be read; the others are landed.
    """
    source = FilesSource(
        "files",
        ["**"],
        root=folder,
        window=window,
        fingerprint=fingerprint,
        batch_bytes=batch_bytes,
        refresh=disposition == "replace",
    )
    spec = replace(rules, disposition=disposition)  # type: ignore[arg-type]
    shaper = Shapers(partial(Shaper, spec, threads=1), at_once=at_once)
    try:
        landed = load(
            source,
            destination,
            shaper,
            Target(spec=spec, source="files"),
            window=window,
            commit_bytes=commit_bytes,
        )
    finally:
        shaper.close()
    if landed.failure is not None:
        raise landed.failure
    return landed


def table(
    destination: Destination, stream: str, *, without: Collection[str] = frozenset(MAY_DIFFER)
) -> list[dict[str, Any]]:
    """The raw table's rows without what may differ, in one order, JSON as values."""
    found = destination.query(f'select * from raw."{stream}"')
    types = {c.name: c.type for c in destination.ledger.schema(stream).columns} | {
        "_pen_rescued": "json",
        "_pen_json": "json",
    }
    rows = []
    for values in found.rows:
        row = dict(zip(found.columns, values, strict=True))
        for name, value in row.items():
            if types.get(name) == "json" and value is not None:
                row[name] = json.loads(value, parse_float=_number, parse_int=_number)
        rows.append({k: _plain(v) for k, v in row.items() if k not in without})
    return sorted(rows, key=lambda r: str(r["_pen_id"]))


def ledger(destination: Destination, stream: str) -> list[tuple[int, int, int, int]]:
    """``(read, landed, duplicates, quarantined)`` of each load, in the order of their commits."""
    rows = destination.ledger.query(
        "select read, landed, duplicates, quarantined from penstock.loads where stream = $1 order by seq", [stream]
    ).rows
    return [(r[0], r[1], r[2], r[3]) for r in rows]


def quarantined(destination: Destination, stream: str) -> dict[bytes, str]:
    """Body → reason code of what is in quarantine."""
    rows = destination.ledger.query(
        "select body, reason_code from penstock.quarantine where stream = $1", [stream]
    ).rows
    return {bytes(body): code for body, code in rows}


def doubt_all(patched: pytest.MonkeyPatch) -> None:
    """Have DuckDB's landing take each new identity for one that may be known, so that it has to ask the table."""
    patched.setattr(KnownIds, "maybe", lambda _, high: (np.ones(len(high), dtype=bool), (0, 1 << 40)))


def forbid_13(destination: Destination) -> None:
    """Put a CHECK constraint of the user's own on ``a`` in ``raw.s``."""
    if destination.kind == "postgres":
        destination.query('alter table raw."s" add check (a <> 13)')
        return
    (sql,) = destination.query("select sql from duckdb_tables() where schema_name = 'raw'").rows[0]
    made = re.sub(r"raw\.\"?s\"?", 'raw."checked"', sql, count=1).replace("a BIGINT", "a BIGINT CHECK (a <> 13)", 1)
    destination.query(made)
    destination.query('insert into raw."checked" from raw."s"')
    destination.query('drop table raw."s"')
    destination.query('alter table raw."checked" rename to "s"')


def _number(text: str) -> Any:
    from decimal import Decimal

    return Decimal(text).normalize()


def _plain(value: Any) -> Any:
    return str(value) if hasattr(value, "hex") and not isinstance(value, float | bytes) else value
