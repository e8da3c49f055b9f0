"""What docs/input.md says beyond the hostile corpus, on both destinations."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest

from penstock.errors import ContractError
from penstock.ports import Destination, Reason
from penstock.records.opening import _COMPRESSED, _SUFFIXES
from penstock.schema import MAX_COLUMNS
from penstock.shape.strict import MAX_DEPTH, MAX_EXPONENT
from penstock.shape.types import SCALARS
from penstock.sources.files.source import MAX_PENDING_BYTES
from penstock.spec import StreamSpec
from tests.support.fixtures import whichever as destination
from tests.support.warehouse import land, quarantined, table, write_files

__all__ = ["destination"]  # a fixture

DOCS = Path(__file__).parents[2] / "docs"

FILES: dict[str, tuple[str, bytes, list[Any], dict[bytes, str]]] = {
    "byte order mark at a line": ("f.ndjson", b'{"a":1}\n\xef\xbb\xbf{"a":2}\n', [1, 2], {}),
    "lines that end in CR": ("f.ndjson", b'{"a":1}\r{"a":\r{"a":3}\r', [1, 3], {b'{"a":': "invalid_json"}),
    "objects over several lines": ("f.json", b'{\n"a":1\n}\n{\n"a":2\n}\n', [1, 2], {}),
    "one record a line": ("f.json", b'{"a":1}\n{"a":2}\n', [1, 2], {}),
    "two commas": ("f.json", b'[{"a":1},,{"a":2}]', [1, 2], {}),
    "array in an array": ("f.json", b'[[{"a":1}],{"a":2}]', [1, 2], {}),
    "no closing bracket": ("f.json", b'[{"a":1},{"a":2}', [1, 2], {}),
    "something after the array": ("f.json", b'[{"a":1}] x', [1], {b"x": "invalid_json"}),
    "a string never closed": ("f.json", b'[{"a":"x},{"a":2}]', [], {b'{"a":"x},{"a":2}]': "invalid_json"}),
    "a scalar": ("f.json", b"5", [], {b"5": "not_an_object"}),
    "no name for a format": ("f.log", b'{"a":1}\n{"a":2}\n', [1, 2], {}),
    "a broken piece spoils its line": ("f.ndjson", b'{"a":1} {"a":\n', [], {b'{"a":1} {"a":': "invalid_json"}),
    "no JSON": ("f.ndjson", b"// x\n{a:1}\n", [], {b"// x": "invalid_json", b"{a:1}": "invalid_json"}),
    "NUL bytes": ("f.ndjson", b'{"a":1}\n\0\0\0\n', [1], {b"\0\0\0": "invalid_json"}),
    "CSV by the book": ("f.csv", b'\xef\xbb\xbfa,b\r\n1,"x,""y"""\r\n\r\n2,z\r\n', [1, 2], {}),
    "CSV after blank lines": ("f.csv", b"\n \r\n\ra,b\n\n1,2\n", [1], {}),
    "CSV with CR and CRLF": ("f.csv", b"a,b\r1,2\r\n3,4\n5,6\r", [1, 3, 5], {}),
    "CSV with backslashes": ("f.csv", b'a,b\n1,"x \\"y\\" z"\n2,z\n', [2], {b'1,"x \\"y\\" z"': "invalid_json"}),
    "CSV with a stray quote": ("f.csv", b'a,b\n1,5" pipe\n2,z\n', [2], {b'1,5" pipe': "invalid_json"}),
    "CSV with an open quote": ("f.csv", b'a,b\n1,"3 inch\n2,y\n3,z', [2, 3], {b'1,"3 inch': "invalid_json"}),
    "CSV of Excel": ("f.csv", b"\xef\xbb\xbfsep=;\r\na;b\r\n1;2\r\n", [1], {}),
    "CSV row too long": ("f.csv", b"a,b\n1,2,3\n4,5\n", [4], {b"1,2,3": "invalid_json"}),
    "CSV with U+0000": ("f.csv", b"a,b\n1,x\0y\n3,4\n", [3], {b'{"a":"1","b":"x\\u0000y"}': "destination_rejected"}),
    "CSV cut off": ("f.csv", b"a,b\n1,2\n3,45", [1, 3], {}),
}


@pytest.mark.parametrize("name", FILES)
def test_files(destination: Destination, tmp_path: Path, name: str) -> None:
    """What lands of a file, and what goes to quarantine."""
    file, content, values, rejects = FILES[name]
    write_files(tmp_path / "in", {file: content})
    land(destination, tmp_path / "in", StreamSpec(stream="s"))
    rows = table(destination, "s") if values else []
    assert sorted(r["a"] for r in rows) == values
    assert quarantined(destination, "s") == rejects


TYPES: dict[str, tuple[str, str]] = {
    "integers beyond 64 bits": ("18446744073709551616", "decimal(38,0)"),
    "unsigned 64 bits": ("18446744073709551615", "decimal(38,0)"),
    "integer and fraction": ("1 1.5", "double"),
    "integer beyond 2^53 and fraction": ("9007199254740993 1.5", "decimal(38,1)"),
    "wild number among others": ("1 1e400", "bigint"),
    "more than 38 digits": ("1" * 40, "text"),
    "number and text": ('1 "x"', "text"),
    "truth value and number": ("true 1", "text"),
    "object among others": ('1 {"x":1}', "json"),
    "date": ('"2020-12-07"', "date"),
    "no such day": ('"2020-02-30"', "text"),
    "date and time": ('"2020-12-07" "2020-12-07T01:02"', "timestamp"),
    "with and without zone": ('"2020-12-07T01:02:03" "2020-12-07T01:02:03Z"', "text"),
    "zones": ('"2020-12-07T01:02:03Z" "2020-12-07T01:02:03+02" "2020-12-07T01:02:03-02:30"', "timestamptz"),
    "nanoseconds": ('"2020-12-07T01:02:03.123456789"', "text"),
    "empty text and date": ('"" "2020-12-07"', "text"),
    "text that spells a number": ('"007"', "text"),
    "only null": ("null", ""),
}


@pytest.mark.parametrize("name", TYPES)
def test_inference(destination: Destination, tmp_path: Path, name: str) -> None:
    """Which type a new column gets."""
    values, type_ = TYPES[name]
    write_files(tmp_path / "in", {"f.ndjson": "\n".join(f'{{"a":{v}}}' for v in values.split()).encode()})
    land(destination, tmp_path / "in", StreamSpec(stream="s"))
    assert [c.type for c in destination.ledger.schema("s").columns] == ([type_] if type_ else [])


FITS: dict[str, tuple[str, str]] = {
    "text": ('"x" 1 true', '[1] {"x":1}'),
    "bigint": ('1 12.0 "12" -9223372036854775808', '12.5 true " 12" "012" "" 9223372036854775808'),
    "double": ('0.1 1 "1.5" 1e300', '9007199254740993 0.1234567890123456789 1e400 "x"'),
    "decimal(5,2)": ('12.34 12 "12.50" 1e2', '12.345 12345 "1e2" true'),
    "boolean": ('true false "True"', '1 "yes"'),
    "date": ('"2020-12-07"', '"2020-12-07T00:00:00" "12/07/2020" 20201207 "0000-01-01"'),
    "timestamp": ('"2020-12-07T01:02:03.123456" "2020-12-07"', '"2020-12-07T01:02:03Z" 1607303000'),
    "timestamptz": ('"2020-12-07T01:02:03Z" "2020-12-07T01:02:03+0230"', '"2020-12-07T01:02:03" "2020-12-07"'),
    "uuid": ('"B2C93A7A-5fda-d5e2-5a1e-914e258540ca"', '"b2c93a7a5fdad5e25a1e914e258540ca"'),
    "json": ('1 "x" [1] {"x":0.1234567890123456789}', ""),
}


@pytest.mark.parametrize("type_", FITS)
def test_fit(destination: Destination, tmp_path: Path, type_: str) -> None:
    """A value that fits a declared column is in it; another is rescued whole, and the column null."""
    fitting, other = (_values(t) for t in FITS[type_])
    lines = [f'{{"n":{i},"a":{v}}}' for i, v in enumerate([*fitting, *other])]
    write_files(tmp_path / "in", {"f.ndjson": "\n".join(lines).encode()})
    land(destination, tmp_path / "in", StreamSpec(stream="s", declared=(("n", "bigint"), ("a", type_))))
    rows = {r["n"]: r for r in table(destination, "s")}
    assert [rows[i]["a"] is not None for i in range(len(rows))] == [True] * len(fitting) + [False] * len(other)
    assert [rows[i]["_pen_rescued"] is None for i in range(len(rows))] == [True] * len(fitting) + [False] * len(other)


def test_text_has_one_spelling(destination: Destination, tmp_path: Path) -> None:
    """A number in a text column is spelt one way; ``1`` and ``1.0`` are different values."""
    write_files(tmp_path / "in", {"f.ndjson": b'{"a":1.50}\n{"a":1.5}\n{"a":1}\n{"a":1.0}\n'})
    landed = land(destination, tmp_path / "in", StreamSpec(stream="s", declared=(("a", "text"),)))
    assert sorted(r["a"] for r in table(destination, "s")) == ["1", "1.0", "1.5"]
    assert landed.total("duplicates") == 1


@pytest.mark.parametrize("mode", ["rescue", "reject", "freeze"])
def test_contract_of_the_first_batch(destination: Destination, tmp_path: Path, mode: Any) -> None:
    """Without declared columns the first batch makes them; with some, the contract holds from the first record on."""
    write_files(tmp_path / "in", {"f.ndjson": b'{"a":1}\n{"b":2}\n{"c":null}\n'})
    land(destination, tmp_path / "in", StreamSpec(stream="s", columns=mode))
    assert [c.name for c in destination.ledger.schema("s").columns] == ["a", "b"]
    declared = StreamSpec(stream="declared", columns=mode, declared=(("a", "bigint"),))
    if mode == "freeze":
        with pytest.raises(ContractError, match="'b'"):
            land(destination, tmp_path / "in", declared)
        return
    land(destination, tmp_path / "in", declared)
    assert [c.name for c in destination.ledger.schema("declared").columns] == ["a"]
    assert quarantined(destination, "declared") == ({b'{"b":2}': "contract"} if mode == "reject" else {})
    if mode == "rescue":
        rescued = [r["_pen_rescued"] for r in table(destination, "declared")]
        assert sorted(rescued, key=str) == [None, None, {"b": Decimal(2)}]


def test_the_page_has_every_name_and_limit() -> None:
    """Reasons, types, suffixes and limits stand in docs/input.md as the code has them."""
    page = (DOCS / "input.md").read_text(encoding="utf-8")
    for name in (*get_args(Reason), *SCALARS, *_SUFFIXES, *_COMPRESSED):
        assert f"`{name}`" in page, name
    assert f"{MAX_DEPTH} levels" in page
    assert f"1e±{MAX_EXPONENT}" in page
    assert f"{MAX_PENDING_BYTES >> 20} MiB" in page
    assert f"{StreamSpec(stream='s').max_record_bytes >> 20} MiB" in page
    assert f"{MAX_COLUMNS} columns" in (DOCS / "naming.md").read_text(encoding="utf-8")


def _values(text: str) -> list[str]:
    """JSON values parted by spaces; a space inside a text is not one."""
    return [v.replace("\x1f", " ") for v in text.replace('" 12"', '"\x1f12"').split(" ") if v]
