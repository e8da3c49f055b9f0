"""Records of several hundred fields, which PostgreSQL cannot keep on a page whatever their length."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penstock.ports import Destination
from penstock.shape.shaper import Rules
from tests.warehouse import land, ledger, quarantined, table, write_files

DAY = "2024-02-29"
KINDS: dict[str, Any] = {
    "23 bytes": lambda i: f"answer of person {i:07}",
    "long": lambda i: f"{i:04}" + "ä" * 100,
    "mixed": lambda i: [True, DAY, f"{i:023}", 1.5, {"a": i}, 10**30, "short", f"{i:04}" * 9, f"{DAY}T10:00Z"][i % 9],
}


@pytest.mark.parametrize("kind", KINDS)
def test_five_hundred_fields_land(both: list[Destination], tmp_path: Path, kind: str) -> None:
    """A record of 500 fields of any kind lands on both engines, as the same row: each of its values is in its column,
    or rescued where the row has no room; so in a table that is there already, and in any lane of shaping."""
    make = KINDS[kind]
    whole = {f"f{i:03}": make(i) for i in range(500)}
    narrow = {"f000": make(0), "f499": make(499)}
    seen = []
    for destination in both:
        stream = "s"
        write_files(tmp_path / "in", {"1.ndjson": b"".join(json.dumps(r).encode() + b"\n" for r in (whole, narrow))})
        land(destination, tmp_path / "in", Rules(stream=stream))
        again = [{**whole, "f001": make(1), "f000": make(n)} for n in (501, 502, 503)]
        write_files(tmp_path / "in", {"2.ndjson": b"".join(json.dumps(r).encode() + b"\n" for r in again)})
        land(destination, tmp_path / "in", Rules(stream=stream))
        assert quarantined(destination, stream) == {}
        assert ledger(destination, stream) == [(2, 2, 0, 0), (3, 3, 0, 0)]
        seen.append(table(destination, stream))
    assert seen[0] == seen[1]
    for row in seen[0]:
        rescued = row["_pen_rescued"] or {}
        fields = [f for f in whole if row[f] is not None]
        assert fields == sorted(whole)[: len(fields)] or len(fields) == 2
        if len(fields) > 2:
            assert not set(fields) & set(rescued)
            assert sorted([*fields, *rescued]) == sorted(whole)
