"""The way of a batch from the loop to DuckDB stays one that a reader can follow."""

from __future__ import annotations

from tools.way import ways


def test_the_way_of_a_batch_is_short() -> None:
    """A batch of a stream that is known makes at most 25 stops and 3 climbs; the first one climbs no more often."""
    first, later = ways()
    assert len(later.stops) <= 25, "\n".join(map(str, later.stops))
    assert len(later.climbs) <= 3 and len(first.climbs) <= 3, "\n".join(map(str, first.climbs))
    assert {"penstock.shape.shaper", "penstock.destinations.duckdb.writer"} <= later.modules
