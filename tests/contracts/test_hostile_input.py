"""Each oddity of input has one outcome, the same on both destinations; docs/input.md lists them."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zstandard

from penstock.errors import ContractError, SourceError
from penstock.ports import Destination
from penstock.spec import StreamSpec
from tests.support.warehouse import land, ledger, quarantined, table, write_files

BOM = b"\xef\xbb\xbf"
DEEP = b'{"a":' + b"[" * 1000 + b"]" * 1000 + b"}"


@dataclass(frozen=True)
class Case:
    """A file, and what has to come of it: one column's values, and reason codes by body."""

    name: str
    content: bytes
    file: str = "f.ndjson"
    column: str = "a"
    values: list[Any] = field(default_factory=list)
    rejects: dict[bytes, str] = field(default_factory=dict)
    duplicates: int = 0


CASES = [
    Case("empty file", b""),
    Case("only blank lines", b"\n \n\r\n"),
    Case("byte order mark", BOM + b'{"a":1}\n', values=[1]),
    Case("carriage returns", b'{"a":1}\r\n{"a":2}\r\n', values=[1, 2]),
    Case("no newline at the end", b'{"a":1}\n{"a":2}', values=[1, 2]),
    Case("truncated last line", b'{"a":1}\n{"a":', values=[1], rejects={b'{"a":': "invalid_json"}),
    Case("trailing comma", b'{"a":1,}\n{"a":2}\n', values=[2], rejects={b'{"a":1,}': "invalid_json"}),
    Case("several objects on a line", b'{"a":1} {"a":2}{"a":3}\n', values=[1, 2, 3]),
    Case("array on a line", b'[{"a":1},{"a":2}]\n', values=[1, 2]),
    Case("array with a scalar", b'[{"a":1},5]\n', values=[1], rejects={b"5": "not_an_object"}),
    Case(
        "top-level scalars",
        b'5\n"x"\ntrue\nnull\n{"a":1}\n',
        values=[1],
        rejects={b"5": "not_an_object", b'"x"': "not_an_object", b"true": "not_an_object", b"null": "not_an_object"},
    ),
    Case("duplicate key", b'{"a":1,"a":2}\n', rejects={b'{"a":1,"a":2}': "invalid_json"}),
    Case("nested duplicate key", b'{"a":{"b":1,"b":2}}\n', rejects={b'{"a":{"b":1,"b":2}}': "invalid_json"}),
    Case("1,000 levels", DEEP + b'\n{"a":[[1]]}\n', values=[[[1]]], rejects={DEEP: "invalid_json"}),
    Case("NaN", b'{"a":NaN}\n', rejects={b'{"a":NaN}': "invalid_json"}),
    Case("escaped NUL", b'{"a":"x\\u0000"}\n', rejects={b'{"a":"x\\u0000"}': "destination_rejected"}),
    Case("NUL in a key", b'{"\\u0000":1}\n', rejects={b'{"\\u0000":1}': "destination_rejected"}),
    Case("lone surrogate", b'{"a":"\\ud83d"}\n', rejects={b'{"a":"\\ud83d"}': "invalid_json"}),
    Case("surrogate pair", b'{"a":"\\ud83d\\ude00"}\n', values=["\U0001f600"]),
    Case("invalid UTF-8", b'{"a":"\xff"}\n{"a":"y"}\n', values=["y"], rejects={b'{"a":"\xff"}': "invalid_json"}),
    Case("raw control character", b'{"a":"\x01"}\n', rejects={b'{"a":"\x01"}': "invalid_json"}),
    Case(
        "beyond 64 bits", b'{"a":123456789012345678901234567890}\n', values=[Decimal("123456789012345678901234567890")]
    ),
    Case("more digits than a double", b'{"a":0.1234567890123456789}\n', values=[Decimal("0.1234567890123456789")]),
    Case("1e400 alone", b'{"a":1e400}\n', values=["1E400"]),
    Case("beyond any exponent", b'{"a":1e99999}\n', rejects={b'{"a":1e99999}': "destination_rejected"}),
    Case("same record twice", b'{"a":1,"b":2}\n{"b":2, "a":1}\n', values=[1], duplicates=1),
    Case("same bad line twice", b"{\n{\n", rejects={b"{": "invalid_json"}, duplicates=1),
    Case("array file", b' [\n{"a":1},\n{"a":"],{\\""}\n]\n', file="f.json", values=["1", '],{"']),
    Case("array file, trailing comma", b'[{"a":1},]', file="f.json", values=[1]),
    Case("array file, cut off", b'[{"a":1},{"a"', file="f.json", values=[1], rejects={b'{"a"': "invalid_json"}),
    Case("one object a file", b'{\n "a": 1\n}\n', file="f.json", values=[1]),
    Case("empty array", b"[]", file="f.json"),
    Case("gzip", gzip.compress(b'{"a":1}\n', mtime=0), file="f.ndjson.gz", values=[1]),
    Case(
        "gzip of two members",
        gzip.compress(b'{"a":1}\n', mtime=0) + gzip.compress(b'{"a":2}\n', mtime=0),
        file="f.jsonl.gz",
        values=[1, 2],
    ),
    Case("zstd", zstandard.compress(b'[{"a":1}]'), file="f.json.zst", values=[1]),
    Case("CSV", b'a,b\n1,"x\ny"\n2,\n', file="f.csv", values=[1, 2]),
    Case("CSV with leading zeros", b"a\n007\n012\n", file="f.csv", values=["007", "012"]),
    Case("CSV row too short", b"a,b\n1,2\n3\n", file="f.csv", values=[1], rejects={b"3": "invalid_json"}),
    Case("CSV not UTF-8", b"a,b\n\xff,2\n3,4\n", file="f.csv", values=[3], rejects={b"\xff,2": "invalid_json"}),
    Case("CSV of a header alone", b"a,b\n", file="f.csv"),
    Case("CSV with tabs", b"a\tb\n1\t2\n", file="f.tsv", values=[1]),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_outcome(destination: Destination, tmp_path: Path, case: Case) -> None:
    """The values land, the rejects are in quarantine with their reason, and the ledger adds up."""
    write_files(tmp_path / "in", {case.file: case.content})
    land(destination, tmp_path / "in", StreamSpec(stream="s"))
    rows = table(destination, "s") if case.values else []
    assert sorted((r[case.column] for r in rows), key=str) == sorted(case.values, key=str)
    assert quarantined(destination, "s") == case.rejects
    total = len(case.values) + len(case.rejects) + case.duplicates
    expected = [(total, len(case.values), case.duplicates, len(case.rejects))] if total else []
    assert ledger(destination, "s") == expected


def test_50_mb_record(destination: Destination, tmp_path: Path) -> None:
    """A record over the stream's limit goes to quarantine whole, and its neighbours land."""
    big = b'{"a":"' + b"x" * 50_000_000 + b'"}'
    write_files(tmp_path / "in", {"f.ndjson": b'{"a":"y"}\n' + big + b'\n{"a":"z"}\n'})
    land(destination, tmp_path / "in", StreamSpec(stream="s"))
    assert [r["a"] for r in table(destination, "s")] in (["y", "z"], ["z", "y"])
    assert quarantined(destination, "s") == {big: "too_large"}


def test_missing_identity(destination: Destination, tmp_path: Path) -> None:
    """A record without a value in a key field cannot be told apart, so it does not land."""
    write_files(tmp_path / "in", {"f.ndjson": b'{"k":1}\n{"k":null}\n{"a":1}\n'})
    land(destination, tmp_path / "in", StreamSpec(stream="s", identity=("k",)))
    assert [r["k"] for r in table(destination, "s")] == [1]
    assert quarantined(destination, "s") == {b'{"k":null}': "missing_identity", b'{"a":1}': "missing_identity"}


def test_text_where_a_number_was(destination: Destination, tmp_path: Path) -> None:
    """By default the row lands, its column null and the value in ``_pen_rescued``; numbers too exact likewise."""
    lines = [b'{"a":1}', b'{"a":"x"}', b'{"a":1e400}', b'{"a":1.5}', b'{"a":[1]}']
    for i, line in enumerate(lines):
        write_files(tmp_path / "in", {f"{i}.ndjson": line})
        land(destination, tmp_path / "in", StreamSpec(stream="s"))
    found = [(r["a"], r["_pen_rescued"]) for r in table(destination, "s")]
    rescued = [None, {"a": "x"}, {"a": Decimal("1E+400")}, {"a": Decimal("1.5")}, {"a": [Decimal(1)]}]
    assert sorted(found, key=str) == sorted(zip([1, None, None, None, None], rescued, strict=True), key=str)


@pytest.mark.parametrize("mode", ["evolve", "rescue", "reject", "freeze"])
def test_new_field_at_row_50_000(destination: Destination, tmp_path: Path, mode: Any) -> None:
    """A field that first appears late: a column, rescued, rejected, or a stop that lands nothing of that load."""
    first = b"".join(b'{"a":%d}\n' % i for i in range(1_000))
    late = b"".join(b'{"a":%d}\n' % i for i in range(1_000, 51_000)) + b'{"a":-1,"new":7}\n{"a":-2}\n'
    rules = StreamSpec(stream="s", columns=mode)
    write_files(tmp_path / "in", {"1.ndjson": first})
    land(destination, tmp_path / "in", rules)
    write_files(tmp_path / "in", {"2.ndjson": late})
    if mode == "freeze":
        with pytest.raises(ContractError, match="new"):
            land(destination, tmp_path / "in", rules, batch_bytes=100_000)
        assert destination.query('select count(*) from raw."s"').rows[0][0] == 1_000
        return
    land(destination, tmp_path / "in", rules, batch_bytes=100_000)
    rows = {r["a"]: r for r in table(destination, "s")}
    assert len(rows) == 51_002 - (mode == "reject")
    if mode == "evolve":
        assert rows[-1]["new"] == 7 and rows[-2]["new"] is None
    elif mode == "rescue":
        assert rows[-1]["_pen_rescued"] == {"new": 7}
    else:
        assert quarantined(destination, "s") == {b'{"a":-1,"new":7}': "contract"}


@pytest.mark.parametrize("mode", ["evolve", "reject", "freeze"])
def test_type_conflict(destination: Destination, tmp_path: Path, mode: Any) -> None:
    """A text where a number was, under the other modes: a column for texts, rejected, or a stop."""
    rules = StreamSpec(stream="s", types=mode)
    write_files(tmp_path / "in", {"1.ndjson": b'{"a":1}\n'})
    land(destination, tmp_path / "in", rules)
    write_files(tmp_path / "in", {"2.ndjson": b'{"a":"x"}\n{"a":2}\n'})
    if mode == "freeze":
        with pytest.raises(ContractError):
            land(destination, tmp_path / "in", rules)
        assert len(table(destination, "s")) == 1
        return
    land(destination, tmp_path / "in", rules)
    rows = table(destination, "s")
    if mode == "evolve":
        assert {(r["a"], r["a__text"]) for r in rows} == {(1, None), (2, None), (None, "x")}
    else:
        assert {r["a"] for r in rows} == {1, 2}
        assert quarantined(destination, "s") == {b'{"a":"x"}': "contract"}


def test_hostile_names(destination: Destination, tmp_path: Path) -> None:
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
    land(destination, tmp_path / "in", StreamSpec(stream="s"))
    columns = destination.ledger.schema("s").columns
    assert {c.field for c in columns} == set(names)
    assert len({c.name for c in columns}) == len(names)
    assert all(len(c.name.encode()) <= 63 for c in columns)
    row = table(destination, "s")[0]
    assert {c.field: row[c.name] for c in columns} == record
    by_field = {c.field: c.name for c in columns}
    assert by_field["select"] == "select" and by_field["name"] == "name" and by_field["camelCase"] == "camel_case"


def test_types_inferred(destination: Destination, tmp_path: Path) -> None:
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
    land(destination, tmp_path / "in", StreamSpec(stream="s"))
    assert {c.name: c.type for c in destination.ledger.schema("s").columns} == {
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
def test_unreadable_files(destination: Destination, tmp_path: Path, file: str, content: bytes, what: str) -> None:
    """What cannot be read at all stops with an error that names the file; nothing is marked as read."""
    write_files(tmp_path / "in", {file: content})
    with pytest.raises(SourceError, match=what) as caught:
        land(destination, tmp_path / "in", StreamSpec(stream="s"))
    assert file in str(caught.value)
    assert not any(s.get("complete") for s in destination.ledger.positions("s", "files").values())
