"""Identities that a process remembers of a table: what it cannot tell to be new is asked for, and lands even so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.destinations import known
from penstock.destinations.duckdb import doubtful
from penstock.destinations.known import KnownIds
from penstock.destinations.sketch import Sketch
from penstock.ports import Batch, Destination, Segment, Target
from penstock.schema import Schema
from penstock.shape.shaper import Shaper
from penstock.spec import StreamSpec
from tests.support.warehouse import land, ledger, table, write_files

ROWS = 40


def _identities(count: int, seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 1 << 64, count, dtype=np.uint64)


def test_what_is_sketched_is_never_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that was committed is told, from the loads that it came with, and next to nothing else."""
    monkeypatch.setattr(known, "MAX_EXACT_ROWS", 1_500)
    monkeypatch.setattr(known, "MAX_RUN_ROWS", 1_000)
    ids = KnownIds()
    for load in range(1, 9):
        ids.add(_identities(1_000, load), load, load)
        ids.commit()
    for load in range(1, 9):
        maybe, (first, last) = ids.maybe(_identities(1_000, load))
        assert maybe.all()
        assert first <= load <= last
    maybe, _ = ids.maybe(_identities(100_000, 99))
    assert maybe.sum() < 10


def test_what_is_rolled_back_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Identities of a landing that came to nothing are new."""
    monkeypatch.setattr(known, "MAX_EXACT_ROWS", 0)
    ids = KnownIds()
    ids.add(_identities(1_000, 1), 1, 1)
    assert ids.maybe(_identities(1_000, 1))[0].all()
    ids.rollback()
    assert not ids.maybe(_identities(1_000, 1))[0].any()


def test_a_sketch_takes_many_that_share_a_byte() -> None:
    """Identities whose bits lie side by side are all in it."""
    sketch = Sketch()
    ids = np.arange(5_000, dtype=np.uint64)
    sketch.add(ids)
    assert sketch.maybe(ids).all()


@pytest.mark.parametrize("most", [0, 7, 1_000])
def test_doubt_changes_nothing(local: Destination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Where every record may be there already, by what is remembered, each lands once and the counts are right: with
    copies in a batch, in a load and in loads before, however many are asked for together."""
    records = [json.dumps({"n": n % 25}) for n in range(ROWS)]
    outcomes: list[tuple[Any, list[int]]] = []
    for doubtful_all in (False, True):
        if doubtful_all:
            monkeypatch.setattr(KnownIds, "maybe", lambda _, high: (np.ones(len(high), dtype=bool), (0, 1 << 40)))
            monkeypatch.setattr(doubtful, "_MOST", most)
        stream = f"s{doubtful_all:d}"
        for part in (records[:20], records[10:]):
            write_files(tmp_path / "in", {f"{len(outcomes)}-{len(part)}.ndjson": "\n".join(part).encode()})
            land(local, tmp_path / "in", StreamSpec(stream=stream), batch_bytes=40, commit_bytes=100)
        outcomes.append((table(local, stream), _totals(local, stream)))
    assert len(outcomes[0][0]) == 25
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("doubtful_all", [False, True])
def test_doubt_hides_no_conflict(local: Destination, monkeypatch: pytest.MonkeyPatch, doubtful_all: bool) -> None:
    """A message id that comes again with another content is a conflict, also while the first waits to be asked for."""
    if doubtful_all:
        monkeypatch.setattr(KnownIds, "maybe", lambda _, high: (np.ones(len(high), dtype=bool), (0, 1 << 40)))
    spec = StreamSpec(stream="m", message=True)
    shaper = Shaper(spec, threads=1)
    schema = Schema()
    landing = None
    for ids in (["z"], ["a"], ["a", "b"]):
        bodies = [json.dumps({"v": f"{len(ids)} {id_}"}).encode() for id_ in ids]
        segments = [Segment(start=0, place="q", number=1)]
        batch = Batch(bodies=pa.array(bodies, pa.binary()), segments=segments, message_ids=pa.array(ids, pa.string()))
        shaped = shaper.shape(batch, schema)
        schema = shaped.schema
        landing = landing or local.land(Target(spec=spec, source="q"))
        landing.write(shaped)
        if ids == ["z"]:
            landing.commit()
            landing = None
    shaper.close()
    assert landing is not None
    receipt = landing.commit()
    assert (receipt.read, receipt.landed, receipt.duplicates, receipt.quarantined) == (3, 2, 0, 1)
    assert local.query("select v from raw.m order by v").rows == [("1 a",), ("1 z",), ("2 b",)]


def _totals(destination: Destination, stream: str) -> list[int]:
    """Read, landed, duplicates and quarantined over all loads, each of which adds up."""
    for read, landed, duplicates, quarantined in ledger(destination, stream):
        assert read == landed + duplicates + quarantined
    return [sum(counts) for counts in zip(*ledger(destination, stream), strict=True)]
