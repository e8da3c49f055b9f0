"""CSV by RFC 4180: against a reader that goes byte by byte, and whatever the size of the chunks."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.errors import SourceError
from penstock.ports import Reject
from penstock.records.opening import CsvDialect
from penstock.sources.files import csv_records
from penstock.sources.files.csv_records import CsvSplitter
from penstock.sources.files.tabular import csv_rows
from tests.support.csv_texts import COMMA, OTHER, PIECES, simple
from tests.support.examples import examples

SIZES = st.sampled_from([1, 2, 3, 5, 7, 16, 64, 4096])


def read(data: bytes, dialect: CsvDialect, size: int) -> tuple[dict[int, dict[str, Any]], dict[int, Reject]]:
    """Rows and rejects by their number."""
    rows: dict[int, dict[str, Any]] = {}
    rejects: dict[int, Reject] = {}
    for cut, refused in csv_rows(io.BytesIO(data), "f.csv", dialect, size):
        assert len(cut.bodies) == len(cut.numbers)
        rows |= {int(n): json.loads(b) for n, b in zip(cut.numbers, cut.bodies.to_pylist(), strict=True)}
        rejects |= {int(reject.origin.removeprefix("f.csv#")): reject for reject in refused}
    return rows, rejects


@settings(max_examples=examples(300), deadline=None)
@given(PIECES.map(b"".join), SIZES, st.sampled_from([COMMA, OTHER]))
@example(b'1,"3 inch,6\n3,washer,7\n4,"5 inch,8\n5,x,9\n', 4096, COMMA)
@example(b'1,"a\nb","c\nd\n2,e,f\n', 2, COMMA)
@example(b'1,"a""\n2,b\n', 1, COMMA)
@example(b'""""\r\n"a"\r"b', 3, COMMA)
def test_where_records_end(data: bytes, size: int, dialect: CsvDialect) -> None:
    """Each byte of a file is in one record, sound or broken, or a blank line, whatever the size of the chunks."""
    splitter = CsvSplitter(dialect.delimiter or ",", dialect.quote)
    cuts = [splitter.cut(data[at : at + size]) for at in range(0, len(data), size)]
    records: list[tuple[bytes, bool]] = []
    content = b""
    for cut in (*cuts, splitter.finish()):
        if cut is not None:
            content += cut.block[: cut.bounds[-1]]
            places = np.flatnonzero(~cut.blank).tolist()
            records += [(cut.record(i), i in cut.broken) for i in places]
            assert cut.records(~cut.blank).count(b"\n") <= cut.block.count(b"\n")
    assert content == data
    assert [raw for raw, _ in records] == [raw for raw, _, _ in simple(data, dialect)]
    assert [broken for _, broken in records] == [broken for _, _, broken in simple(data, dialect)]


@settings(max_examples=examples(60), deadline=None)
@given(PIECES.map(b"".join), st.sampled_from([5, 4096]), st.sampled_from([COMMA, OTHER]))
@example(b',"",', 4096, COMMA)
@example(b"\xff,1,2\n\xff\n1,2,3\n\n\xff", 4096, COMMA)
def test_every_record_is_a_row_or_a_reject(data: bytes, size: int, dialect: CsvDialect) -> None:
    """Whatever a file holds is a row with its values, or a reject as it came, each under its number."""
    header = (dialect.delimiter or ",").join(["a", "b", "c"]).encode() + b"\n"
    rows, rejects = read(header + data, dialect, size)
    records = list(simple(data, dialect))
    assert sorted([*rows, *rejects]) == list(range(1, len(records) + 1))
    for number, (raw, fields, _) in enumerate(records, 1):
        if fields is None or len(fields) != 3:
            assert rejects[number].body == raw
            assert rejects[number].code == "invalid_json" and rejects[number].reason
        else:
            assert rows[number] == dict(zip("abc", fields, strict=True))


VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]) | st.sampled_from('",;\n\r'), max_size=8)


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(st.tuples(VALUES, VALUES), max_size=8),
    st.booleans(),
    st.lists(st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\r\n\r\n"]), min_size=9, max_size=9),
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\r\n", b"\xef\xbb\xbf\n"]),
    st.sampled_from([("", ","), ("sep=;\n", ";"), ('"SEP=\t"\r\n', "\t"), ("sep=|\r", "|")]),
    st.sampled_from([7, 4096]),
)
def test_what_is_written_by_the_rules(
    values: list[tuple[str, str]],
    all_quoted: bool,
    ends: list[str],
    begin: bytes,
    separator: tuple[str, str],
    size: int,
) -> None:
    """It is read as it was: any value, ends of line and blank lines in any mixture, a mark, and Excel's first line."""
    line, delimiter = separator

    def quoted(value: str) -> str:
        plain = not all_quoted and not set(value) & set('"\r\n' + delimiter)
        return value if plain else '"' + value.replace('"', '""') + '"'

    written = [("first", "se\ncond"), *values]
    text = "".join(delimiter.join(map(quoted, row)) + end for row, end in zip(written, ends, strict=False))
    rows, rejects = read(begin + (line + text).encode(), COMMA, size)
    assert not rejects
    empty = "" if all_quoted else None
    expected = [dict(zip(written[0], (v or empty for v in row), strict=True)) for row in values]
    assert [rows[n] for n in sorted(rows)] == expected


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'id,na"me\n1,a\n', "header"),
        (b'id,"name\n1,a\n2,b\n', "header"),
        (b'id,"na"me\n1,a\n', "header"),
        ("id,Größe\n1,2\n".encode("latin-1"), "Latin-1"),
        ("id,name\n1,Ada\n".encode("utf-16-le"), "UTF-16"),
        ("id,name\n1,Ada\n".encode("utf-16"), "UTF-16"),
        ("id,name\n1,Ada\n".encode("utf-32-be"), "UTF-16"),
        (b"id,id\n", "twice"),
        (b"sep=\nid\n", "sep="),
        ("sep=§\nid§a\n".encode(), "sep="),
    ],
)
def test_a_header_that_cannot_be_read(content: bytes, why: str) -> None:
    """It is an error of its file, which says why and what mends it; nothing of the file is taken for read."""
    for size in (1, 4096):
        with pytest.raises(SourceError, match=why) as caught:
            read(content, COMMA, size)
        assert caught.value.where == "f.csv" and caught.value.fix


@pytest.mark.parametrize("size", [1, 3, 4096])
def test_headers_alone_and_none(size: int) -> None:
    """A header without an end of line is a header; blank lines before it are not; without it columns are numbered."""
    for content in (b"", b"\n", b"\r\n \n", b"id,name", b"\r\nid,name\r\n", b'"id","na""me"'):
        assert read(content, COMMA, size) == ({}, {})
    assert read(b"\t\n1\t2\n", CsvDialect(delimiter="\t"), size)[0] == {1: {"column_1": "1", "column_2": "2"}}
    plain = CsvDialect(header=False)
    assert read(b"\r\n1,Ada\r\n\n2,Bo", plain, size)[0] == {
        1: {"column_1": "1", "column_2": "Ada"},
        2: {"column_1": "2", "column_2": "Bo"},
    }
    rows, rejects = read(b'1,A"\n2,Bo\n', plain, size)
    assert rows == {2: {"column_1": "2", "column_2": "Bo"}} and rejects[1].body == b'1,A"'


def test_a_quote_that_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many bytes it is taken for one that is never closed, and the lines behind it are rows."""
    monkeypatch.setattr(csv_records, "MAX_QUOTED_BYTES", 1_000)
    lines = b"".join(b"%d,x\n" % i for i in range(2, 2_000))
    rows, rejects = read(b'id,text\n1,"3 inch\n' + lines, COMMA, 100)
    assert [reject.body for reject in rejects.values()] == [b'1,"3 inch']
    assert sorted(rows) == list(range(2, 2_000))
