"""Law 2 over the lake: what was landed in flat files gives the same rows and the same quarantine again."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.errors import PenstockError, ProjectError, SourceError
from penstock.lake.lake_writer import LakeWriter
from penstock.lake.record_removal import files_of, rewrite
from penstock.land.session import Session
from penstock.layout import Layout
from penstock.ports import Destination, Window
from penstock.project import load_project
from penstock.records.lake_files import Format
from penstock.runs.plan import plan_loads
from penstock.sources.files.source import FilesSource
from penstock.spec import StreamSpec
from tests.support.hostile import CASES
from tests.support.lake import land_in, load_from, load_source
from tests.support.warehouse import doubt_all, forbid_13, ledger, quarantined, table, write_files

FORMATS = ["ndjson", "csv", "parquet"]
IN_EACH_FORMAT = pytest.mark.parametrize(
    ("destination", "format_"),
    [
        *(("duckdb", format_) for format_ in FORMATS),
        ("postgres", "ndjson"),
        *(pytest.param("postgres", format_, marks=pytest.mark.slow) for format_ in FORMATS[1:]),
    ],
    indirect=["destination"],
)
"""On each warehouse; what is written is shaped before it gets there, so on PostgreSQL one format is enough."""


def _lines(folder: Path) -> list[bytes]:
    """The records in the lake's NDJSON files, in their order."""
    return [line for path in files_of(folder, "s") for line in path.read_bytes().splitlines()]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """The lake's folder."""
    return tmp_path / "lake"


def _outcome(destination: Destination, stream: str) -> tuple[Any, ...]:
    return table(destination, stream), quarantined(destination, stream), ledger(destination, stream)


@pytest.mark.parametrize("format_", FORMATS)
def test_hostile_input_comes_back(both: list[Destination], tmp_path: Path, lake: Path, format_: Any) -> None:
    """Whatever came, the lake gives the same rows, rejects and counts as the files it came in, on both destinations."""
    files = {f"{i:02}-{case.file}": case.content for i, case in enumerate(CASES)}
    odd = b'{"a": {\n "b": [1,\n 2]}}\n{"a":\n 1, "a":\n 2}\n{"c": "x\r\ny", "d": {"e": null, "F g": {}}}\n\xff\xfe\n'
    write_files(tmp_path / "in", {"00.json": odd, **files})
    for destination in both:
        landed = land_in(lake, format_, destination, tmp_path / "in", StreamSpec(stream="s"))
        assert landed.total("quarantined") > 20 and landed.total("landed") > 15
        shutil.rmtree(lake / "again", ignore_errors=True)
        (lake / "s").rename(lake / "again")
        load_from(lake, destination, StreamSpec(stream="again"))
        assert _outcome(destination, "again") == _outcome(destination, "s")
    assert not list(lake.rglob("*.part"))


@IN_EACH_FORMAT
def test_records_are_taken_out(destination: Destination, tmp_path: Path, lake: Path, format_: Any) -> None:
    """Rewriting leaves the other records as they were, in each format and beside it, and is seen by the next load."""
    lines = [b'{"who":%d,"x":{"y":"%d\\n"}}' % (i % 3, i) for i in range(30)]
    write_files(tmp_path / "in", {"f.ndjson": b"\n".join([*lines, b"\xffbob", b"\xffeve"])})
    land_in(lake, format_, destination, tmp_path / "in", StreamSpec(stream="s"))

    def keep(records: pa.Array) -> pa.Array:
        gone = [b'"who":1' in r or b"eve" in r for r in records.to_pylist()]
        return pa.array([not g for g in gone])

    done = [rewrite(path, keep) for path in files_of(lake, "s")]
    assert sum(d.removed for d in done if d) == 11
    assert [rewrite(path, keep) for path in files_of(lake, "s")] == [None] * len(done)
    (lake / "s").rename(lake / "again")
    load_from(lake, destination, StreamSpec(stream="again"))
    assert table(destination, "again") == [r for r in table(destination, "s") if r["who"] != 1]
    assert quarantined(destination, "again") == {b"\xffbob": "invalid_json"}
    for path, one in zip(files_of(lake, "again"), done, strict=True):
        assert one is None or one.state["size"] == path.stat().st_size


def test_only_the_window(destination: Destination, tmp_path: Path, lake: Path) -> None:
    """What a date leaves out was not taken in, so it is not in the lake; the load of another day adds it."""
    days = [b'{"t":"2020-12-0%d"}' % day for day in (1, 2, 3)]
    write_files(tmp_path / "in", {"f.ndjson": b"\n".join([*days, b"{"])})
    rules = StreamSpec(stream="s", event_time="t")
    for day, kept in ((2, [days[1], b"{"]), (3, [days[1], b"{", days[2], b"{"])):
        window = Window(start=datetime(2020, 12, day), end=datetime(2020, 12, day + 1))
        land_in(lake, "ndjson", destination, tmp_path / "in", rules, window=window)
        assert _lines(lake) == kept


@pytest.mark.parametrize("flatten", [pytest.param(False, marks=pytest.mark.slow), True])
@IN_EACH_FORMAT
def test_dropped_fields(destination: Destination, tmp_path: Path, lake: Path, format_: Any, flatten: bool) -> None:
    """What the stream drops is in no file of the lake, whatever else is in the record, and the rows are the same."""
    dropped = "login_password" if flatten else "login.password"
    lines = [
        b'{"n":1,"login":{"user":"a","password":"hunter2"}}',
        b'{"n":12345678901234567890123,"login":{"password":"hunter2"}}',
        b'[{"n":3,"login":{"password":"hunter2"}},{"n":4,"login":{"password":"hunter2"}}]',
        b'{"n":5,"login":[{"password":"hunter2"}]}',
        b'{"n":6,"login":{"password":"hunter2"',
        b'{"n":7,"login":{"password":"hunter2"},"n":8}',
        b'\xff{"login":{"password":"hunter2"}}',
    ]
    write_files(
        tmp_path / "in", {"f.ndjson": b"\n".join(lines), "g.csv": b"n,login.password\n9,hunter2\n1,2,hunter2\n"}
    )
    rules = StreamSpec(stream="s", layout=Layout(flatten=flatten, drop=(dropped,)))
    land_in(lake, format_, destination, tmp_path / "in", rules)
    for path in files_of(lake, "s"):
        content = path.read_bytes()
        if format_ == "parquet" and not path.name.startswith("_"):
            content = str(pq.read_table(path).to_pylist()).encode()
        assert b"hunter2" not in content and content
    (lake / "s").rename(lake / "again")
    load_from(lake, destination, replace(rules, stream="again"))
    assert _outcome(destination, "again") == _outcome(destination, "s")


def test_dropped_fields_while_the_next_batch_is_shaped(local: Destination, tmp_path: Path, lake: Path) -> None:
    """A batch is written to the lake while another one is shaped; each has its own records there, in their order."""
    lines = [b'{"n":%d,"login":{"user":"u%d","password":"hunter2"}}' % (i, i) for i in range(20_000)]
    write_files(tmp_path / "in", {"f.ndjson": b"\n".join(lines)})
    source = FilesSource("files", ["**"], root=tmp_path / "in", batch_bytes=1 << 16)
    writer = LakeWriter(lake, "s", "ndjson", warehouse="w")
    rules = StreamSpec(stream="s", layout=Layout(flatten=True, drop=("login_password",)))
    load_source(source, local, rules, lake=writer)
    assert [json.loads(line) for line in _lines(lake)] == [{"n": i, "login_user": f"u{i}"} for i in range(20_000)]


def test_the_latest_of_a_replaced_stream(destination: Destination, tmp_path: Path, lake: Path) -> None:
    """Each load of a replaced stream stands for all before it, in the lake too."""
    rules = StreamSpec(stream="s", identity=("k",))
    for content in (b'{"k":1}\n{"k":2}', b'{"k":2}\n{"k":3}'):
        write_files(tmp_path / "in", {"f.ndjson": content})
        land_in(lake, "ndjson", destination, tmp_path / "in", rules, disposition="replace")
    assert len(_lines(lake)) == 4
    (lake / "s").rename(lake / "again")
    for landed in (2, 0):
        done = load_from(lake, destination, replace(rules, stream="again"), disposition="replace")
        assert done.total("landed") == landed
    assert [r["k"] for r in table(destination, "again")] == [r["k"] for r in table(destination, "s")]


def test_refused_rows(postgres_url: str, tmp_path: Path, lake: Path) -> None:
    """When the warehouse refuses rows and the load reads again, the lake has each record once, the refused ones too."""
    from penstock.destinations.postgres.destination import PostgresDestination

    destination = PostgresDestination(postgres_url, shown="test database")
    destination.prepare()
    write_files(tmp_path / "in", {"1.ndjson": b'{"a":1}'})
    land_in(lake, "ndjson", destination, tmp_path / "in", StreamSpec(stream="s"))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("alter table raw.s add check (a < 5)")
    lines = [b'{"a":%d}' % i for i in range(2, 8)]
    write_files(tmp_path / "in", {"2.ndjson": b"\n".join(lines)})
    land_in(lake, "ndjson", destination, tmp_path / "in", StreamSpec(stream="s"))
    assert ledger(destination, "s")[1] == (6, 3, 0, 3)
    assert sorted(_lines(lake)) == [b'{"a":1}', *lines]
    destination.close()


def test_rows_that_the_commit_refuses(
    local: Destination, tmp_path: Path, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lake has each record once, too, when a row is refused only after the lake's files are complete."""
    doubt_all(monkeypatch)
    lines = [b'{"a":%d}' % i for i in (1, 12, 13, 14)]
    write_files(tmp_path / "in", {"1.ndjson": lines[0]})
    land_in(lake, "ndjson", local, tmp_path / "in", StreamSpec(stream="s"))
    forbid_13(local)
    write_files(tmp_path / "in", {"2.ndjson": b"\n".join(lines[1:])})
    for _ in range(2):
        land_in(lake, "ndjson", local, tmp_path / "in", StreamSpec(stream="s"))
    assert ledger(local, "s") == [(1, 1, 0, 0), (3, 2, 0, 1)]
    assert quarantined(local, "s") == {lines[2]: "destination_rejected"}
    assert sorted(_lines(lake)) == sorted(lines)
    assert not list(lake.rglob(".*.part"))


def test_a_lake_that_cannot_be_written(destination: Destination, tmp_path: Path, lake: Path) -> None:
    """The load stops with an error that says so, and lands nothing."""
    write_files(tmp_path / "in", {"f.ndjson": b'{"a":1}'})
    lake.mkdir()
    (lake / "s").write_bytes(b"")
    with pytest.raises(PenstockError, match="lake cannot be written"):
        land_in(lake, "ndjson", destination, tmp_path / "in", StreamSpec(stream="s"))
    assert ledger(destination, "s") == []


@pytest.mark.parametrize("name", ["f.csv", "f.parquet"])
def test_a_file_that_is_not_the_lakes(destination: Destination, tmp_path: Path, lake: Path, name: str) -> None:
    """A file without the records' column is an error that names it."""
    write_files(tmp_path / "in", {"f.ndjson": b'{"a":1}'})
    land_in(lake, "ndjson", destination, tmp_path / "in", StreamSpec(stream="s"))
    [good] = files_of(lake, "s")
    other = good.with_suffix(Path(name).suffix)
    if name == "f.csv":
        other.write_bytes(b"a,b\n1,2\n")
    else:
        pq.write_table(pa.table({"a": [1]}), other)
    with pytest.raises(SourceError, match="no file of the lake") as caught:
        load_from(lake, destination, StreamSpec(stream="s"))
    assert other.name in str(caught.value)


def test_flat_columns(destination: Destination, tmp_path: Path, lake: Path) -> None:
    """People and other tools find a column for each value, named by its path; new columns begin another file."""
    first = (
        b'{"id":1,"name":{"first":"A \\"b\\"","Last":null},"location":{"street":{"number":7}},"tags":["x",1],"ok":true}'
    )
    second = b'{"id":2,"name":{"first":"\xc3\xa9"},"location":{"street":{"number":1.5}},"new":"007"}'
    formats: list[Format] = ["csv", "parquet"]
    for format_ in formats:
        stream = StreamSpec(stream=format_)
        write_files(tmp_path / "in", {"1.ndjson": first + b"\n", "2.ndjson": second + b"\n"})
        source = FilesSource("files", ["**"], root=tmp_path / "in", batch_bytes=1)
        writer = LakeWriter(lake, format_, format_, warehouse="w")
        load_source(source, destination, stream, lake=writer)
        assert len(files_of(lake, format_)) == 2
    csv = duckdb.read_csv(str(files_of(lake, "csv")[0]), all_varchar=True, hive_partitioning=False)
    assert csv.columns == [
        "id", "name_first", "name_last", "location_street_number", "tags", "ok", "_pen_record"
    ]  # fmt: skip
    assert csv.fetchall() == [("1", 'A "b"', None, "7", '["x",1]', "true", first.decode())]
    parquet = duckdb.read_parquet(
        [str(p) for p in files_of(lake, "parquet")], union_by_name=True, hive_partitioning=False
    )
    found = dict(zip(parquet.columns, map(str, parquet.types), strict=True))
    assert found == {
        "id": "BIGINT", "name_first": "VARCHAR", "location_street_number": "DOUBLE", "tags": "VARCHAR",
        "ok": "BOOLEAN", "_pen_record": "VARCHAR", "new": "VARCHAR",
    }  # fmt: skip
    rows = parquet.project("id, name_first, location_street_number, new").fetchall()
    assert rows == [(1, 'A "b"', 7.0, None), (2, "é", 1.5, "007")]


PROJECT = """
name: kept
destinations: {{ d: {destination} }}
sources:
  files: {{ type: files, path: "in/*" }}
lake: {{ path: lake, format: {format}, compression: {compression} }}
streams:
  s: {{ from: files, land: true }}
  again: {{ from: lake }}
transform: false
"""


@pytest.mark.parametrize(
    ("kind", "format_", "compression"),
    [
        ("duckdb", "ndjson", "zstd"),
        ("duckdb", "csv", "gzip"),
        ("duckdb", "parquet", "none"),
        ("postgres", "ndjson", "zstd"),
        pytest.param("postgres", "csv", "gzip", marks=pytest.mark.slow),
        pytest.param("postgres", "parquet", "none", marks=pytest.mark.slow),
    ],
)
def test_settings(
    tmp_path: Path, lake: Path, kind: str, format_: str, compression: str, request: pytest.FixtureRequest
) -> None:
    """``land: true`` writes the lake, ``from: lake`` reads it; what a warehouse wrote itself it does not read again."""
    where = (
        "{ type: duckdb, path: w.duckdb }"
        if kind == "duckdb"
        else f'{{ type: postgres, url: "{request.getfixturevalue("postgres_url")}" }}'
    )
    (tmp_path / "penstock.yml").write_text(PROJECT.format(destination=where, format=format_, compression=compression))
    write_files(tmp_path / "in", {"a.csv": b"a,b\n1,x\n007,\n1,2,3\n", "b.ndjson": b'{"a":1,"b":[1,{"c":2}]}\n{\n'})
    project = load_project(tmp_path)
    assert project.masked()["sources"].keys() == {"files"} and project.masked()["lake"]["format"] == format_
    with Session(project) as session:
        own, other = plan_loads(project)
        assert session.load(own).total("read") == 5
        squeezed = {"zstd": ".zst", "gzip": ".gz", "none": ""}[compression]
        assert {p.name.partition(".")[2] for p in files_of(lake, "s") if not p.name.startswith("_")} == {
            format_ + squeezed
        }
        [back] = plan_loads(project, ["s"], from_lake=True)
        assert session.load(back).receipts == []
        with pytest.raises(SourceError, match="nothing of stream again"):
            session.load(other)
        (lake / "s").rename(lake / "again")
        session.load(other)
        assert _outcome(session.destination, "again") == _outcome(session.destination, "s")
        assert session.load(other).receipts == []


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ("streams: {s: {from: f, land: true}}", "no lake to land in"),
        ("streams: {s: {from: lake}}", "there is no lake"),
        ("streams: {s: {from: q, land: true}}\nlake: {path: l}", "a queue is not landed"),
        ("streams: {s: {from: f}}\nlake: {path: l, format: xml}", "expected ndjson, csv or parquet"),
    ],
)
def test_wrong_settings(tmp_path: Path, settings: str, what: str) -> None:
    """Settings that do not fit each other are errors that say what to do."""
    head = "name: p\ndestinations: {d: {type: duckdb, path: w.duckdb}}\n"
    sources = "sources: {f: {type: files, path: in}, q: {type: rabbitmq, queue: q}}\n"
    (tmp_path / "penstock.yml").write_text(head + sources + settings)
    with pytest.raises(ProjectError, match=what):
        load_project(tmp_path)
