"""Law 4 for ``merge``: which record is the row is for its version alone to say, whatever column that fits."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.ports import Destination
from penstock.spec import StreamSpec
from tests.support.examples import examples
from tests.support.versions import Rank, versions
from tests.support.warehouse import land, ledger, table, write_files

_numbers = itertools.count(1)
_keys = st.lists(st.lists(versions, min_size=1, max_size=4), min_size=1, max_size=12)


@settings(
    max_examples=examples(5),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(keys=_keys, seed=st.integers(0, 99), types=st.sampled_from(["rescue", "evolve"]))
def test_the_greatest_version_stays(
    destination: Destination, tmp_path: Path, keys: list[list[tuple[str, Rank]]], seed: int, types: str
) -> None:
    """The greatest version of each key is the row: numbers, texts that spell numbers, times of any zone and any digits,
    days and other texts, in one load or several, in every order. All of its record is there."""
    draw = random.Random(seed)
    greatest: dict[int, Rank] = {}
    ranks: dict[int, Rank] = {}
    records: list[bytes] = []
    for k, drawn in enumerate(keys):
        for version, rank in drawn:
            n = len(records)
            ranks[n], greatest[k] = rank, max(greatest.get(k, (0, 0)), rank)
            field = f'"v":{version},' if version else ""
            records.append(f'{{"k":{k},{field}"n":{n}}}\n'.encode())
    seen = []
    for split in ("one load", "one batch each", "several loads"):
        stream = f"s{next(_numbers)}"
        rules = StreamSpec(stream=stream, identity=("k",), version="v", types=types)  # type: ignore[arg-type]
        draw.shuffle(records)
        parts = [records[i::3] for i in range(3)] if split == "several loads" else [records]
        for part in filter(None, parts):
            write_files(tmp_path / "in", {f"{split}-{len(part)}-{next(_numbers)}.ndjson": b"".join(part)})
            size = 40 if split == "one batch each" else 1 << 20
            land(destination, tmp_path / "in", rules, disposition="merge", batch_bytes=size)
        kept = {r["k"]: r["n"] for r in table(destination, stream)}
        assert {k: ranks[n] for k, n in kept.items()} == greatest
        seen.append(kept)
        for read, landed, duplicates, quarantined in ledger(destination, stream):
            assert read == landed + duplicates + quarantined
    assert seen[1] == seen[0]
    assert seen[2] == seen[0]
