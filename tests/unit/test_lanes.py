"""The careful lane gives the rows that SQL alone gives, so that a false alarm only costs time."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.ports import Batch, Segment, Shaped
from penstock.schema import Schema
from penstock.shape.lanes import select
from penstock.shape.shaper import Shaper
from penstock.spec import StreamSpec
from tests.support.examples import examples

pytestmark = pytest.mark.usefixtures("each_kernel")

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.sampled_from(["2020-12-07", "2020-12-07T01:02:03.5", 0.1, 1.0, -0.0, 1e22]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
records = st.lists(st.dictionaries(st.sampled_from("abcd"), values, min_size=1, max_size=4), min_size=1, max_size=5)


def _shaped(bodies: list[bytes]) -> Shaped:
    shaper = Shaper(StreamSpec(stream="s"), threads=1)
    try:
        batch = Batch(bodies=pa.array(bodies, pa.binary()), segments=[Segment(start=0, place="f", number=1)])
        return shaper.shape(batch, Schema())
    finally:
        shaper.close()


def _rows(shaped: Shaped) -> list[dict[str, Any]]:
    return sorted((dict(r) for r in shaped.rows.to_pylist()), key=lambda r: str(r["_pen_id"]))


@settings(max_examples=examples(40), deadline=None)
@given(found=records, ascii_=st.booleans())
def test_both_lanes_give_the_same_rows(found: list[dict[str, Any]], ascii_: bool) -> None:
    """Forced through the careful lane, records have the same identity, columns and values."""
    bodies = [json.dumps(r, ensure_ascii=ascii_).encode() for r in found]
    plain = _shaped(bodies)
    with patch.object(select, "SUSPICIOUS", "[{]"):
        careful = _shaped(bodies)
    assert careful.schema == plain.schema
    assert _rows(careful) == _rows(plain)
    assert (careful.rejects, careful.duplicates) == (plain.rejects, plain.duplicates)
