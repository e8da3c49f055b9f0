"""``append``, ``merge`` and ``replace``: which of the records of one identity is the row, on both destinations."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import SourceError
from penstock.land.loop import Landed
from penstock.ports import Destination
from penstock.spec import StreamSpec
from tests.support.warehouse import land, ledger, quarantined, table, write_files

KEYED = StreamSpec(stream="s", identity=("k",), version="v")
WHOLE = StreamSpec(stream="s", identity=("k",))


def _put(folder: Path, *files: list[dict[str, Any]]) -> None:
    write_files(
        folder,
        {f"{i}.ndjson": b"".join(json.dumps(r).encode() + b"\n" for r in found) for i, found in enumerate(files)},
    )


def _rows(destination: Destination, *names: str) -> list[tuple[Any, ...]]:
    return sorted((tuple(r[n] for n in names) for r in table(destination, "s")), key=str)


def _merge(destination: Destination, folder: Path, *records: dict[str, Any], **how: Any) -> Landed:
    _put(folder, list(records))
    return land(destination, folder, KEYED, disposition="merge", **how)


def _replace(destination: Destination, folder: Path, **how: Any) -> Landed:
    return land(destination, folder, WHOLE, disposition="replace", **how)


def test_append_keeps_the_first(destination: Destination, tmp_path: Path) -> None:
    """Of records of one key the first stays, within a load and between loads; the others are duplicates."""
    rules = StreamSpec(stream="s", identity=("k",))
    _put(tmp_path / "in", [{"k": 1, "v": "a"}, {"k": 1, "v": "b"}, {"k": 2, "v": "c"}])
    land(destination, tmp_path / "in", rules)
    _put(tmp_path / "in", [{"k": 2, "v": "d"}, {"k": 3, "v": "e"}])
    land(destination, tmp_path / "in", rules)
    assert _rows(destination, "k", "v") == [(1, "a"), (2, "c"), (3, "e")]
    assert ledger(destination, "s") == [(3, 2, 1, 0), (2, 1, 1, 0)]


def test_append_by_content_keeps_every_version(destination: Destination, tmp_path: Path) -> None:
    """Without a key, records that differ anywhere are different."""
    _put(tmp_path / "in", [{"k": 1, "v": "a"}, {"k": 1, "v": "b"}, {"v": "a", "k": 1}])
    land(destination, tmp_path / "in", StreamSpec(stream="s"))
    assert _rows(destination, "k", "v") == [(1, "a"), (1, "b")]


def test_composite_keys_do_not_run_together(destination: Destination, tmp_path: Path) -> None:
    """A key of several fields keeps them apart; a number and its text are one key, the empty text is a value."""
    records: list[dict[str, Any]] = [
        {"a": "x", "b": "yz"},
        {"a": "xy", "b": "z"},
        {"a": "", "b": "xyz"},
        {"a": "x", "b": "yz", "c": 1},
    ]
    _put(tmp_path / "in", records)
    land(destination, tmp_path / "in", StreamSpec(stream="s", identity=("a", "b")))
    assert _rows(destination, "a", "b") == [("", "xyz"), ("x", "yz"), ("xy", "z")]


def test_merge_late_never_overwrites_newer(destination: Destination, tmp_path: Path) -> None:
    """One row a key: the greatest version, in whatever order versions come; the ledger counts each replacement."""
    folder = tmp_path / "in"
    _merge(destination, folder, {"k": 1, "v": 5, "t": "five"}, {"k": 2, "v": 1, "t": "one"})
    late = _merge(destination, folder, {"k": 1, "v": 3, "t": "late"})
    assert (late.total("landed"), late.total("duplicates")) == (0, 1)
    newer = _merge(destination, folder, {"k": 1, "v": 7, "t": "seven"}, {"k": 1, "v": 6, "t": "six"})
    assert (newer.total("landed"), newer.total("duplicates")) == (1, 1)
    assert _rows(destination, "k", "v", "t") == [(1, 7, "seven"), (2, 1, "one")]
    again = _merge(destination, folder, {"k": 1, "v": 7, "t": "seven"})
    assert again.total("landed") == 0


VERSIONS: dict[str, tuple[str, str, str]] = {
    "bigint": ("9", '"10"', "8.5"),
    "double": ("1.5", "1777633200123456789.25", '"1.25"'),
    "timestamp": ('"2026-05-01 10:00:00"', '"2026-05-01T10:00:00.1234567"', '"2026-05-01T10:30:00+02:00"'),
    "timestamptz": ('"2026-05-01T10:00:00.5Z"', '"2026-05-01T10:00:00.50000001Z"', '"2026-05-01T11:00:00.4+01:00"'),
    "date": ('"2026-05-01"', '"2026-05-01T00:00:01"', '"2026-04-30T22:59:59-01:00"'),
    "text": ('"a"', "0", '"Z"'),
    "json": ('"2026-05-01"', '"2026-05-02T00:00:00+01:00"', "20260501"),
    "boolean": ("false", "true", '"F"'),
}
"""For each type of column: a version, one that is greater and one that is less, whatever the column holds of them."""
FEW = ("bigint", "timestamptz", "text")
"""What is tried on PostgreSQL in ``make test`` too."""


@pytest.mark.parametrize(
    ("destination", "type_"),
    [
        pytest.param(engine, type_, marks=() if engine == "duckdb" or type_ in FEW else pytest.mark.slow)
        for engine in ("duckdb", "postgres")
        for type_ in VERSIONS
    ],
    indirect=["destination"],
)
def test_merge_into_a_table_without_keys_of_versions(destination: Destination, tmp_path: Path, type_: str) -> None:
    """Rows that landed before versions had keys get theirs, from their column or from what was rescued."""
    rules = StreamSpec(**{**_fields(KEYED), "declared": (("v", type_), ("t", "text"))})

    def put(*texts: str) -> None:
        lines = "".join(f'{{"k":{i},"v":{v},"t":{json.dumps(v)}}}\n' for i, v in enumerate(texts))
        write_files(tmp_path / "in", {f"{abs(hash(texts))}.ndjson": lines.encode()})
        land(destination, tmp_path / "in", rules, disposition="merge")

    before, greater, less = VERSIONS[type_]
    put(before, greater, before, less)
    kept = {r["k"]: r["_pen_version"] for r in table(destination, "s")}
    destination.query("drop view raw.s__delta")
    destination.query("alter table raw.s drop column _pen_version")
    put(greater, before, less, before)
    assert dict(_rows(destination, "k", "t")) == {0: greater, 1: greater, 2: before, 3: before}
    assert {r["k"]: r["_pen_version"] for r in table(destination, "s")} == {**kept, 0: kept[1], 3: kept[2]}


@pytest.mark.parametrize("split", ["one file", "one each", "one batch each"])
def test_merge_any_order(destination: Destination, tmp_path: Path, split: str) -> None:
    """Ties and missing versions are settled by what the records hold, never by when they came."""
    records: list[dict[str, Any]] = [
        {"k": 1, "v": None, "t": "none"},
        {"k": 1, "v": 2, "t": "a"},
        {"k": 1, "v": 2, "t": "b"},
        {"k": 2, "t": "absent"},
        {"k": 2, "v": None, "t": "null"},
    ]
    seen: set[Any] = set()
    for order in itertools.islice(itertools.permutations(records), 0, 120, 29):
        rules = StreamSpec(**{**_fields(KEYED), "stream": f"s{len(seen)}", "declared": (("v", "bigint"),)})
        stream = rules.stream
        destination.query(f'drop table if exists raw."{stream}" cascade')
        destination.query(f"delete from penstock.columns where stream = '{stream}'")
        destination.query(f"delete from penstock.positions where stream = '{stream}'")
        parts = [[r] for r in order] if split == "one each" else [list(order)]
        _put(tmp_path / "in", *parts)
        land(
            destination,
            tmp_path / "in",
            rules,
            disposition="merge",
            batch_bytes=20 if split == "one batch each" else 1 << 20,
        )
        seen = {*seen, tuple(sorted((r["k"], r["v"], r["t"]) for r in table(destination, stream)))}
        assert len(seen) == 1
    ((first, second),) = seen
    assert first[:2] == (1, 2) and second[:2] == (2, None)


def _fields(rules: StreamSpec) -> dict[str, Any]:
    return {name: getattr(rules, name) for name in rules.__dataclass_fields__}


def test_merge_null_version_is_the_smallest(destination: Destination, tmp_path: Path) -> None:
    """A record without a version never overwrites one that has one, and is overwritten by it."""
    folder = tmp_path / "in"
    _merge(destination, folder, {"k": 1, "v": 0, "t": "zero"}, {"k": 2, "v": None, "t": "none"})
    _merge(destination, folder, {"k": 1, "v": None, "t": "none"}, {"k": 2, "v": -5, "t": "minus"})
    _merge(destination, folder, {"k": 1, "t": "absent"}, {"k": 2})
    assert _rows(destination, "k", "v", "t") == [(1, 0, "zero"), (2, -5, "minus")]


def test_merge_by_text_and_time(destination: Destination, tmp_path: Path) -> None:
    """Versions that are texts go by their bytes, the same on both engines; times by time."""
    folder = tmp_path / "in"
    _merge(destination, folder, {"k": 1, "v": "Z"}, {"k": 2, "v": "a"})
    _merge(destination, folder, {"k": 1, "v": "a"}, {"k": 2, "v": "Z"})
    _merge(destination, folder, {"k": 1, "v": "É"}, {"k": 2, "v": "_"})
    assert _rows(destination, "k", "v") == [(1, "É"), (2, "a")]


def test_merge_new_column_with_the_winner(destination: Destination, tmp_path: Path) -> None:
    """A newer version may bring a column; the row it replaces is gone with all its values."""
    folder = tmp_path / "in"
    _merge(destination, folder, {"k": 1, "v": 1, "old": "x"})
    _merge(destination, folder, {"k": 1, "v": 2, "new": "y"})
    assert _rows(destination, "k", "v", "old", "new") == [(1, 2, None, "y")]


def test_merge_without_a_version_is_the_same_in_any_order(destination: Destination, tmp_path: Path) -> None:
    """Without ``version:`` one record of each key is kept, which does not depend on the order."""
    seen: list[Any] = []
    for order in ((1, 2, 3), (3, 1, 2)):
        rules = StreamSpec(stream=f"s{len(seen)}", identity=("k",))
        for n in order:
            _put(tmp_path / "in", [{"k": 1, "x": n}])
            land(destination, tmp_path / "in", rules, disposition="merge")
        seen.append([r["x"] for r in table(destination, rules.stream)])
    assert seen[0] == seen[1] and len(seen[0]) == 1


@pytest.mark.parametrize("batch_bytes", [20, 1 << 20])
def test_replace(destination: Destination, tmp_path: Path, batch_bytes: int) -> None:
    """Each load takes the place of all before: changed rows change, missing ones go, equal ones stay as they were."""
    folder = tmp_path / "in"
    _put(folder, [{"k": 1, "x": "a"}, {"k": 2, "x": "b"}], [{"k": 3, "x": "c"}])
    _replace(destination, folder, batch_bytes=batch_bytes)
    _put(folder, [{"k": 1, "x": "a"}, {"k": 2, "x": "B"}], [{"k": 4, "x": "d"}])
    landed = _replace(destination, folder, batch_bytes=batch_bytes)
    assert _rows(destination, "k", "x") == [(1, "a"), (2, "B"), (4, "d")]
    assert (landed.total("read"), landed.total("landed")) == (4 - 1, 2)
    loads = destination.query('select k, _pen_load from raw."s" order by k').rows
    assert loads[0][1] < loads[1][1] == loads[2][1]


def test_replace_again_is_nothing(destination: Destination, tmp_path: Path) -> None:
    """The same files again are not read; read after all, they change nothing."""
    _put(tmp_path / "in", [{"k": 1}, {"k": 2}], [{"k": 3}])
    _replace(destination, tmp_path / "in")
    before = table(destination, "s")
    assert _replace(destination, tmp_path / "in").receipts == []
    assert _replace(destination, tmp_path / "in", fingerprint=False).total("landed") == 0
    assert table(destination, "s") == before


def test_replace_one_changed_file_keeps_the_others(destination: Destination, tmp_path: Path) -> None:
    """When one file of several changed, the rows of the others stay."""
    _put(tmp_path / "in", [{"k": 1}], [{"k": 2}])
    _replace(destination, tmp_path / "in")
    (tmp_path / "in" / "1.ndjson").write_bytes(b'{"k":3}\n')
    _replace(destination, tmp_path / "in")
    assert _rows(destination, "k") == [(1,), (3,)]


def test_replace_deletes_the_rows_of_a_file_that_is_gone(destination: Destination, tmp_path: Path) -> None:
    """A file taken away takes its rows with it; the load after that is nothing, and the file may come back."""
    _put(tmp_path / "in", [{"k": 1}], [{"k": 2}])
    _replace(destination, tmp_path / "in")
    (tmp_path / "in" / "1.ndjson").unlink()
    _replace(destination, tmp_path / "in")
    assert _rows(destination, "k") == [(1,)]
    assert _replace(destination, tmp_path / "in").receipts == []
    (tmp_path / "in" / "1.ndjson").write_bytes(b'{"k":2}\n')
    _replace(destination, tmp_path / "in")
    assert _rows(destination, "k") == [(1,), (2,)]


def test_replace_is_atomic(destination: Destination, tmp_path: Path) -> None:
    """A refresh that fails on the way leaves the table of before, also when its commits would be small."""
    _put(tmp_path / "in", [{"k": 1}], [{"k": 2}])
    _replace(destination, tmp_path / "in")
    before = table(destination, "s")
    write_files(tmp_path / "in", {"0.ndjson": b'{"k":7}\n' * 50, "1.ndjson.gz": b"\x1f\x8bdamaged"})
    with pytest.raises(SourceError):
        _replace(destination, tmp_path / "in", batch_bytes=20, commit_bytes=20)
    assert table(destination, "s") == before


def test_replace_by_nothing_but_rejects(destination: Destination, tmp_path: Path) -> None:
    """A refresh of which no record can land deletes nothing: the table is not emptied by a broken delivery."""
    _put(tmp_path / "in", [{"k": 1}])
    _replace(destination, tmp_path / "in")
    write_files(tmp_path / "in", {"0.ndjson": b"{broken\n"})
    _replace(destination, tmp_path / "in")
    assert _rows(destination, "k") == [(1,)]
    assert quarantined(destination, "s") == {b"{broken": "invalid_json"}
