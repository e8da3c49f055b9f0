"""The laws of landing, as properties over both destinations."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.ports import Destination
from penstock.spec import StreamSpec
from tests.support.records import (
    PROPERTY,
    a_stream,
    events,
    lines,
    ndjson,
    records,
)
from tests.support.warehouse import land, ledger, quarantined, table, write_files

pytestmark = pytest.mark.usefixtures("each_kernel")


@PROPERTY
@given(found=records, seed=st.integers(0, 99))
def test_same_rows(destination: Destination, tmp_path: Path, found: list[dict[str, Any]], seed: int) -> None:
    """Law 2: lines, an array, gzip, another key order or white space: the same rows."""
    draw = random.Random(seed)
    spellings = {
        "lines": {"a.ndjson": ndjson(found)},
        "array": {"a.json": json.dumps(found).encode()},
        "spelt": {"a.jsonl.gz": gzip.compress(ndjson(found, draw))},
        "pretty": {"a.json": b"\n".join(json.dumps(r, indent=1).encode() for r in found)},
    }
    seen = {}
    for name, files in spellings.items():
        stream = a_stream()
        write_files(tmp_path / "in", files)
        land(destination, tmp_path / "in", StreamSpec(stream=stream))
        seen[name] = table(destination, stream), sorted(quarantined(destination, stream).values())
    assert seen["array"] == seen["lines"]
    assert seen["spelt"] == seen["lines"]
    assert seen["pretty"] == seen["lines"]


@PROPERTY
@given(found=st.lists(lines, max_size=12))
def test_nothing_lost(destination: Destination, tmp_path: Path, found: list[bytes]) -> None:
    """Law 3: records read = rows landed + duplicates + quarantined, and what is quarantined is what came."""
    stream = a_stream()
    content = b"\n" + b"\n".join(found) + b"\n"
    write_files(tmp_path / "in", {"a.ndjson": content})
    landed = land(destination, tmp_path / "in", StreamSpec(stream=stream))
    for read, new, duplicates, rejected in ledger(destination, stream):
        assert read == new + duplicates + rejected
        assert min(new, duplicates, rejected) >= 0
    blank = sum(not line.strip(b" \t\r") for line in found)
    assert landed.total("read") >= sum(line != b"[]" for line in found) - blank - found.count(b"[]")
    if landed.total("landed"):
        assert len(table(destination, stream)) == landed.total("landed")
    assert len(quarantined(destination, stream)) == landed.total("quarantined")
    assert all(body in content for body in quarantined(destination, stream))


@PROPERTY
@given(found=events, seed=st.integers(0, 99), disposition=st.sampled_from(["append", "merge"]))
def test_any_order(
    destination: Destination, tmp_path: Path, found: list[dict[str, Any]], seed: int, disposition: str
) -> None:
    """Law 4: every order of arrival and every split into files and batches gives the same table."""
    draw = random.Random(seed)
    declared = (("k", "bigint"), ("v", "bigint"), ("t", "text"), ("x", "bigint"))
    keyed = {"identity": ("k",), "version": "v"} if disposition == "merge" else {}
    seen = []
    for shuffled in (False, True, True):
        stream = a_stream()
        rules = StreamSpec(stream=stream, declared=declared, **keyed)  # type: ignore[arg-type]
        arrived = draw.sample(found, len(found)) if shuffled else found
        cut = draw.randrange(len(arrived) + 1) if shuffled else len(arrived)
        for part, piece in enumerate((arrived[:cut], arrived[cut:])):
            if piece:
                write_files(tmp_path / "in", {f"{part}.ndjson": ndjson(piece)})
                land(
                    destination,
                    tmp_path / "in",
                    rules,
                    disposition=disposition,
                    batch_bytes=50 if shuffled else 1 << 20,
                )
        seen.append(table(destination, stream))
    assert seen[0] == seen[1] == seen[2]


@PROPERTY
@given(found=records)
def test_again_is_nothing(destination: Destination, tmp_path: Path, found: list[dict[str, Any]]) -> None:
    """Law 5: a second load lands 0 rows, with the fingerprint and without."""
    stream = a_stream()
    write_files(tmp_path / "in", {"a.ndjson": ndjson(found)})
    land(destination, tmp_path / "in", StreamSpec(stream=stream))
    before = table(destination, stream)
    assert land(destination, tmp_path / "in", StreamSpec(stream=stream)).receipts == []
    again = land(destination, tmp_path / "in", StreamSpec(stream=stream), fingerprint=False)
    assert (again.total("landed"), again.total("quarantined")) == (0, 0)
    assert table(destination, stream) == before


@PROPERTY
@given(found=records, modes=st.tuples(*[st.sampled_from(["evolve", "rescue", "reject"])] * 2))
def test_same_on_every_engine(
    both: list[Destination], tmp_path: Path, found: list[dict[str, Any]], modes: tuple[Any, Any]
) -> None:
    """Law 7: both destinations hold the same rows, the same columns and the same quarantine."""
    stream = a_stream()
    half = len(found) // 2
    seen = []
    for destination in both:
        rules = StreamSpec(stream=stream, columns=modes[0], types=modes[1])
        for name, part in (("a", found[:half]), ("b", found[half:])):
            write_files(tmp_path / destination.kind, {f"{name}.ndjson": ndjson(part)} if part else {"e.ndjson": b""})
            land(destination, tmp_path / destination.kind, rules)
        schema = destination.ledger.schema(stream)
        rows = table(destination, stream) if schema.version else []
        seen.append((rows, schema, quarantined(destination, stream), ledger(destination, stream)))
    assert seen[0] == seen[1]
