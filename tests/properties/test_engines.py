"""Law 7: the same input gives the same tables on every engine."""

from __future__ import annotations

import itertools
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.layout import Layout
from penstock.ports import Destination
from penstock.spec import StreamSpec
from tests.support.examples import examples
from tests.support.versions import versions
from tests.support.warehouse import MAY_DIFFER, land, ledger, quarantined, write_files

_numbers = itertools.count(1)
_NAMES = (
    *("id", "t", "n", "Name", "name", "räum", 'a"b', "a b", "x/y~z", "select", "", "_pen_id", "ctid", "😀", "İ"),
    "x" * 70,
)
_TEXTS = (
    *("", " ", "\u00a0a\u2009", "\t\n", "É", "ß", "İ", "\ufeff", "infinity", "-0", "NaN", "{}"),
    *("2020-12-07T01:02:03.1234567+25:00", "2020-12-07T01:02+00", "9999-12-31T23:59:59-05:00"),
)

texts = st.sampled_from(_TEXTS) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30
)
numbers = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["-0", "-0.0", "1e400", "1E-400", "0.1234567890123456789", "1.50", "1234567890123456789012.5"]),
)
scalars = st.one_of(
    st.sampled_from(["null", "true", "false"]), numbers, texts.map(json.dumps), versions.map(lambda v: v[0] or "null")
)


def _object(members: dict[str, str]) -> str:
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in members.items()) + "}"


values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda v: f"[{','.join(v)}]")
        | st.dictionaries(texts, inner, max_size=3).map(_object)
    ),
    max_leaves=5,
)
bodies = st.dictionaries(st.sampled_from(_NAMES), values, max_size=6).map(_object)


def _rows(destination: Destination, stream: str) -> list[dict[str, Any]]:
    """The raw table's rows without what may differ, as texts, JSON with every digit."""
    names = destination.query(f'select * from raw."{stream}" limit 0').columns
    kinds = {c.name: c.type for c in destination.ledger.schema(stream).columns}
    texts = {n for n in names if n.startswith("_pen_") or kinds[n] in ("json", "timestamptz")}
    listed = ", ".join(f'cast("{n}" as text)' if n in texts else f'"{n}"' for n in names)
    rows = []
    for values in destination.query(f'select {listed} from raw."{stream}"').rows:
        row = dict(zip(names, values, strict=True))
        for name in names:
            if row[name] is not None and (kinds.get(name) == "json" or name in ("_pen_rescued", "_pen_json")):
                row[name] = json.loads(row[name], parse_float=Decimal, parse_int=Decimal)
        rows.append({n: v for n, v in row.items() if n not in MAY_DIFFER})
    return sorted(rows, key=lambda r: r["_pen_id"])


@settings(
    max_examples=examples(8),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    loads=st.lists(st.lists(bodies, min_size=1, max_size=10), min_size=1, max_size=2),
    types=st.sampled_from(["evolve", "rescue"]),
    merge=st.booleans(),
    flatten=st.booleans(),
)
def test_the_engines_hold_the_same(
    both: list[Destination], tmp_path: Path, loads: list[list[str]], types: Any, merge: bool, flatten: bool
) -> None:
    """Whatever the records hold, in one load or two: one raw table, one quarantine, one ledger, whichever engine."""
    stream = f"s{next(_numbers)}"
    keyed: dict[str, Any] = {"identity": ("id",), "version": "t"} if merge else {}
    rules = StreamSpec(stream=stream, types=types, layout=Layout(flatten=flatten), raw_json=True, **keyed)
    seen: list[Any] = []
    for destination in both:
        for lines in loads:
            write_files(tmp_path / "in", {f"{next(_numbers)}.ndjson": "\n".join(lines).encode() + b"\n"})
            land(destination, tmp_path / "in", rules, disposition="merge" if merge else "append")
        columns = [(c.field, c.name, c.type) for c in destination.ledger.schema(stream).columns]
        rows = _rows(destination, stream) if ledger(destination, stream)[0][1] else []
        seen.append((columns, rows, quarantined(destination, stream), ledger(destination, stream)))
    assert seen[0] == seen[1]
