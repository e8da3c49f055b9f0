"""Where something stands in a JSON document, as DuckDB is asked for it."""

from __future__ import annotations

import json

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from penstock.jsonpath import POINTER_SQL, pointer
from penstock.sql import literal

KEYS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8
) | st.sampled_from(["~", "/", "~0", "~1", "a/b", "a.b", "$", "0", "'"])


@given(st.lists(KEYS, min_size=1, max_size=4))
def test_a_pointer_finds_a_value_under_keys_of_any_spelling(keys: list[str]) -> None:
    """In Python's words and in SQL's, which name the same place."""
    document: object = 42
    for key in reversed(keys):
        document = {key: document}
    body = literal(json.dumps(document))
    one, other = duckdb.execute(
        f"select json_extract({body}, {literal(pointer(keys))})::varchar, {POINTER_SQL}"
        f" from (select {literal(keys[0])} as x)"
    ).fetchall()[0]
    assert one == "42"
    assert other == pointer(keys[:1])
