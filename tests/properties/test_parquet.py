"""Parquet: each row of every type that a file can hold lands with its value, or is refused with what came."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import math
import uuid
from collections.abc import Callable
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.errors import SourceError
from penstock.ports import Destination
from penstock.shape.strict import Sound, examine
from penstock.sources.files.parquet import parquet_rows
from penstock.spec import StreamSpec
from tests.support.examples import examples
from tests.support.warehouse import land, ledger, quarantined, table

PROPERTY = settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_numbers = itertools.count(1)
_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_EPOCH = dt.datetime(1970, 1, 1)

Column = tuple[pa.Array, list[Any]]
"""Values, and what each is in JSON."""


class Infinite:
    """What JSON has no number for."""


class NoText(bytes):
    """Text that is not UTF-8."""


def _float(value: float) -> Any:
    return None if math.isnan(value) else Infinite() if math.isinf(value) else Decimal(repr(value))


def _fraction(ticks: int, unit: str) -> str:
    return f".{ticks:0{len(str(_UNITS[unit])) - 1}d}".rstrip("0") if ticks else ""


def _clocks(unit: str) -> Callable[[int], str]:
    def clock(ticks: int) -> str:
        seconds, rest = divmod(abs(ticks), _UNITS[unit])
        sign = "-" if ticks < 0 else ""
        return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{_fraction(rest, unit)}"

    return clock


def _moments(unit: str, zone: str) -> Callable[[int], str | None]:
    def moment(ticks: int) -> str | None:
        """None where Python cannot tell."""
        seconds, rest = divmod(ticks, _UNITS[unit])
        try:
            at = _EPOCH + dt.timedelta(seconds=seconds)
        except OverflowError:
            return None
        return f"{at.year:04d}-{at:%m-%d %H:%M:%S}{_fraction(rest, unit)}{zone}"

    return moment


def _shown(value: bytes) -> str:
    irregular = {*range(32), *range(127, 256), *b"\"'\\"}
    return "".join(f"\\x{b:02X}" if b in irregular else chr(b) for b in value)


def _text(value: bytes) -> Any:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return NoText(value)


def _plain(
    type_: pa.DataType, values: st.SearchStrategy[Any], expected: Callable[[Any], Any] = lambda v: v, via: Any = None
) -> Callable[[int], st.SearchStrategy[Column]]:
    """Columns of a type, made from ``values`` as the type ``via``."""

    def made(items: list[Any]) -> Column:
        array = pa.array(items, via or type_)
        array = array if via is None else array.cast(type_) if via == pa.bool_() else array.view(type_)
        return array, [None if i is None else expected(i) for i in items]

    return lambda n: st.lists(st.none() | values, min_size=n, max_size=n).map(made)


_texts = st.binary(max_size=4) | st.text(max_size=4).map(lambda t: t.encode("utf-8", "replace"))
_ticks = st.integers(-(2**63), 2**63 - 1) | st.integers(-(2**36), 2**36) | st.sampled_from([2**63 - 1, 1 - 2**63])
_days = st.integers(-(2**31), 2**31 - 1) | st.integers(-700_000, 2_900_000)


def _decimals(width: int) -> st.SearchStrategy[Decimal]:
    return st.integers(1 - 10**width, 10**width - 1).map(lambda n: Decimal(n).scaleb(-2, Context(prec=80)))


def _day(days: int) -> str | None:
    try:
        return (dt.date(1970, 1, 1) + dt.timedelta(days=days)).isoformat()
    except OverflowError:
        return None


_leaves: list[Callable[[int], st.SearchStrategy[Column]]] = [
    _plain(pa.null(), st.none()),
    _plain(pa.bool_(), st.booleans()),
    *(_plain(t, st.integers(-128, 127)) for t in (pa.int8(), pa.int16(), pa.int32(), pa.int64())),
    *(_plain(t, st.integers(0, 255)) for t in (pa.uint8(), pa.uint16(), pa.uint32())),
    _plain(pa.uint64(), st.integers(0, 2**64 - 1)),
    _plain(pa.float16(), st.floats(width=16).map(np.float16), lambda v: _float(float(v))),
    _plain(pa.float32(), st.floats(width=32), lambda v: _float(float(np.float32(v)))),
    _plain(pa.float64(), st.floats(), _float),
    _plain(pa.decimal32(9, 2), _decimals(9)),
    _plain(pa.decimal64(18, 2), _decimals(18)),
    _plain(pa.decimal128(38, 2), _decimals(38)),
    _plain(pa.decimal256(76, 2), _decimals(76)),
    *(_plain(t, _texts, _text, via) for t, via in ((pa.string(), pa.binary()), (pa.large_string(), pa.large_binary()))),
    _plain(pa.string_view(), _texts, _text, pa.binary_view()),
    *(_plain(t, _texts, _shown) for t in (pa.binary(), pa.large_binary(), pa.binary_view())),
    _plain(pa.binary(3), st.binary(min_size=3, max_size=3), _shown),
    _plain(pa.date32(), _days, _day, pa.int32()),
    *(_plain(pa.time32(u), st.integers(-9, 2_000_000), _clocks(u), pa.int32()) for u in ("s", "ms")),
    *(_plain(pa.time64(u), _ticks, _clocks(u), pa.int64()) for u in ("us", "ns")),
    *(_plain(pa.duration(u), _ticks, _clocks(u), pa.int64()) for u in _UNITS),
    *(
        _plain(pa.timestamp(u, z), _ticks, _moments(u, "+00" if z else ""), pa.int64())
        # Parquet keeps no seconds, and not every second fits into its milliseconds
        for u, z in itertools.product(("ms", "us", "ns"), (None, "UTC", "Europe/Oslo"))
    ),
    lambda n: st.lists(st.binary(min_size=16, max_size=16), min_size=n, max_size=n).map(
        lambda ids: (pa.array(ids, pa.uuid()), [str(uuid.UUID(bytes=i)) for i in ids])
    ),
    lambda n: st.lists(st.sampled_from(['{"a": [1.00000000000000000001]}', "7", "no"]), min_size=n, max_size=n).map(
        lambda ts: (
            pa.ExtensionArray.from_storage(pa.json_(), pa.array(ts, pa.string())),
            [t if t == "no" else json.loads(t, parse_float=Decimal) for t in ts],
        )
    ),
    lambda n: st.lists(st.sampled_from(["a", "b", None]), min_size=n, max_size=n).map(
        lambda ts: (pa.array(ts, pa.string()).dictionary_encode(), ts)
    ),
]


@st.composite
def columns(draw: st.DrawFn, size: int, depth: int = 2) -> Column:
    """A column of ``size`` values of any type."""
    kind = draw(st.sampled_from(["leaf", "leaf", "list", "large", "fixed", "struct", "map"])) if depth else "leaf"
    if kind == "leaf":
        leaf: Column = draw(draw(st.sampled_from(_leaves))(size))
        return leaf
    if kind == "struct":
        # a group of Parquet has a member, and no name twice
        names = draw(
            st.lists(st.sampled_from(["a", "A", "x/y", "räum", 'q"', "\0"]), min_size=1, max_size=3, unique=True)
        )
        parts = [draw(columns(size, depth - 1)) for _ in names]
        absent = [draw(st.booleans()) for _ in range(size)]
        array = pa.StructArray.from_arrays([a for a, _ in parts], names, mask=pa.array(absent, pa.bool_()))
        rows = zip(*(values for _, values in parts), strict=True)
        return array, [
            None if gone else dict(zip(names, row, strict=True)) for gone, row in zip(absent, rows, strict=True)
        ]
    if kind == "fixed":
        array, values = draw(columns(2 * size, depth - 1))
        return pa.FixedSizeListArray.from_arrays(array, 2), [values[2 * i : 2 * i + 2] for i in range(size)]
    counts = [draw(st.integers(0, 2)) for _ in range(size)]
    offsets = list(itertools.accumulate(counts, initial=0))
    array, values = draw(columns(offsets[-1], depth - 1))
    spans = list(itertools.pairwise(offsets))
    if kind == "map":
        keys = [draw(st.sampled_from(["k", "l", ""])) for _ in range(offsets[-1])]
        made = pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(keys, pa.string()), array)
        return made, [Pairs(zip(keys[s:e], values[s:e], strict=True)) for s, e in spans]
    width, list_type = (pa.int64(), pa.LargeListArray) if kind == "large" else (pa.int32(), pa.ListArray)
    return list_type.from_arrays(pa.array(offsets, width), array), [values[s:e] for s, e in spans]


class Pairs(list[Any]):
    """The members of a map."""


def _refused(value: Any) -> bool:
    """Whether JSON cannot say it."""
    if isinstance(value, Pairs):
        return len({k for k, _ in value}) < len(value) or any(_refused(v) for _, v in value)
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, Infinite | NoText) or any(map(_refused, inner))


def _same(found: Any, expected: Any) -> bool:
    if isinstance(expected, Pairs):
        return _same(found, dict(expected))
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(_same(found[k], v) for k, v in expected.items())
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(_same, found, expected))
    return bool(found == expected)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a file may be written."""
    (tmp_path / "in").mkdir()
    return tmp_path / "in" / "f.parquet"


@st.composite
def tables(draw: st.DrawFn) -> tuple[pa.Table, list[dict[str, Any]]]:
    """Tables, and their rows."""
    size = draw(st.integers(0, 4))
    names = draw(
        st.lists(st.sampled_from(["a", "A", 'b"', "", "_pen_id", "x\0y"]), min_size=1, max_size=3, unique=True)
    )
    parts = {name: draw(columns(size)) for name in names}
    rows = [{name: values[i] for name, (_, values) in parts.items()} for i in range(size)]
    return pa.table({name: array for name, (array, _) in parts.items()}), rows


@PROPERTY
@given(drawn=tables())
def test_every_type(path: Path, drawn: tuple[pa.Table, list[dict[str, Any]]]) -> None:
    """A row is an object with the values that it has, or one that the shaper refuses, with the bytes that came."""
    found, rows = drawn
    try:
        pq.write_table(found, path)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return  # no Parquet file holds it
    bodies = [body for cut in parquet_rows(str(path), "f.parquet") for body in cut.bodies.to_pylist()]
    assert len(bodies) == len(rows)
    for body, row in zip(bodies, rows, strict=True):
        if _refused(row):
            (refused,) = examine(body, 1 << 20)
            assert not isinstance(refused, Sound)
            assert refused.original == body
            for text in _broken_texts(row):
                assert (
                    json.dumps(text.decode("utf-8", "surrogateescape"), ensure_ascii=False).encode(
                        "utf-8", "surrogateescape"
                    )
                    in body
                )
        else:
            value = json.loads(body, parse_float=Decimal)
            assert _same(value, _known(row, value)), body


def _broken_texts(value: Any) -> list[bytes]:
    if isinstance(value, Pairs):
        return [t for _, v in value for t in _broken_texts(v)]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [bytes(value)] if isinstance(value, NoText) else [t for v in inner for t in _broken_texts(v)]


def _known(expected: Any, found: Any) -> Any:
    """``expected``, with what Python cannot tell of far days taken from what was found."""
    if isinstance(expected, Pairs):
        return {k: _known(v, found[k]) for k, v in expected}
    if isinstance(expected, dict):
        return {k: _known(v, found[k]) for k, v in expected.items()}
    if isinstance(expected, list):
        return [_known(e, f) for e, f in zip(expected, found, strict=True)]
    return found if expected is None and isinstance(found, str) and found[:1].isdigit() else expected


@settings(PROPERTY, max_examples=examples(12))
@given(drawn=tables())
def test_every_row_has_an_outcome(
    both: list[Destination], path: Path, drawn: tuple[pa.Table, list[dict[str, Any]]]
) -> None:
    """Rows read = landed + duplicates + quarantined, and the same on every engine."""
    found, rows = drawn
    try:
        pq.write_table(found, path)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return
    stream = f"s{next(_numbers)}"
    outcomes = []
    for destination in both:
        land(destination, path.parent, StreamSpec(stream=stream))
        (counts,) = ledger(destination, stream) or [(0, 0, 0, 0)]
        assert counts[0] == len(rows) == sum(counts[1:])
        outcomes.append((counts, table(destination, stream) if counts[1] else [], quarantined(destination, stream)))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1" * 9, b"", b"PAR1\0\0\0\0PAR1"])
def test_no_parquet(path: Path, content: bytes) -> None:
    """What is no Parquet is an error that says where, and what to do."""
    path.write_bytes(content)
    with pytest.raises(SourceError) as raised:
        list(parquet_rows(str(path), "in/f.parquet"))
    assert raised.value.where == "in/f.parquet" and raised.value.fix


@settings(PROPERTY, max_examples=examples(40))
@given(places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged(path: Path, places: list[tuple[float, int]]) -> None:
    """A file with bytes changed is read, or an error of ours."""
    pq.write_table(pa.table({"a": [1, 2], "t": ["x", "y"], "l": [[1.5], None]}), path)
    content = bytearray(path.read_bytes())
    for place, byte in places:
        content[int(place * (len(content) - 1))] = byte
    path.write_bytes(content)
    try:
        list(parquet_rows(str(path), "f"))
    except SourceError as e:
        assert e.fix
