"""Law 2 over the lake, for any bytes: what is read from it gives what was landed when it was written."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penstock.ports import Destination
from penstock.spec import StreamSpec
from tests.support.lake import land_in, load_from
from tests.support.records import PROPERTY, a_stream, lines, ndjson, records
from tests.support.warehouse import ledger, quarantined, table, write_files


@PROPERTY
@given(found=records, more=st.lists(lines, max_size=5), format_=st.sampled_from(["ndjson", "csv", "parquet"]))
def test_same_rows(destination: Destination, tmp_path: Path, found: list[Any], more: list[bytes], format_: Any) -> None:
    """Whatever the records, and whatever stands between them: the same rows, quarantine and counts."""
    lake = tmp_path / "lake"
    shutil.rmtree(lake, ignore_errors=True)
    stream, again = a_stream(), a_stream()
    write_files(tmp_path / "in", {"a.ndjson": ndjson(found) + b"\n".join(more)})
    land_in(lake, format_, destination, tmp_path / "in", StreamSpec(stream=stream))
    (lake / stream).rename(lake / again)
    load_from(lake, destination, StreamSpec(stream=again))
    assert table(destination, again) == table(destination, stream)
    assert quarantined(destination, again) == quarantined(destination, stream)
    assert ledger(destination, again) == ledger(destination, stream)
