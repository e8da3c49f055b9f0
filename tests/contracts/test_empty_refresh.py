"""``replace`` by a source that has nothing any more: the table is emptied, where the source was read whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import SourceError
from penstock.lake.lake_writer import LakeWriter
from penstock.ports import Destination
from penstock.spec import StreamSpec
from tests.support.api import Api, Said, said
from tests.support.fetching import fetch, ids, source_of
from tests.support.lake import land_in, load_from, load_source
from tests.support.warehouse import land, ledger, table, write_files

WHOLE = StreamSpec(stream="cars")


def deletions(destination: Destination) -> list[tuple[int, int]]:
    """What each load read and deleted, in their order."""
    rows = destination.query("select read, deleted from penstock.loads where stream = 'cars' order by seq").rows
    return [(read, deleted) for read, deleted in rows]


def test_an_api_that_has_nothing_any_more(destination: Destination) -> None:
    """An answer without records empties the table, once; the ledger says how many rows went."""
    answers: list[Any] = [[], [{"id": 1}, {"id": 2}], [{"id": 2}], [], [], [{"id": 3}]]
    with Api(lambda asked: said(answers[asked.number - 1])) as api:
        kept = []
        for _ in answers:
            fetch(destination, api, {}, disposition="replace")
            kept.append(ids(destination) if destination.ledger.schema("cars").version else None)
    assert kept == [None, [1, 2], [2], [], [], [3]]
    assert deletions(destination) == [(2, 0), (1, 1), (0, 1), (1, 0)]


@pytest.mark.parametrize("answer", [Said(status=500), Said(body=b""), said({"error": "away"}), Said(status=404)])
def test_an_answer_that_is_no_list_keeps_the_rows(local: Destination, answer: Said) -> None:
    """What is not a whole list of records does not empty the table."""
    with Api(lambda _: said({"data": [{"id": 1}]})) as api:
        fetch(local, api, {"records": "data"}, disposition="replace")
        api.answer = lambda _: answer
        with pytest.raises(SourceError):
            fetch(local, api, {"records": "data"}, disposition="replace")
    assert ids(local) == [1]


def test_a_status_that_says_that_there_is_nothing(local: Destination) -> None:
    """204 is an answer without records, in one answer and in pages."""
    with Api(lambda _: said({"data": [{"id": 1}]})) as api:
        for pagination in ("none", "page", "next_link", "link_header"):
            endpoint = {"records": "data", "pagination": pagination}
            api.answer = lambda asked: said({"data": [{"id": 1}] if asked.page() == 1 else [], "next": None})
            fetch(local, api, endpoint, disposition="replace")
            assert ids(local) == [1]
            api.answer = lambda _: Said(status=204)
            fetch(local, api, endpoint, disposition="replace")
            assert ids(local) == []


@pytest.mark.parametrize(
    ("name", "empty"), [("cars.csv", b"id,brand\n"), ("cars.csv", b""), ("cars.ndjson", b"\n"), ("cars.json", b"[]")]
)
def test_files_without_records(destination: Destination, tmp_path: Path, name: str, empty: bytes) -> None:
    """Files that hold no record empty the table; a folder without files is an error, and keeps it."""
    full = b"id,brand\n1,a\n" if name.endswith("csv") else b'{"id": 1, "brand": "a"}\n'
    write_files(tmp_path / "in", {name: full})
    land(destination, tmp_path / "in", WHOLE, disposition="replace")
    (tmp_path / "in" / name).unlink()
    with pytest.raises(SourceError, match="no file matches"):
        land(destination, tmp_path / "in", WHOLE, disposition="replace")
    assert ids(destination) == [1]
    write_files(tmp_path / "in", {name: empty})
    land(destination, tmp_path / "in", WHOLE, disposition="replace")
    assert table(destination, "cars") == []
    assert ledger(destination, "cars") == [(1, 1, 0, 0), (0, 0, 0, 0)]


def test_files_that_were_only_touched_keep_the_rows(destination: Destination, tmp_path: Path) -> None:
    """A file that is written again as it was replaces nothing: the table, the ledger and the lake stay as they are."""
    lake = tmp_path / "lake"
    write_files(tmp_path / "in", {"a.ndjson": b'{"id": 1}\n', "b.ndjson": b'{"id": 2}\n'})
    land_in(lake, "ndjson", destination, tmp_path / "in", WHOLE, disposition="replace")
    (kept,) = lake.rglob("*.ndjson")
    os.utime(tmp_path / "in" / "a.ndjson", ns=(1, 1))
    land_in(lake, "ndjson", destination, tmp_path / "in", WHOLE, disposition="replace")
    assert ids(destination) == [1, 2]
    assert deletions(destination) == [(2, 0)]
    assert list(lake.rglob("*.ndjson*")) == [kept]


def test_a_refresh_of_which_nothing_can_land_keeps_the_rows(destination: Destination, tmp_path: Path) -> None:
    """Records that are all broken are a broken delivery, not an empty one."""
    write_files(tmp_path / "in", {"cars.ndjson": b'{"id": 1}\n'})
    land(destination, tmp_path / "in", WHOLE, disposition="replace")
    write_files(tmp_path / "in", {"cars.ndjson": b"7\n"})
    land(destination, tmp_path / "in", WHOLE, disposition="replace")
    assert ids(destination) == [1]


def test_the_lake_keeps_an_empty_refresh(both: list[Destination], tmp_path: Path) -> None:
    """From the lake, the table is emptied as by the load that wrote it."""
    first, second = both
    lake = tmp_path / "lake"
    write_files(tmp_path / "in", {"cars.ndjson": b'{"id": 1}\n'})
    for content, rows in ((b'{"id": 1}\n', [1]), (b"\n", []), (b'{"id": 2}\n', [2])):
        write_files(tmp_path / "in", {"cars.ndjson": content})
        land_in(lake, "ndjson", first, tmp_path / "in", WHOLE, disposition="replace")
        load_from(lake, second, WHOLE, disposition="replace")
        assert ids(first) == ids(second) == rows
    with Api(lambda _: said([])) as api:
        writer = LakeWriter(lake, "cars", "parquet", warehouse="test")
        load_source(source_of(api, {}, refresh=True), first, WHOLE, disposition="replace", lake=writer)
        load_from(lake, second, WHOLE, disposition="replace")
    assert ids(first) == ids(second) == []
