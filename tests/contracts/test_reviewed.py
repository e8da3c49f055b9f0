"""Corners in which records once got lost, doubled or changed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import zstandard

from penstock.errors import ProjectError, SourceError, UsageError
from penstock.ports import Destination
from penstock.project import load_project
from penstock.runs.plan import day_window, plan_loads
from penstock.shape.strict import Unsound, examine
from penstock.spec import StreamSpec
from tests.support.warehouse import land, quarantined, table, write_files

PROJECT = """
name: p
destinations: { d: { type: duckdb, path: w.duckdb } }
sources: { a: { type: files, path: a }, b: { type: files, path: b } }
streams: { s: { SETTINGS } }
"""


def test_csv_of_rows_of_another_width(destination: Destination, tmp_path: Path) -> None:
    """A comma too many in every row: all of them are kept, in quarantine."""
    write_files(tmp_path / "in", {"f.csv": b"id,name\n1,joe,\n2,ann,\n"})
    land(destination, tmp_path / "in", StreamSpec(stream="s"))
    assert set(quarantined(destination, "s")) == {b"1,joe,", b"2,ann,"}


def test_csv_columns_of_any_name(destination: Destination, tmp_path: Path) -> None:
    """A column may be called as the code calls its own, and names may differ in case alone."""
    write_files(tmp_path / "in", {"f.csv": b"id,r,ID,rows\n1,5,7,9\n"})
    land(destination, tmp_path / "in", StreamSpec(stream="s"))
    fields = {c.field: c.name for c in destination.ledger.schema("s").columns}
    assert set(fields) == {"id", "r", "ID", "rows"}
    row = table(destination, "s")[0]
    assert [row[fields[f]] for f in ("id", "r", "ID", "rows")] == [1, 5, 7, 9]


def test_cut_off_zstd(destination: Destination, tmp_path: Path) -> None:
    """A frame that is cut off is damage, and the file is not marked as read."""
    whole = zstandard.compress(b"".join(b'{"a":%d}\n' % i for i in range(1_000)))
    write_files(tmp_path / "in", {"f.ndjson.zst": whole[: len(whole) // 2]})
    with pytest.raises(SourceError, match="cut off"):
        land(destination, tmp_path / "in", StreamSpec(stream="s"))
    write_files(tmp_path / "in", {"f.ndjson.zst": zstandard.compress(b'{"a":1}\n') + zstandard.compress(b'{"a":2}\n')})
    land(destination, tmp_path / "in", StreamSpec(stream="t"))
    assert {r["a"] for r in table(destination, "t")} == {1, 2}


def test_unknown_file_beside_sound_ones(destination: Destination, tmp_path: Path) -> None:
    """A file that nobody can read stops with an error; the sound files before it land."""
    write_files(tmp_path / "in", {"1.ndjson": b'{"a":1}\n', "README": b"read me\n"})
    with pytest.raises(SourceError, match="format"):
        land(destination, tmp_path / "in", StreamSpec(stream="s"))
    assert [r["a"] for r in table(destination, "s")] == [1]


def test_replace_of_which_nothing_lands(destination: Destination, tmp_path: Path) -> None:
    """The first refresh holds nothing but a bad line: it is kept, and nothing breaks."""
    write_files(tmp_path / "in", {"f.ndjson": b"{bad\n"})
    land(destination, tmp_path / "in", StreamSpec(stream="s"), disposition="replace")
    assert quarantined(destination, "s") == {b"{bad": "invalid_json"}


def test_many_variants_of_a_kind(destination: Destination, tmp_path: Path) -> None:
    """Under evolve each type that a value needs gets a column of its own name."""
    numbers = [
        "1",
        "1.123456789012345678",
        "12345678901234567890123456789012.5",
        "123456789012345678901234567890123.12345",
    ]
    for i, number in enumerate(numbers):
        write_files(tmp_path / "in", {f"{i}.ndjson": f'{{"p":{number}}}\n'.encode()})
        land(destination, tmp_path / "in", StreamSpec(stream="s", types="evolve"))
    names = [c.name for c in destination.ledger.schema("s").columns]
    assert len(names) == len(set(names)) == 4
    assert len(table(destination, "s")) == 4


def test_rejected_elements_keep_their_text() -> None:
    """What goes to quarantine is what came, also a text that looks like a mark of ours."""
    found = list(examine(b'[{"a":"\\u0000n5"},{"b":123456789012345678901234567890,"c":"\\u0000"}]', 1000))
    assert [f.original for f in found if isinstance(f, Unsound)] == [
        b'{"a":"\\u0000n5"}',
        b'{"b":123456789012345678901234567890,"c":"\\u0000"}',
    ]


def test_replace_takes_one_source_and_no_window(tmp_path: Path) -> None:
    """Two sources would delete each other's rows, and a window all other days."""
    (tmp_path / "penstock.yml").write_text(PROJECT.replace("SETTINGS", "from: [a, b], disposition: replace"))
    with pytest.raises(ProjectError, match="one source"):
        load_project(tmp_path, environ={})
    settings = "from: a, disposition: replace, event_time: t"
    (tmp_path / "penstock.yml").write_text(PROJECT.replace("SETTINGS", settings))
    project = load_project(tmp_path, environ={})
    with pytest.raises(UsageError, match="replaced as a whole"):
        plan_loads(project, window=day_window(dt.date(2020, 1, 1), None, None))
    with pytest.raises(UsageError, match="later than any date"):
        day_window(dt.date(9999, 12, 31), None, None)
