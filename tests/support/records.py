"""Records of any kind, for properties."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.support.examples import examples

PROPERTY = settings(
    max_examples=examples(15),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_numbers = itertools.count(1)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
    st.sampled_from(["2020-12-07", "2020-12-07T01:02:03.5", "2020-12-07 01:02:03+02:00", "true", "1e400", "", "null"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from(["id", "Name", "name", "räum", 'a"b', "a b", "x/y~z", "select", "", "_pen_id", "ctid", "😀"])
records = st.lists(st.dictionaries(fields, values, max_size=6), min_size=1, max_size=12)
events = st.lists(
    st.fixed_dictionaries(
        {"k": st.integers(1, 5), "v": st.integers(0, 4), "t": st.sampled_from(["a", "b", "", None])},
        optional={"x": st.integers(-3, 3) | texts},
    ),
    min_size=1,
    max_size=20,
)
lines = st.one_of(
    records.map(lambda rs: json.dumps(rs[0]).encode()),
    st.binary(max_size=20).map(lambda b: b.replace(b"\n", b" ")),
    st.sampled_from(
        [
            b'{"a":1,}',
            b"[1,2]",
            b'{"a":NaN}',
            b'{"a":"\\u0000"}',
            b'{"a":"\\ud800"}',
            b'{"a":1,"a":2}',
            b"\xff\xfe",
            b"7",
            b'{"a":1}{"a":2}',
            b"[" * 700 + b"]" * 700,
        ]
    ),
)


def a_stream() -> str:
    return f"s{next(_numbers)}"


def ndjson(found: list[dict[str, Any]], draw: random.Random | None = None) -> bytes:
    """Lines, in a shuffled spelling when ``draw`` is given: key order, white space, escapes."""
    out = []
    for record in found:
        items = list(record.items())
        if draw:
            draw.shuffle(items)
        text = json.dumps(
            dict(items),
            ensure_ascii=bool(draw and draw.random() < 0.5),
            separators=(" , ", " :  ") if draw and draw.random() < 0.5 else (",", ":"),
        )
        out.append(text.encode())
    return b"\n".join(out) + b"\n"
