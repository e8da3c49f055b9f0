"""How the rows of a landing become files while the next ones come, and how it knows its own rows again."""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest

from penstock.destinations.spark.appending import Landed
from penstock.destinations.spark.destination import SparkDestination
from penstock.errors import PenstockError
from penstock.ports import Destination
from penstock.spec import StreamSpec
from tests.support.warehouse import land, ledger, table, write_files

SPEC = StreamSpec(stream="s", event_time="at", declared=(("at", "date"), ("n", "bigint")))


def records(seed: int, count: int, days: int) -> bytes:
    """Records in no order, a few of them twice, some without a day."""
    chance = random.Random(seed)
    lines = [
        f'{{"n": {n}, "at": "{date(2026, 1, 1) + timedelta(chance.randrange(days))}"}}\n'
        if n % 50
        else f'{{"n": {n}}}\n'
        for n in range(count)
    ]
    lines += chance.sample(lines, count // 10)
    chance.shuffle(lines)
    return "".join(lines).encode()


def test_pieces_of_a_landing(
    lake: SparkDestination, local: Destination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often rows are many while a landing goes on, it lands those that a DuckDB has; each file is of one day,
    in the order of its identities."""
    monkeypatch.setattr("penstock.destinations.spark.appending._LARGE_BYTES", 20_000)
    write_files(tmp_path / "in", {"a.ndjson": records(1, 2000, 9)})
    for destination in (lake, local):
        land(destination, tmp_path / "in", SPEC, batch_bytes=4_000)
    assert table(lake, "s") == table(local, "s")
    assert ledger(lake, "s") == ledger(local, "s") == [(2200, 2000, 200, 0)]
    tasks = list(lake.catalog.load_table("raw.s").scan().plan_files())
    assert len(tasks) > 20
    for task in tasks:
        stored = parquet.read_table(task.file.file_path.removeprefix("file://"), partitioning=None)
        ids = stored.column("_pen_id").to_pylist()
        assert ids == sorted(ids)
        assert len(set(stored.column("at").to_pylist())) == 1


def test_a_store_that_refuses_files(lake: SparkDestination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A landing whose files cannot be written fails and lands nothing, also where others were written; again, it does
    what it was to do."""
    monkeypatch.setattr("penstock.destinations.spark.appending._LARGE_BYTES", 1)
    write_files(tmp_path / "in", {"a.ndjson": records(2, 40, 3)})
    land(lake, tmp_path / "in", SPEC)
    rows, books = table(lake, "s"), ledger(lake, "s")
    blocked = tmp_path / "lake" / "raw" / "s" / "data" / "_pen_day=2026-01-09"
    blocked.write_text("no folder")
    write_files(tmp_path / "in", {"b.ndjson": records(3, 400, 12)})
    with pytest.raises(PenstockError):
        land(lake, tmp_path / "in", SPEC, batch_bytes=1_000)
    assert (table(lake, "s"), ledger(lake, "s")) == (rows, books)
    blocked.unlink()
    land(lake, tmp_path / "in", SPEC, batch_bytes=1_000)
    assert ledger(lake, "s")[-1][0] == 440
    landed = table(lake, "s")
    assert len({row["_pen_id"] for row in landed}) == len(landed) > 400


def test_identities_that_landed() -> None:
    """Those and no others, where many have one upper half, too."""
    chance = np.random.default_rng(1)
    halves = chance.integers(0, 40, (500, 2)).astype("uint64")
    landed, there = Landed(), set()
    for start in range(0, 300, 60):
        landed.add(halves[start : start + 60])
        there |= {tuple(pair) for pair in halves[start : start + 60].tolist()}
        assert landed.held(halves).tolist() == [tuple(pair) in there for pair in halves.tolist()]
    assert landed.held(halves[:0]).tolist() == []
