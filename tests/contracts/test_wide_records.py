"""Records of several hundred fields, which PostgreSQL cannot keep on a page whatever their length."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from penstock.ports import Batch, Destination, Segment, Target
from penstock.shape.shaper import Shaper
from penstock.spec import StreamSpec
from tests.support.warehouse import ledger, quarantined, table

KINDS: dict[str, Any] = {
    "23 bytes": lambda i: f"answer of person {i:07}"[-23:],
    "mixed": lambda i: ["ä" * 100 + str(i), f"{i:023}", {"a": [i]}, 10**30 + i, "é" * 11 + str(i % 10), f"{i:040}"][
        i % 6
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_hundreds_of_fields_land(both: list[Destination], kind: str) -> None:
    """A record of 420 fields lands on both engines, as the same row: each of its values is in its column, or rescued
    where the row has no room for it; so again in a table that is there already."""
    make = KINDS[kind]
    whole = {f"f{i:03}": make(i) for i in range(420)}
    batches = [[whole, {"f000": make(6), "f419": make(419)}], [{**whole, "f002": make(2 + 6 * n)} for n in range(1, 4)]]
    schema = both[0].ledger.schema("s")
    shaper = Shaper(StreamSpec(stream="s"), threads=1)
    for records in batches:
        bodies = pa.array([json.dumps(r).encode() for r in records], pa.binary())
        shaped = shaper.shape(Batch(bodies=bodies, segments=[Segment(start=0, place="f", number=1)]), schema)
        schema = shaped.schema
        for destination in both:
            landing = destination.land(Target(spec=StreamSpec(stream="s"), source="files"))
            landing.write(shaped)
            landing.commit()
    shaper.close()
    rows, others = (table(destination, "s") for destination in both)
    assert rows == others
    for destination in both:
        assert quarantined(destination, "s") == {}
        assert ledger(destination, "s") == [(2, 2, 0, 0), (3, 3, 0, 0)]
    for row in rows:
        fields = [f for f in whole if row[f] is not None]
        rescued = row["_pen_rescued"] or {}
        assert fields == ["f000", "f419"] or (fields == list(whole)[: len(fields)] and len(fields) > 300)
        assert len(fields) == 2 or [*fields, *sorted(rescued)] == list(whole)
