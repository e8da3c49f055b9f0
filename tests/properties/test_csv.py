"""CSV, nearly CSV and no CSV: each line of each file is accounted for, on both destinations alike."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.errors import SourceError
from penstock.ports import Destination
from penstock.spec import StreamSpec
from tests.support.csv_texts import COMMA, PIECES, simple
from tests.support.examples import examples
from tests.support.warehouse import land, ledger, quarantined, table, write_files

pytestmark = pytest.mark.usefixtures("each_kernel")

DECLARED = tuple((name, "text") for name in "abc")
_numbers = itertools.count(1)
HEADERS = {b"a,b,c\n": True, b"\r\n\na,b,c\r": True, b'\xef\xbb\xbf"a",b,c\r\n': True, b'a,b"c\n': False}


@settings(max_examples=examples(2), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.lists(
        st.tuples(st.sampled_from(sorted(HEADERS)), PIECES.map(b"".join).filter(lambda x: b"\0" not in x)),
        min_size=20,
        max_size=30,
    )
)
def test_every_line_is_accounted_for(both: list[Destination], tmp_path: Path, files: list[tuple[bytes, bytes]]) -> None:
    """``read`` is what a reader of its own counts in the files with a header; of these records each is a row with its
    values, or in quarantine as it came; each other file is an error."""
    folder, stream = tmp_path / "in", f"s{next(_numbers)}"
    contents = {f"{i:02}.csv": header + rows for i, (header, rows) in enumerate(files)}
    packed = {
        n: {f"{n}.gz": gzip.compress(c, mtime=0)} if i % 5 == 0 else {n: c} for i, (n, c) in enumerate(contents.items())
    }
    write_files(folder, {name: content for file in packed.values() for name, content in file.items()})
    records = [r for header, rows in files if HEADERS[header] for r in simple(rows, COMMA)]
    rows = {tuple(fields) for _, fields, _ in records if fields is not None and len(fields) == 3}
    broken = {raw for raw, fields, _ in records if fields is None or len(fields) != 3}
    for destination in both:
        failure = ""
        try:
            land(destination, folder, StreamSpec(stream=stream, declared=DECLARED), batch_bytes=500)
        except SourceError as e:
            failure = str(e)
        bad = [next(iter(packed[f"{i:02}.csv"])) for i, (header, _) in enumerate(files) if not HEADERS[header]]
        assert all(name in failure for name in bad) and bool(bad) == bool(failure)
        counts = ledger(destination, stream)
        assert sum(read for read, *_ in counts) == len(records)
        assert all(read == landed + duplicates + kept for read, landed, duplicates, kept in counts)
        found = table(destination, stream) if rows else []
        assert {(r["a"], r["b"], r["c"]) for r in found} == rows and len(found) == len(rows)
        assert quarantined(destination, stream).keys() == broken
