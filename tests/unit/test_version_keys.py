"""The keys of versions: their bytes sort as versions do."""

from __future__ import annotations

import json
from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.shape.version_keys import key_sql
from tests.support.examples import examples
from tests.support.versions import Rank, versions


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB in memory."""
    with duckdb.connect() as opened:
        yield opened


@settings(max_examples=examples(40), deadline=None)
@given(drawn=st.lists(versions, min_size=20, max_size=40))
def test_keys_sort_as_versions_do(connection: duckdb.DuckDBPyConnection, drawn: list[tuple[str, Rank]]) -> None:
    """Of two versions of any spelling, the greater has the key whose bytes are greater; equal ones have one key."""
    texts = [None if body in ("", "null") else _text(body) for body, _ in drawn]
    sql = f"select {key_sql('v')} from (select unnest($1::varchar[]) as v, unnest($2) as i) order by i"
    keys = [key for (key,) in connection.execute(sql, [texts, list(range(len(texts)))]).fetchall()]
    places = [("" if key is None else "!" + key).encode() for key in keys]
    for (_, rank), place in zip(drawn, places, strict=True):
        for (_, other), beside in zip(drawn, places, strict=True):
            assert (place < beside, place == beside) == (rank < other, rank == other)


def _text(body: str) -> str:
    return str(json.loads(body)) if body.startswith('"') else body
