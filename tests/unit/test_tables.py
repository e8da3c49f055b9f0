"""Tables on terminals of every width, and in pipes."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from penstock.cli.printing import json_text, moment, print_table, zone_line
from penstock.cli.tables import LEAST_TEXT_WIDTH
from penstock.ports import Rows
from penstock.stored import Document, Stored, stored_time
from penstock.up.wire import dump_rows, load_rows
from tests.support.examples import examples


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(columns: list[str], rows: list[list[Any]], width: int | None, **more: Any) -> str:
    """What a terminal of that width shows; a pipe, without one."""
    out = io.StringIO() if width is None else _Terminal()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setenv("COLUMNS", str(width or 80))
        print_table(columns, rows, **more)
    return re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())


words = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=40)
tables = st.integers(1, 9).flatmap(
    lambda n: st.tuples(
        st.lists(words.map(lambda w: f"c{w[:14]}"), min_size=n, max_size=n, unique=True),
        st.lists(st.lists(words | st.integers(), min_size=n, max_size=n), min_size=1, max_size=4),
    )
)


@settings(max_examples=examples(40), deadline=None)
@given(table=tables, width=st.integers(20, 200))
def test_no_value_is_cut_into_little_pieces(table: tuple[list[str], list[list[Any]]], width: int) -> None:
    """Whatever the width, each value stands there whole, or folded where it is longer than a column has to be."""
    columns, rows = table
    text = printed(columns, rows, width)
    for value in (str(v) for row in rows for v in row):
        assert value[:LEAST_TEXT_WIDTH] in text
    for name in columns:
        assert name in text


@settings(max_examples=examples(40), deadline=None)
@given(table=tables, width=st.integers(60, 200))
def test_a_table_keeps_within_the_terminal(table: tuple[list[str], list[list[Any]]], width: int) -> None:
    """No line of a table is longer than the terminal is wide, nor one of a block but for a long value."""
    columns, rows = table
    for line in printed(columns, rows, width).splitlines():
        assert cell_len(line) <= width


def test_columns_to_spare_go_first_and_are_named() -> None:
    """A narrow terminal loses the columns that matter least, and is told which."""
    columns = ["stream", "landed", "bytes", "started"]
    rows = [["user_events", 12, 3456, "11-29 00:46:40"]]
    assert "too narrow" not in printed(columns, rows, 60, spare=("bytes", "started"))
    text = printed(columns, rows, 44, spare=("bytes", "started"))
    assert "too narrow for: bytes\n" in text
    assert "3456" not in text
    assert "11-29 00:46:40" in text
    assert "record 1" in printed(columns, rows, 14, spare=("bytes", "started"))


def test_a_pipe_is_never_cut() -> None:
    """Programs read it."""
    columns = [f"column_{i}" for i in range(40)]
    lines = printed(columns, [["x" * 500] * 40], None, spare=columns).split("\n")
    assert ["x" * 500] * 40 in [line.split() for line in lines]


def test_times_are_short_and_local_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the zone is named once; in a pipe each time names its own."""
    at = datetime.now(UTC).replace(microsecond=0)
    assert moment(at) == at.isoformat(sep=" ")
    assert zone_line() == ""
    monkeypatch.setattr(sys, "stdout", _Terminal())
    assert moment(at) == at.astimezone().strftime("%m-%d %H:%M:%S")
    assert moment(at.replace(year=2001)).startswith("2001-")
    assert zone_line().startswith("times: ")


VALUES = [
    (None, "null"),
    (float("nan"), "null"),
    (float("-inf"), "null"),
    (Decimal("NaN"), "null"),
    (Decimal("0.12345678901234567891"), "0.12345678901234567891"),
    (Decimal("1E+30"), "1" + "0" * 30),
    (170141183460469231731687303715884105727, "170141183460469231731687303715884105727"),
    (Document('{"a":1.000000000000000000001}'), '{"a":1.000000000000000000001}'),
    (stored_time("10000-01-01 04:59:59+00"), '"10000-01-01T04:59:59+00:00"'),
    (stored_time("0001-12-31 (BC) 22:00:00+00"), '"0001-12-31T22:00:00+00:00 BC"'),
    (stored_time("0001-12-31 22:00:00+00 BC"), '"0001-12-31T22:00:00+00:00 BC"'),
    (stored_time("0044-03-15 (BC)"), '"0044-03-15 BC"'),
    (stored_time("infinity"), '"infinity"'),
    (Stored("1 mon"), '"1 mon"'),
    (datetime(2026, 1, 1, tzinfo=UTC), '"2026-01-01T00:00:00+00:00"'),
    (date(2026, 1, 1), '"2026-01-01"'),
    (timedelta(days=1), '"1 day, 0:00:00"'),
    ({"a": [1, {"b": b"\xff"}]}, '{"a": [1, {"b": "\\\\xff"}]}'),
]


@pytest.mark.parametrize(("value", "text"), VALUES, ids=[text for _, text in VALUES])
def test_json_has_each_value_as_it_is_stored(value: Any, text: str) -> None:
    """It is JSON whatever the value, to the digit, also when it came through the process that has the warehouse."""
    assert json_text(value) == text
    json.loads(text)
    assert json_text(load_rows(dump_rows(Rows(columns=["v"], rows=[(value,)]))).rows[0][0]) == text


@given(value=st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False,
       allow_infinity=False), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_json_reads_back(value: Any) -> None:
    """With and without lines, it is the value again."""
    assert json.loads(json_text(value)) == value
    assert json.loads(json_text(value, indent="\n")) == value
