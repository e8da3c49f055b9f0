"""The laws of landing, as properties over both destinations."""

from __future__ import annotations

import gzip
import itertools
import json
import random
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.ports import Destination
from penstock.shape.rules import Rules
from tests.support.examples import examples
from tests.support.warehouse import land, ledger, quarantined, table, write_files

PROPERTY = settings(
    max_examples=examples(15),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_numbers = itertools.count(1)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
    st.sampled_from(["2020-12-07", "2020-12-07T01:02:03.5", "2020-12-07 01:02:03+02:00", "true", "1e400", "", "null"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from(["id", "Name", "name", "räum", 'a"b', "a b", "x/y~z", "select", "", "_pen_id", "ctid", "😀"])
records = st.lists(st.dictionaries(fields, values, max_size=6), min_size=1, max_size=12)
events = st.lists(
    st.fixed_dictionaries(
        {"k": st.integers(1, 5), "v": st.integers(0, 4), "t": st.sampled_from(["a", "b", "", None])},
        optional={"x": st.integers(-3, 3) | texts},
    ),
    min_size=1,
    max_size=20,
)
lines = st.one_of(
    records.map(lambda rs: json.dumps(rs[0]).encode()),
    st.binary(max_size=20).map(lambda b: b.replace(b"\n", b" ")),
    st.sampled_from(
        [
            b'{"a":1,}',
            b"[1,2]",
            b'{"a":NaN}',
            b'{"a":"\\u0000"}',
            b'{"a":"\\ud800"}',
            b'{"a":1,"a":2}',
            b"\xff\xfe",
            b"7",
            b'{"a":1}{"a":2}',
            b"[" * 700 + b"]" * 700,
        ]
    ),
)


def _stream() -> str:
    return f"s{next(_numbers)}"


def _ndjson(found: list[dict[str, Any]], draw: random.Random | None = None) -> bytes:
    """Lines, in a shuffled spelling when ``draw`` is given: key order, white space, escapes."""
    out = []
    for record in found:
        items = list(record.items())
        if draw:
            draw.shuffle(items)
        text = json.dumps(
            dict(items),
            ensure_ascii=bool(draw and draw.random() < 0.5),
            separators=(" , ", " :  ") if draw and draw.random() < 0.5 else (",", ":"),
        )
        out.append(text.encode())
    return b"\n".join(out) + b"\n"


@PROPERTY
@given(found=records, seed=st.integers(0, 99))
def test_same_rows(destination: Destination, tmp_path: Path, found: list[dict[str, Any]], seed: int) -> None:
    """Law 2: lines, an array, gzip, another key order or white space: the same rows."""
    draw = random.Random(seed)
    spellings = {
        "lines": {"a.ndjson": _ndjson(found)},
        "array": {"a.json": json.dumps(found).encode()},
        "spelt": {"a.jsonl.gz": gzip.compress(_ndjson(found, draw))},
        "pretty": {"a.json": b"\n".join(json.dumps(r, indent=1).encode() for r in found)},
    }
    seen = {}
    for name, files in spellings.items():
        stream = _stream()
        write_files(tmp_path / "in", files)
        land(destination, tmp_path / "in", Rules(stream=stream))
        seen[name] = table(destination, stream), sorted(quarantined(destination, stream).values())
    assert seen["array"] == seen["lines"]
    assert seen["spelt"] == seen["lines"]
    assert seen["pretty"] == seen["lines"]


@PROPERTY
@given(found=st.lists(lines, max_size=12))
def test_nothing_lost(destination: Destination, tmp_path: Path, found: list[bytes]) -> None:
    """Law 3: records read = rows landed + duplicates + quarantined, and what is quarantined is what came."""
    stream = _stream()
    content = b"\n" + b"\n".join(found) + b"\n"
    write_files(tmp_path / "in", {"a.ndjson": content})
    landed = land(destination, tmp_path / "in", Rules(stream=stream))
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
    keyed = {"identity": ("k",), "version": "v", "content": True} if disposition == "merge" else {}
    seen = []
    for shuffled in (False, True, True):
        stream = _stream()
        rules = Rules(stream=stream, declared=declared, **keyed)  # type: ignore[arg-type]
        arrived = draw.sample(found, len(found)) if shuffled else found
        cut = draw.randrange(len(arrived) + 1) if shuffled else len(arrived)
        for part, piece in enumerate((arrived[:cut], arrived[cut:])):
            if piece:
                write_files(tmp_path / "in", {f"{part}.ndjson": _ndjson(piece)})
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
    stream = _stream()
    write_files(tmp_path / "in", {"a.ndjson": _ndjson(found)})
    land(destination, tmp_path / "in", Rules(stream=stream))
    before = table(destination, stream)
    assert land(destination, tmp_path / "in", Rules(stream=stream)).receipts == []
    again = land(destination, tmp_path / "in", Rules(stream=stream), fingerprint=False)
    assert (again.total("landed"), again.total("quarantined")) == (0, 0)
    assert table(destination, stream) == before


@PROPERTY
@given(found=records, modes=st.tuples(*[st.sampled_from(["evolve", "rescue", "reject"])] * 2))
def test_same_on_every_engine(
    both: list[Destination], tmp_path: Path, found: list[dict[str, Any]], modes: tuple[Any, Any]
) -> None:
    """Law 7: both destinations hold the same rows, the same columns and the same quarantine."""
    stream = _stream()
    half = len(found) // 2
    seen = []
    for destination in both:
        rules = Rules(stream=stream, columns=modes[0], types=modes[1])
        for name, part in (("a", found[:half]), ("b", found[half:])):
            write_files(tmp_path / destination.kind, {f"{name}.ndjson": _ndjson(part)} if part else {"e.ndjson": b""})
            land(destination, tmp_path / destination.kind, rules)
        schema = destination.schema(stream)
        rows = table(destination, stream) if schema.version else []
        seen.append((rows, schema, quarantined(destination, stream), ledger(destination, stream)))
    assert seen[0] == seen[1]
