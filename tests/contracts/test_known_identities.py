"""Identities that a process remembers of a table: what it cannot tell to be new is asked for, and lands even so."""

from __future__ import annotations

import json
from collections.abc import Callable
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
from penstock.runs.quarantined import entries
from penstock.schema import Schema
from penstock.shape.shaper import Shaper
from penstock.spec import StreamSpec
from tests.support.fixtures import SLOW, open_warehouse
from tests.support.warehouse import doubt_all, forbid_13, land, ledger, table, write_files

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
            doubt_all(monkeypatch)
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
        doubt_all(monkeypatch)
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


def _forbid_null(destination: Destination) -> None:
    destination.query("alter table raw.s alter column a set not null")


def _forbid_copies(destination: Destination) -> None:
    destination.query("create unique index one_of_each on raw.s (a)")


@pytest.mark.parametrize(
    ("disposition", "most"),
    [("append", 7), pytest.param("append", 1_000, marks=SLOW), ("merge", 7), pytest.param("replace", 7, marks=SLOW)],
)
@pytest.mark.parametrize(
    ("constrain", "value"),
    [
        pytest.param(forbid_13, 13, id="check"),
        pytest.param(_forbid_null, None, id="null", marks=pytest.mark.slow),
        pytest.param(_forbid_copies, 0, id="unique"),
    ],
)
def test_a_doubtful_row_is_refused_as_any(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    constrain: Callable[[Destination], None],
    value: int | None,
    disposition: str,
    most: int,
) -> None:
    """A row that a constraint on the table refuses goes to quarantine with the same reason and the others land, also
    when it is inserted later than its batch: together with rows of others, or by the commit."""
    first = {"n": 0, "a": 0}
    records = [{"n": n, "a": value if n == 2 else n + 100} for n in range(1, 13)]
    outcomes = []
    for doubtful_all in (False, True):
        if doubtful_all:
            doubt_all(monkeypatch)
            monkeypatch.setattr(doubtful, "_MOST", most)
        folder = tmp_path / f"{doubtful_all:d}"
        folder.mkdir()
        warehouse = open_warehouse("duckdb", folder, request)
        rules = StreamSpec(stream="s", identity=("n",))
        for part in ([first], [first, *records]):
            write_files(folder / "in", {f"{len(part)}.ndjson": "\n".join(map(json.dumps, part)).encode()})
            land(warehouse, folder / "in", rules, disposition=disposition, batch_bytes=60)
            if part == [first]:
                constrain(warehouse)
        held = [(e.body, e.code, e.reason) for e in entries(warehouse.query)]
        outcomes.append((table(warehouse, "s"), _totals(warehouse, "s"), held))
        warehouse.close()
    rows, totals, held = outcomes[0]
    assert [body for body, *_ in held] == [json.dumps(records[1]).encode()]
    assert (len(rows), totals) == (12, [14, 12, 1, 1])
    assert outcomes[1] == outcomes[0]


def _totals(destination: Destination, stream: str) -> list[int]:
    """Read, landed, duplicates and quarantined over all loads, each of which adds up."""
    for read, landed, duplicates, quarantined in ledger(destination, stream):
        assert read == landed + duplicates + quarantined
    return [sum(counts) for counts in zip(*ledger(destination, stream), strict=True)]
