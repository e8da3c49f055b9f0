"""What a copy carries, and how it is compared."""

from __future__ import annotations

import random
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.copying.content import canonical, content_of
from penstock.copying.parts import BUILT_ANEW, COPIED, ledger_tables
from penstock.copying.plain import BATCH_ROWS, gathered, plain, typed, without_spaces

COLUMNS = {"id": "uuid", "doc": "json", "note": "text", "n": "bigint"}
ROWS = st.lists(
    st.tuples(
        st.none() | st.uuids().map(str),
        st.none() | st.sampled_from(["{}", "[1]", '{"a":1,"b":[2.0]}', '"x"']),
        st.none() | st.text(st.characters(codec="utf-8"), max_size=5),
        st.none() | st.integers(-(2**63), 2**63 - 1),
    ),
    max_size=12,
)


def table(rows: list[tuple[str | None, ...]]) -> pa.Table:
    """Plain rows."""
    values = zip(*rows, strict=True) if rows else [()] * len(COLUMNS)
    types = [pa.int64() if type_ == "bigint" else pa.string() for type_ in COLUMNS.values()]
    return pa.table(dict(zip(COLUMNS, map(pa.array, values, types), strict=True)))


def test_each_table_of_the_ledger_is_copied_or_said_not_to_be() -> None:
    """One that comes to the ledger later has to be thought of."""
    assert set(ledger_tables()) == {*COPIED, *BUILT_ANEW}


@given(ROWS, st.randoms(use_true_random=False), st.integers(1, 5))
def test_content_is_that_of_the_rows(rows: list[tuple[str | None, ...]], chance: random.Random, size: int) -> None:
    """Neither their order nor how they are cut into batches matters, and any other value, place or number does."""
    content = content_of([table(rows)], COLUMNS)
    shuffled = chance.sample(rows, len(rows))
    assert content_of(gathered([table(shuffled)], most_rows=size), COLUMNS) == content
    if rows:
        first, *others = rows
        other = (first[0], first[1], f"{first[2] or ''}.", first[3])
        assert content_of([table([other, *others])], COLUMNS) != content
        assert content_of([table(others)], COLUMNS) != content
        assert content_of([table([*rows, first])], COLUMNS) != content


def test_where_a_value_is_counts() -> None:
    """A value in another column, an empty text and none are other rows."""
    rows: list[tuple[str | None, ...]] = [
        (None, None, "a", None),
        (None, '"a"', None, None),
        (None, None, "", None),
        (None, None, None, None),
    ]
    assert len({content_of([table([row])], COLUMNS).hash for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"b": 1, "a": [1.50, 1e2]}', '{"a":[1.5,100],"b":1}'),
        ('{"a": -0.0}', '{"a": 0}'),
        ("12345678901234567890.10", "1.23456789012345678901e19"),
        ('"\\u00fc"', '"ü"'),
    ],
)
def test_a_document_in_another_spelling(one: str, other: str) -> None:
    """It is the same document."""
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("[1, 2]", "[2, 1]"),
        ('{"a": 1}', '{"a": "1"}'),
        ("12345678901234567890.1", "12345678901234567890.2"),
        ("null", '"null"'),
        ("1", "true"),
    ],
)
def test_another_document(one: str, other: str) -> None:
    """It is another one."""
    assert canonical(one) != canonical(other)


@given(ROWS)
def test_there_and_back(rows: list[tuple[str | None, ...]]) -> None:
    """Rows with Arrow's own types for identities and JSON are the same rows."""
    there = typed(table(rows), COLUMNS)
    assert there.column("id").to_pylist() == [None if row[0] is None else UUID(row[0]) for row in rows]
    again = [str(value) if isinstance(value, UUID) else value for value in there.column("id").to_pylist()]
    back = plain(there.set_column(0, "id", pa.array(again, pa.string())), COLUMNS)
    assert back.to_pylist() == table(rows).to_pylist()


def test_spaces_between_the_parts_of_a_document_go() -> None:
    """Those inside of its texts stay."""
    shown = '{"a: b, c": [1, "x, \\" y: \\\\"], "d": {"e": null}}'
    rows = without_spaces(table([(None, shown, "a, b: c", None)]), COLUMNS)
    assert rows.column("doc").to_pylist() == ['{"a: b, c":[1,"x, \\" y: \\\\"],"d":{"e":null}}']
    assert rows.column("note").to_pylist() == ["a, b: c"]


def test_no_more_than_a_batch_is_in_hand() -> None:
    """However large or small the parts are in which rows come."""
    parts = (pa.table({"n": list(range(size))}) for size in (10, BATCH_ROWS * 2 + 1, 3))
    sizes = [rows.num_rows for rows in gathered(parts)]
    assert sizes == [BATCH_ROWS, BATCH_ROWS, 14]
