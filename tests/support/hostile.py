"""Hostile input: each kind, and what becomes of it."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import zstandard

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
