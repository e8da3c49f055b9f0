"""Splitters cut bytes where records end, however the bytes come in chunks."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.records.splitters import LineSplitter, Splitter, ValueSplitter
from penstock.shape.strict import Sound, examine
from tests.support.examples import examples

pytestmark = pytest.mark.usefixtures("each_kernel")

FAST = settings(max_examples=examples(60), deadline=None)

nasty = st.text(st.sampled_from('[]{},:"\\/ \n\tnéa😀'), max_size=10)
values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-999, 999), st.floats(allow_nan=False, allow_infinity=False), nasty
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(nasty, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(nasty, values, max_size=4)
spaces = st.sampled_from(["", " ", "\n", "\r\n\t", "  \n"])


def _split(splitter: Splitter, data: bytes, cuts: list[int]) -> list[tuple[int, bytes]]:
    """Number and bytes of each record, ``data`` being cut at ``cuts``."""
    places = [0, *sorted({min(c, len(data)) for c in cuts}), len(data)]
    found = [splitter.cut(data[a:b]) for a, b in pairwise(places) if b > a]
    found.append(splitter.finish())
    return [
        (int(number), body.as_py())
        for cut in found
        if cut is not None
        for number, body in zip(cut.numbers, cut.bodies, strict=True)
    ]


def _loaded(bodies: list[bytes]) -> list[Any]:
    """The values in bodies; one may hold several."""
    decoder, found = json.JSONDecoder(), []
    for body in bodies:
        text, place = body.decode(), 0
        while (rest := text[place:].lstrip()) and (place := len(text) - len(rest)) >= 0:
            value, length = decoder.raw_decode(rest)
            found.append(value)
            place += length
    return found


chunks = st.lists(st.integers(0, 400), max_size=12)


@FAST
@given(found=st.lists(values, max_size=6), space=spaces, ascii_=st.booleans(), cuts=chunks)
def test_array(found: list[Any], space: str, ascii_: bool, cuts: list[int]) -> None:
    """The elements of an array are those that ``json.loads`` gives, numbered from 1, for any chunks."""
    inner = f"{space},{space}".join(json.dumps(v, ensure_ascii=ascii_) for v in found)
    data = f"{space}[{space}{inner}{space}]{space}".encode()
    records = _split(ValueSplitter(), data, cuts)
    assert [json.loads(body) for _, body in records] == found
    assert [number for number, _ in records] == list(range(1, len(found) + 1))


@FAST
@given(found=st.lists(objects, max_size=6), space=spaces, indent=st.sampled_from([None, 1]), cuts=chunks)
def test_values_one_after_the_other(
    found: list[dict[str, Any]], space: str, indent: int | None, cuts: list[int]
) -> None:
    """Objects one after the other are told apart, for any chunks, with or without space between them."""
    data = space.join(json.dumps(v, ensure_ascii=False, indent=indent) for v in found).encode()
    records = _split(ValueSplitter(), data, cuts)
    assert [json.loads(body) for _, body in records] == found


@FAST
@given(found=st.lists(st.lists(objects, max_size=3), min_size=2, max_size=3), cuts=chunks)
def test_array_after_array(found: list[list[dict[str, Any]]], cuts: list[int]) -> None:
    """What follows the first array is kept, so that shaping can judge it."""
    data = "\n".join(json.dumps(a) for a in found).encode()
    bodies = [body for _, body in _split(ValueSplitter(), data, cuts)]
    records = [r for body in bodies for r in examine(body, 1 << 20)]
    assert all(isinstance(r, Sound) for r in records)
    loaded = [e for v in _loaded(bodies) for e in (v if isinstance(v, list) else [v])]
    assert loaded == [o for a in found for o in a]


@FAST
@given(found=st.lists(objects | st.none(), max_size=8), crlf=st.booleans(), ended=st.booleans(), cuts=chunks)
def test_lines(found: list[dict[str, Any] | None], crlf: bool, ended: bool, cuts: list[int]) -> None:
    """A record a line, numbered by lines; blank lines are none, but count."""
    newline = "\r\n" if crlf else "\n"
    lines = ["" if v is None else json.dumps(v) for v in found]
    data = (newline.join(lines) + (newline if ended else "")).encode()
    records = _split(LineSplitter(), data, cuts)
    assert [(n, json.loads(body)) for n, body in records] == [(n, v) for n, v in enumerate(found, 1) if v is not None]


@FAST
@given(data=st.binary(max_size=60), cuts=chunks)
def test_any_bytes(data: bytes, cuts: list[int]) -> None:
    """Whatever the bytes, lines come out the same for any chunks, and none is lost."""
    expected = [(n, x) for n, x in enumerate(data.split(b"\n"), 1) if x.strip(b" \t\r\n")]
    assert [(n, x.removesuffix(b"\n")) for n, x in _split(LineSplitter(), data, cuts)] == expected


@FAST
@given(
    found=st.lists(st.lists(st.sampled_from([b'{"a":1}', b"[", b" ", b"\t"]), max_size=2).map(b"".join), max_size=6),
    end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    cuts=chunks,
)
def test_lines_by_their_first_end(found: list[bytes], end: bytes, cuts: list[int]) -> None:
    """LF, CRLF and CR alone end lines, whichever the file has; the numbers count lines."""
    data = end.join(found)
    expected = [(n, line) for n, line in enumerate(found, 1) if line.strip()]
    records = [(n, body.rstrip(b"\r\n")) for n, body in _split(LineSplitter(line_end=None), data, cuts)]
    assert records == expected
