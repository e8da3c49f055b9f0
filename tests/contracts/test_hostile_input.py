"""Each oddity of input has one outcome, the same on both destinations; docs/input.md lists them."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import ContractError, SourceError
from penstock.ports import Destination
from penstock.spec import StreamSpec
from tests.support.fixtures import SLOW
from tests.support.fixtures import shared as destination
from tests.support.hostile import CASES, Case
from tests.support.records import a_stream
from tests.support.warehouse import land, ledger, quarantined, table, write_files

__all__ = ["destination"]
pytestmark = pytest.mark.usefixtures("each_kernel")


@pytest.fixture
def s() -> str:
    """A stream of the test's own."""
    return a_stream()


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_outcome(destination: Destination, s: str, tmp_path: Path, case: Case) -> None:
    """The values land, the rejects are in quarantine with their reason, and the ledger adds up."""
    write_files(tmp_path / "in", {case.file: case.content})
    land(destination, tmp_path / "in", StreamSpec(stream=s))
    rows = table(destination, s) if case.values else []
    assert sorted((r[case.column] for r in rows), key=str) == sorted(case.values, key=str)
    assert quarantined(destination, s) == case.rejects
    total = len(case.values) + len(case.rejects) + case.duplicates
    expected = [(total, len(case.values), case.duplicates, len(case.rejects))] if total else []
    assert ledger(destination, s) == expected


@pytest.mark.parametrize(
    ("limit", "size"), [(100_000, 500_000), pytest.param(16 << 20, 50_000_000, marks=SLOW)], ids=["0.5 MB", "50 MB"]
)
def test_a_record_over_the_limit(destination: Destination, s: str, tmp_path: Path, limit: int, size: int) -> None:
    """A record over the stream's limit goes to quarantine whole, and its neighbours land."""
    big = b'{"a":"' + b"x" * size + b'"}'
    write_files(tmp_path / "in", {"f.ndjson": b'{"a":"y"}\n' + big + b'\n{"a":"z"}\n'})
    land(destination, tmp_path / "in", StreamSpec(stream=s, max_record_bytes=limit))
    assert [r["a"] for r in table(destination, s)] in (["y", "z"], ["z", "y"])
    assert quarantined(destination, s) == {big: "too_large"}


def test_missing_identity(destination: Destination, s: str, tmp_path: Path) -> None:
    """A record without a value in a key field cannot be told apart, so it does not land."""
    write_files(tmp_path / "in", {"f.ndjson": b'{"k":1}\n{"k":null}\n{"a":1}\n'})
    land(destination, tmp_path / "in", StreamSpec(stream=s, identity=("k",)))
    assert [r["k"] for r in table(destination, s)] == [1]
    assert quarantined(destination, s) == {b'{"k":null}': "missing_identity", b'{"a":1}': "missing_identity"}


def test_text_where_a_number_was(destination: Destination, s: str, tmp_path: Path) -> None:
    """By default the row lands, its column null and the value in ``_pen_rescued``; numbers too exact likewise."""
    lines = [b'{"a":1}', b'{"a":"x"}', b'{"a":1e400}', b'{"a":1.5}', b'{"a":[1]}']
    for i, line in enumerate(lines):
        write_files(tmp_path / "in", {f"{i}.ndjson": line})
        land(destination, tmp_path / "in", StreamSpec(stream=s))
    found = [(r["a"], r["_pen_rescued"]) for r in table(destination, s)]
    rescued = [None, {"a": "x"}, {"a": Decimal("1E+400")}, {"a": Decimal("1.5")}, {"a": [Decimal(1)]}]
    assert sorted(found, key=str) == sorted(zip([1, None, None, None, None], rescued, strict=True), key=str)


@pytest.mark.parametrize("mode", ["evolve", "rescue", "reject", "freeze"])
def test_new_field_at_row_50_000(destination: Destination, s: str, tmp_path: Path, mode: Any) -> None:
    """A field that first appears late: a column, rescued, rejected, or a stop that lands nothing of that load."""
    first = b"".join(b'{"a":%d}\n' % i for i in range(1_000))
    late = b"".join(b'{"a":%d}\n' % i for i in range(1_000, 51_000)) + b'{"a":-1,"new":7}\n{"a":-2}\n'
    rules = StreamSpec(stream=s, columns=mode)
    write_files(tmp_path / "in", {"1.ndjson": first})
    land(destination, tmp_path / "in", rules)
    write_files(tmp_path / "in", {"2.ndjson": late})
    if mode == "freeze":
        with pytest.raises(ContractError, match="new"):
            land(destination, tmp_path / "in", rules, batch_bytes=100_000)
        assert destination.query(f'select count(*) from raw."{s}"').rows[0][0] == 1_000
        return
    land(destination, tmp_path / "in", rules, batch_bytes=100_000)
    rows, different = destination.query(f'select count(*), count(distinct a) from raw."{s}"').rows[0]
    assert rows == different == 51_002 - (mode == "reject")
    if mode == "evolve":
        assert {*map(tuple, destination.query(f'select a, "new" from raw."{s}" where a < 0').rows)} == {
            (-2, None),
            (-1, 7),
        }
    elif mode == "rescue":
        rescued = destination.query(f'select _pen_rescued from raw."{s}" where a = -1').rows[0][0]
        assert (json.loads(rescued) if isinstance(rescued, str) else rescued) == {"new": 7}
    else:
        assert quarantined(destination, s) == {b'{"a":-1,"new":7}': "contract"}


@pytest.mark.parametrize("mode", ["evolve", "reject", "freeze"])
def test_type_conflict(destination: Destination, s: str, tmp_path: Path, mode: Any) -> None:
    """A text where a number was, under the other modes: a column for texts, rejected, or a stop."""
    rules = StreamSpec(stream=s, types=mode)
    write_files(tmp_path / "in", {"1.ndjson": b'{"a":1}\n'})
    land(destination, tmp_path / "in", rules)
    write_files(tmp_path / "in", {"2.ndjson": b'{"a":"x"}\n{"a":2}\n'})
    if mode == "freeze":
        with pytest.raises(ContractError):
            land(destination, tmp_path / "in", rules)
        assert len(table(destination, s)) == 1
        return
    land(destination, tmp_path / "in", rules)
    rows = table(destination, s)
    if mode == "evolve":
        assert {(r["a"], r["a__text"]) for r in rows} == {(1, None), (2, None), (None, "x")}
    else:
        assert {r["a"] for r in rows} == {1, 2}
        assert quarantined(destination, s) == {b'{"a":"x"}': "contract"}


def test_hostile_names(destination: Destination, s: str, tmp_path: Path) -> None:
    """Any field name lands safely, each in a column of its own."""
    names = [
        '"; drop table raw.s; --',
        "with space",
        "😀",
        "x" * 200,
        "select",
        "Name",
        "name",
        "NAME",
        "",
        "_pen_id",
        "ctid",
        "a/b~c",
        "1st",
        "ünïcode",
        "camelCase",
        "%s",
        "$1",
    ]
    record = {name: i for i, name in enumerate(names)}
    write_files(tmp_path / "in", {"f.ndjson": json.dumps(record).encode()})
    land(destination, tmp_path / "in", StreamSpec(stream=s))
    columns = destination.ledger.schema(s).columns
    assert {c.field for c in columns} == set(names)
    assert len({c.name for c in columns}) == len(names)
    assert all(len(c.name.encode()) <= 63 for c in columns)
    row = table(destination, s)[0]
    assert {c.field: row[c.name] for c in columns} == record
    by_field = {c.field: c.name for c in columns}
    assert by_field["select"] == "select" and by_field["name"] == "name" and by_field["camelCase"] == "camel_case"


def test_types_inferred(destination: Destination, s: str, tmp_path: Path) -> None:
    """The narrowest type that holds every value exactly."""
    record = {
        "i": 1,
        "d": 1.5,
        "n": 12345678901234567890123,
        "b": True,
        "day": "2020-12-07",
        "at": "2020-12-07T01:02:03.123456",
        "zoned": "2020-12-07T01:02:03+02:00",
        "u": "b2c93a7a-5fda-d5e2-5a1e-914e258540ca",
        "t": "hello",
        "j": {"x": [1]},
        "empty": None,
    }
    write_files(tmp_path / "in", {"f.ndjson": json.dumps(record).encode()})
    land(destination, tmp_path / "in", StreamSpec(stream=s))
    assert {c.name: c.type for c in destination.ledger.schema(s).columns} == {
        "i": "bigint",
        "d": "double",
        "n": "decimal(38,0)",
        "b": "boolean",
        "day": "date",
        "at": "timestamp",
        "zoned": "timestamptz",
        "u": "uuid",
        "t": "text",
        "j": "json",
    }


@pytest.mark.parametrize(
    ("file", "content", "what"),
    [
        ("f.ndjson.gz", gzip.compress(b'{"a":1}\n' * 1000, mtime=0)[:-9], "decompress"),
        ("f.ndjson", '{"a":1}\n'.encode("utf-16"), "UTF-16"),
        ("f.csv", b"a,a\n1,2\n", "twice"),
        ("f.csv", b'a,b"c\n1,2\n', "header"),
        ("f.csv", "a,größe\n1,2\n".encode("latin-1"), "Latin-1"),
        ("f.parquet", b"PAR1nonsense", "Parquet"),
        ("f.xlsx", b"PK\x03\x04", "format"),
    ],
    ids=[
        "cut-off gzip",
        "UTF-16",
        "column named twice",
        "quote in a header",
        "Latin-1",
        "no Parquet",
        "unknown format",
    ],
)
def test_unreadable_files(
    destination: Destination, s: str, tmp_path: Path, file: str, content: bytes, what: str
) -> None:
    """What cannot be read at all stops with an error that names the file; nothing is marked as read."""
    write_files(tmp_path / "in", {file: content})
    with pytest.raises(SourceError, match=what) as caught:
        land(destination, tmp_path / "in", StreamSpec(stream=s))
    assert file in str(caught.value)
    assert not any(p.get("complete") for p in destination.ledger.positions(s, "files").values())
