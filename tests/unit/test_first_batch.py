"""The first batch of a stream gets the same columns with the kernel and without it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest

from penstock.errors import ContractError
from penstock.layout import Layout
from penstock.ports import Batch, Segment, Shaped
from penstock.schema import Schema
from penstock.shape import columns, shaper
from penstock.shape.lanes.parsed import Parsed
from penstock.shape.shaper import Shaper
from penstock.spec import StreamSpec
from tests.support.kernels import kernel_switched

SAMPLE = 50
COUNT = 2 * SAMPLE + 20

Change = Callable[[int, dict[str, Any]], Any]


def _record(i: int) -> dict[str, Any]:
    return {
        "id": i,
        "at": f"2026-11-{i % 28 + 1:02}",
        "o": {"b": i % 2 == 0, "a": i / 4},
        "name": f"n{i}",
        "none": None,
    }


def _changed(place: int, /, **members: Any) -> Change:
    return lambda i, record: {**record, **members} if i == place else record


CHANGES: dict[str, Change] = {
    "alike": lambda i, record: record,
    "a field late": _changed(SAMPLE + 7, late=1),
    "a field late and null": _changed(SAMPLE + 7, late=None),
    "a field in the sample alone": _changed(3, early=True),
    "another type late": _changed(SAMPLE + 7, id=1.5),
    "another type early": _changed(7, id=1.5),
    "text for a day": _changed(COUNT - 1, at="yesterday"),
    "an object for text": _changed(SAMPLE + 9, name={"first": "x"}),
    "a whole double": _changed(SAMPLE + 9, id=7.0),
    "digits": _changed(SAMPLE + 9, id=2**70),
    "no record early": lambda i, record: "[" if i == 5 else record,
    "no record late": lambda i, record: "[" if i == SAMPLE + 5 else record,
    "two late": lambda i, record: [record, {**record, "more": 1}] if i == SAMPLE + 5 else record,
}
SPECS = {
    "plain": StreamSpec(stream="s"),
    "evolving": StreamSpec(stream="s", types="evolve"),
    "declared": StreamSpec(stream="s", declared=(("at", "text"), ("id", "bigint"))),
    "rejecting": StreamSpec(stream="s", columns="reject", types="reject"),
    "frozen": StreamSpec(stream="s", columns="freeze", types="freeze"),
    "flat": StreamSpec(stream="s", layout=Layout(flatten=True, drop=("name",)), identity=("id",)),
}


@pytest.fixture(autouse=True)
def few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of a hundred records is foretold as one of thousands is."""
    monkeypatch.setattr(columns, "SAMPLE_ROWS", SAMPLE)
    monkeypatch.setattr(shaper, "SAMPLE_ROWS", SAMPLE)


def _bodies(change: Change) -> list[bytes]:
    records = [change(i, _record(i)) for i in range(COUNT)]
    return [record.encode() if isinstance(record, str) else json.dumps(record).encode() for record in records]


def _shaped(spec: StreamSpec, bodies: list[bytes], *, native: bool) -> Any:
    with kernel_switched(native):
        opened = Shaper(spec, threads=1)
    try:
        batch = Batch(bodies=pa.array(bodies, pa.binary()), segments=[Segment(start=0, place="f", number=1)])
        return _seen(opened.shape(batch, Schema()))
    except ContractError as e:
        return str(e)
    finally:
        opened.close()


def _seen(shaped: Shaped) -> tuple[Any, ...]:
    rows = sorted(str(dict(sorted(row.items()))) for row in shaped.rows.to_pylist())
    return shaped.schema, rows, shaped.rejects, shaped.read, shaped.duplicates


FEW = ("a field late", "another type late", "no record late")
"""What is tried of each kind of stream in ``make test`` too."""


@pytest.mark.parametrize(
    ("spec", "change"),
    [
        pytest.param(spec, change, marks=() if change in FEW else pytest.mark.slow)
        for spec in SPECS
        for change in CHANGES
    ],
)
def test_the_same_columns(spec: str, change: str) -> None:
    """Whatever comes after the first records, or among them, and whatever the contract makes of it."""
    bodies = _bodies(CHANGES[change])
    assert _shaped(SPECS[spec], bodies, native=True) == _shaped(SPECS[spec], bodies, native=False)


def test_the_kernel_takes_a_first_batch() -> None:
    """SQL reads its first records only, where they foretell the others."""
    taken: list[int] = []
    take = Parsed.take

    def counted(self: Parsed, lines: Any, form: Any) -> Any:
        taken.append(len(lines))
        return take(self, lines, form)

    with patch.object(Parsed, "take", counted):
        schema, rows, *_ = _shaped(SPECS["plain"], _bodies(CHANGES["alike"]), native=True)
    assert taken == [SAMPLE]
    assert [c.type for c in schema.columns] == ["bigint", "date", "json", "text"]
    assert len(rows) == COUNT
