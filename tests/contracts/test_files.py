"""Files as a source: what is read, what is skipped, what is read on, on both destinations."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.errors import SourceError
from penstock.land.loop import Landed, load
from penstock.ports import Destination, Target, Window
from penstock.records.opening import CsvDialect
from penstock.shape.shaper import Shaper
from penstock.sources.files import planning
from penstock.sources.files.source import FilesSource
from penstock.spec import StreamSpec
from tests.support.fixtures import whichever as destination
from tests.support.warehouse import land, quarantined, table, write_files

__all__ = ["destination"]  # a fixture

RULES = StreamSpec(stream="s")


def _lines(*numbers: int) -> bytes:
    return b"".join(b'{"a":%d}\n' % n for n in numbers)


def _values(destination: Destination) -> list[Any]:
    return sorted((r["a"] for r in table(destination, "s")), key=str)


def _origins(destination: Destination) -> dict[Any, str]:
    return {a: origin for a, origin in destination.query('select a, _pen_origin from raw."s"').rows}  # noqa: C416


def _land_from(destination: Destination, source: FilesSource) -> Landed:
    shaper = Shaper(RULES, threads=1)
    try:
        return load(source, destination, shaper, Target(spec=RULES, source=source.name))
    finally:
        shaper.close()


def _read_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have any parsing of a file fail the test."""

    def refuse(*_: Any) -> Any:
        raise AssertionError("a file was parsed")

    monkeypatch.setattr(FilesSource, "_read_file", refuse)


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["*.ndjson"], [1, 2]),
        (["**/*.ndjson"], [1, 2, 3, 4]),
        (["deep"], [3, 4]),
        (["deep/*.ndjson", "1.ndjson", "deep/3.ndjson"], [1, 3]),
        (["[12].ndjson"], [1, 2]),
        (["deep/?/*.ndjson"], [4]),
    ],
)
def test_globs(tmp_path: Path, patterns: list[str], found: list[int]) -> None:
    """Patterns, also several and at any depth, name files; each is read once; hidden ones are left out."""
    write_files(
        tmp_path / "in",
        {
            "1.ndjson": _lines(1),
            "2.ndjson": _lines(2),
            "deep/3.ndjson": _lines(3),
            "deep/x/4.ndjson": _lines(4),
            ".5.ndjson": _lines(5),
            "_6.ndjson": _lines(6),
            "deep/.7/7.ndjson": _lines(7),
        },
    )
    batches = list(FilesSource("files", patterns, root=tmp_path / "in").read({}))
    assert sorted(json.loads(b.as_py())["a"] for batch in batches for b in batch.bodies) == found


def test_many_small_files_share_a_batch(destination: Destination, tmp_path: Path) -> None:
    """500 files of one record are one batch and one load, each row with its own file as origin."""
    write_files(tmp_path / "in", {f"{n:03}.ndjson": _lines(n) for n in range(500)})
    assert len(list(FilesSource("files", ["**"], root=tmp_path / "in").read({}))) == 1
    landed = land(destination, tmp_path / "in", RULES)
    assert [r.landed for r in landed.receipts] == [500]
    assert _origins(destination) == {n: f"{n:03}.ndjson#1" for n in range(500)}


@pytest.mark.parametrize("change", ["none", "touched", "renamed", "copied", "moved deeper", "compressed again"])
def test_known_content_is_not_parsed(
    destination: Destination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Content that landed is skipped without being parsed, under any name, time or place, and so the time after."""
    folder = tmp_path / "in"
    packed = gzip.compress(_lines(1, 2))
    write_files(folder, {"f.ndjson": _lines(1, 2), "g.ndjson": _lines(3, 4), "h.json.gz": packed})
    land(destination, folder, RULES)
    if change == "touched":
        os.utime(folder / "g.ndjson", (1, 1))
    elif change == "renamed":
        (folder / "g.ndjson").rename(folder / "other.ndjson")
    elif change == "copied":
        (folder / "copy.ndjson").write_bytes(_lines(3, 4))
    elif change == "moved deeper":
        (folder / "deep").mkdir()
        (folder / "g.ndjson").rename(folder / "deep" / "g.ndjson")
    elif change == "compressed again":
        (folder / "h.json.gz").unlink()
        (folder / "h.json.gz").write_bytes(gzip.compress(_lines(1, 2), mtime=7))
    _read_nothing(monkeypatch)
    for _ in range(2):
        again = land(destination, folder, RULES)
        assert again.receipts == []
        assert len(again.skipped) == (4 if change == "copied" else 3)
    monkeypatch.setattr(planning, "content_of", lambda *_: pytest.fail("known content was hashed again"))
    assert land(destination, folder, RULES).receipts == []


def test_a_copy_is_known_by_its_content(destination: Destination, tmp_path: Path) -> None:
    """Of files of one size, the copy keeps the content of its twin: replaced, it is read."""
    folder = tmp_path / "in"
    write_files(folder, {"a.ndjson": _lines(1), "b.ndjson": _lines(2)})
    land(destination, folder, RULES)
    (folder / "c.ndjson").write_bytes(_lines(2))
    assert land(destination, folder, RULES).receipts == []
    contents = {k: s["content"] for k, s in destination.ledger.positions("s", "files").items()}
    assert contents["c.ndjson"] == contents["b.ndjson"] != contents["a.ndjson"]


def test_grown_file_is_read_on(destination: Destination, tmp_path: Path) -> None:
    """Of NDJSON that grew only the new lines are read, and origins go on counting its lines."""
    folder = tmp_path / "in"
    write_files(folder, {"f.ndjson": b"\n" + _lines(1, 2)})
    land(destination, folder, RULES)
    for numbers in ((3,), (4, 5)):
        with (folder / "f.ndjson").open("ab") as file:
            file.write(_lines(*numbers))
        landed = land(destination, folder, RULES)
        assert (landed.total("read"), landed.total("landed")) == (len(numbers), len(numbers))
    assert _origins(destination) == {n: f"f.ndjson#{n + 1}" for n in range(1, 6)}


def test_grown_after_a_line_without_its_newline(destination: Destination, tmp_path: Path) -> None:
    """A whole last line lands before its newline has come; line numbers stay right when it does."""
    folder = tmp_path / "in"
    write_files(folder, {"f.ndjson": _lines(1, 2)[:-1]})
    assert land(destination, folder, RULES).total("landed") == 2
    with (folder / "f.ndjson").open("ab") as file:
        file.write(b"\n" + _lines(3))
    landed = land(destination, folder, RULES)
    assert (landed.total("read"), landed.total("landed")) == (1, 1)
    assert _origins(destination) == {1: "f.ndjson#1", 2: "f.ndjson#2", 3: "f.ndjson#3"}


def test_truncated_last_line_completed_later(destination: Destination, tmp_path: Path) -> None:
    """A line read while it was being written is quarantined; once whole, it lands."""
    folder = tmp_path / "in"
    write_files(folder, {"f.ndjson": _lines(1) + b'{"a":2'})
    land(destination, folder, RULES)
    assert quarantined(destination, "s") == {b'{"a":2': "invalid_json"}
    with (folder / "f.ndjson").open("ab") as file:
        file.write(b"2}\n" + _lines(3))
    landed = land(destination, folder, RULES)
    assert (landed.total("read"), landed.total("landed")) == (2, 2)
    assert _origins(destination) == {1: "f.ndjson#1", 22: "f.ndjson#2", 3: "f.ndjson#3"}


def test_grown_file_with_another_beginning(destination: Destination, tmp_path: Path) -> None:
    """When what was read is no longer there, the file is read again, whole; rows stay single."""
    folder = tmp_path / "in"
    write_files(folder, {"f.ndjson": _lines(1, 2)})
    land(destination, folder, RULES)
    (folder / "f.ndjson").write_bytes(_lines(9, 2, 3))
    landed = land(destination, folder, RULES)
    assert (landed.total("read"), landed.total("landed"), landed.total("duplicates")) == (3, 2, 1)
    assert _values(destination) == [1, 2, 3, 9]


@pytest.mark.parametrize("content", [_lines(8, 2), _lines(2), b"\n" * 16])
def test_replaced_file(destination: Destination, tmp_path: Path, content: bytes) -> None:
    """A file replaced by other content, of the same size or less, is read again; rows stay single."""
    folder = tmp_path / "in"
    write_files(folder, {"f.ndjson": _lines(1, 2)})
    land(destination, folder, RULES)
    (folder / "f.ndjson").write_bytes(content)
    landed = land(destination, folder, RULES)
    assert landed.total("read") == content.count(b"{")
    assert _values(destination) == ([1, 2, 8] if b"8" in content else [1, 2])
    assert land(destination, folder, RULES).receipts == []


def test_grown_compressed_file(destination: Destination, tmp_path: Path) -> None:
    """gzip that got one more member is read on as well."""
    folder = tmp_path / "in"
    write_files(folder, {"f.ndjson.gz": gzip.compress(_lines(1, 2))})
    land(destination, folder, RULES)
    with (folder / "f.ndjson.gz").open("ab") as file:
        file.write(gzip.compress(_lines(3)))
    landed = land(destination, folder, RULES)
    assert (landed.total("read"), landed.total("landed")) == (1, 1)
    assert _origins(destination)[3] == "f.ndjson.gz#3"


def test_resumed_in_the_middle(destination: Destination, tmp_path: Path) -> None:
    """A load that stops inside a file is read on from its last commit."""
    folder = tmp_path / "in"
    write_files(folder, {"f.ndjson": _lines(*range(2_000))})
    source = FilesSource("files", ["**"], root=folder, batch_bytes=2_000)
    batches = source.read({})
    shaper = Shaper(RULES, threads=1)
    landing = destination.land(Target(spec=RULES, source="files"))
    schema = destination.ledger.schema("s")
    for _ in range(3):
        shaped = shaper.shape(next(batches), schema)
        schema = shaped.schema
        landing.write(shaped)
    first = landing.commit().landed
    shaper.close()
    assert 0 < first < 2_000
    landed = land(destination, folder, RULES)
    assert (landed.total("read"), landed.total("duplicates")) == (2_000 - first, 0)
    assert _origins(destination) == {n: f"f.ndjson#{n + 1}" for n in range(2_000)}


def test_no_file_matches(destination: Destination, tmp_path: Path) -> None:
    """A pattern that matches nothing is an error of the source, which says where it looked and what to mend."""
    (tmp_path / "in").mkdir()
    with pytest.raises(SourceError, match="no file matches") as caught:
        land(destination, tmp_path / "in", RULES)
    assert caught.value.exit_code == 4
    assert caught.value.where == str(tmp_path / "in") and "path:" in caught.value.fix


def test_window_of_a_renamed_file(destination: Destination, tmp_path: Path) -> None:
    """That a day of a file has landed does not make the whole file known, under its own name or another."""
    folder = tmp_path / "in"
    lines = b"".join(b'{"a":%d,"at":"2020-12-%02dT00:00:00"}\n' % (n, n) for n in range(5, 9))
    write_files(folder, {"f.ndjson": lines})
    rules = StreamSpec(stream="s", event_time="at")
    day = Window(start=dt.datetime(2020, 12, 5), end=dt.datetime(2020, 12, 6))
    assert land(destination, folder, rules, window=day).total("landed") == 1
    (folder / "f.ndjson").rename(folder / "g.ndjson")
    assert land(destination, folder, rules, window=day).receipts == []
    assert land(destination, folder, rules).total("landed") == 3
    assert _values(destination) == [5, 6, 7, 8]


@pytest.mark.parametrize(
    ("content", "dialect", "rows"),
    [
        (b"a;b\n1;x\n", CsvDialect(delimiter=";"), [(1, "x")]),
        (b"a|b\n'1'|'x|y'\n", CsvDialect(delimiter="|", quote="'"), [(1, "x|y")]),
        (b'a,b\n1,"say ""hi"""\n', CsvDialect(), [(1, 'say "hi"')]),
        (b"a,b\n1,NULL\n2,\n3,x\n", CsvDialect(null_values=("NULL", "")), [(1, None), (2, None), (3, "x")]),
        (b'a,b\n1,""\n2,\n', CsvDialect(), [(1, ""), (2, None)]),
        (b"a,b\r\n1,x\r\n\r\n2,y\r\n", CsvDialect(), [(1, "x"), (2, "y")]),
        (b"\xef\xbb\xbfa,b\n1,x", CsvDialect(), [(1, "x")]),
        (b'"a","b"\n1,"x\ny"\n', CsvDialect(), [(1, "x\ny")]),
    ],
)
def test_csv_dialects(
    destination: Destination, tmp_path: Path, content: bytes, dialect: CsvDialect, rows: list[Any]
) -> None:
    """Delimiter, quote and null texts are as the source says; an empty text in quotes is no null."""
    write_files(tmp_path / "in", {"f.csv": content})
    _land_from(destination, FilesSource("files", ["**"], root=tmp_path / "in", dialect=dialect))
    assert sorted(((r["a"], r["b"]) for r in table(destination, "s")), key=str) == rows


def test_csv_without_header(destination: Destination, tmp_path: Path) -> None:
    """Columns without a header are numbered, and the first line is a record."""
    write_files(tmp_path / "in", {"f.csv": b"1,x\n2,y\n"})
    _land_from(destination, FilesSource("files", ["**"], root=tmp_path / "in", dialect=CsvDialect(header=False)))
    assert sorted((r["column_1"], r["column_2"]) for r in table(destination, "s")) == [(1, "x"), (2, "y")]


def test_csv_types(destination: Destination, tmp_path: Path) -> None:
    """CSV has no types, so texts that all spell a number, a truth value or a time become one; the rest stay texts."""
    write_files(
        tmp_path / "in",
        {"f.csv": b"i,d,b,day,at,t\n1,1.5,true,2020-12-07,2020-12-07 01:02:03,1\n-2,2,FALSE,2020-12-08,,x\n"},
    )
    land(destination, tmp_path / "in", RULES)
    assert {c.name: c.type for c in destination.ledger.schema("s").columns} == {
        "i": "bigint",
        "d": "double",
        "b": "boolean",
        "day": "date",
        "at": "timestamp",
        "t": "text",
    }


def test_parquet_types(destination: Destination, tmp_path: Path) -> None:
    """Parquet's values land as what they are, and the same on both destinations."""
    columns = {
        "i": pa.array([1, None], pa.int32()),
        "big": pa.array([2**63, 1], pa.uint64()),
        "d": pa.array([1.5, -0.25], pa.float64()),
        "b": pa.array([True, None]),
        "t": pa.array(["x", ""]),
        "day": pa.array([dt.date(2020, 12, 7), None]),
        "at": pa.array([dt.datetime(2020, 12, 7, 1, 2, 3, 4), None], pa.timestamp("us")),
        "zoned": pa.array([dt.datetime(2020, 12, 7, 1, 2, 3), None], pa.timestamp("us", "UTC")),
        "nested": pa.array([{"x": [1, 2]}, None]),
        "money": pa.array([Decimal("123456789012345678.25"), Decimal("0.50")], pa.decimal128(20, 2)),
    }
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "in" / "f.parquet")
    landed = land(destination, tmp_path / "in", RULES)
    assert landed.total("landed") == 2
    types = {c.name: c.type for c in destination.ledger.schema("s").columns}
    assert types == {
        "i": "bigint",
        "big": "decimal(38,0)",
        "d": "double",
        "b": "boolean",
        "t": "text",
        "day": "date",
        "at": "timestamp",
        "zoned": "timestamptz",
        "nested": "json",
        "money": "decimal(38,2)",
    }
    row = next(r for r in table(destination, "s") if r["i"] == 1)
    assert (row["big"], row["money"]) == (2**63, Decimal("123456789012345678.25"))
    assert (row["day"], row["at"]) == (dt.date(2020, 12, 7), dt.datetime(2020, 12, 7, 1, 2, 3, 4))
    assert land(destination, tmp_path / "in", RULES).receipts == []


MEASURED = """
import resource, sys
from pathlib import Path
from tests.support.warehouse import land
from penstock.destinations.duckdb.destination import DuckDBDestination
from penstock.spec import StreamSpec

folder = Path(sys.argv[1])
destination = DuckDBDestination(folder / "w.duckdb", threads=2)
destination.prepare()
landed = land(destination, folder / "in", StreamSpec(stream="s"))
print(landed.total("landed"), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_memory_is_bounded(tmp_path: Path) -> None:
    """A file of 300 MB, one array of a million objects, loads in under 700 MB of memory."""
    (tmp_path / "in").mkdir()
    record = '{{"n":{},"at":"2020-12-07T01:02:03","text":"' + "x" * 250 + '"}}'
    with (tmp_path / "in" / "f.json").open("w") as file:
        file.write("[")
        for n in range(10**6, 2 * 10**6):
            file.write(record.format(n) + (",\n" if n < 2 * 10**6 - 1 else "]"))
    assert (tmp_path / "in" / "f.json").stat().st_size >= 286 << 20
    run = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert run.returncode == 0, run.stderr
    rows, peak_kib = map(int, run.stdout.split())
    assert rows == 10**6
    assert peak_kib < 700 * 1024
