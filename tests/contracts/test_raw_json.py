"""``raw_json``: the whole record beside its columns, on both destinations."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from penstock.land.loop import load
from penstock.layout import Layout
from penstock.ports import Destination, Target
from penstock.shape.shaper import Shaper
from penstock.sources.files.source import FilesSource
from penstock.spec import StreamSpec
from tests.support.warehouse import write_files

RECORDS = [
    b'{"id": 1, "at": "2024-02-29T10:00:00Z", "who": {"name": "Ada", "pin": 1}, "exact": 0.1234567890123456789}',
    b'{"id": 2, "at": "2024-02-29T11:00:00Z", "who": null, "exact": 12345678901234567890, "more": [1.5, {"pin": 2}]}',
    b'{"at": "2024-02-29T12:00:00Z", "id": 3}',
]


def _land(destination: Destination, folder: Path, rules: StreamSpec, *lines: bytes) -> None:
    write_files(folder, {f"{len(lines)}.ndjson": b"\n".join(lines) + b"\n"})
    source = FilesSource("files", ["**"], root=folder)
    shaper = Shaper(rules, threads=1)
    load(source, destination, shaper, Target(spec=rules, source="files"))
    shaper.close()


def _whole(destination: Destination) -> list[Any]:
    rows = destination.query("select cast(_pen_json as text) from raw.s order by id").rows
    return [None if text is None else json.loads(text, parse_float=Decimal) for (text,) in rows]


def test_the_whole_record(destination: Destination, tmp_path: Path) -> None:
    """A row keeps its record, every digit of it, without what the stream drops, at any depth."""
    rules = StreamSpec(stream="s", raw_json=True, layout=Layout(drop=("who.pin", "more.pin")))
    _land(destination, tmp_path / "in", rules, *RECORDS)
    assert _whole(destination) == [
        {"id": 1, "at": "2024-02-29T10:00:00Z", "who": {"name": "Ada"}, "exact": Decimal("0.1234567890123456789")},
        {
            "id": 2,
            "at": "2024-02-29T11:00:00Z",
            "who": None,
            "exact": 12345678901234567890,
            "more": [Decimal("1.5"), {}],
        },
        {"id": 3, "at": "2024-02-29T12:00:00Z"},
    ]


def test_records_that_look_alike(destination: Destination, tmp_path: Path) -> None:
    """Records that a machine wrote one like the other keep theirs too, flat where the stream is."""
    lines = [b'{"id": %d, "who": {"name": "n%d", "pin": 7}}' % (i, i) for i in range(30)]
    _land(
        destination,
        tmp_path / "in",
        StreamSpec(stream="s", raw_json=True, layout=Layout(flatten=True, drop=("who_pin",))),
        *lines,
    )
    assert _whole(destination) == [{"id": i, "who_name": f"n{i}"} for i in range(30)]


def test_asked_for_later(destination: Destination, tmp_path: Path) -> None:
    """A table that was made without gets the column; its rows have none, and none is written once it is not asked
    for."""
    rules = StreamSpec(stream="s", identity=("id",))
    _land(destination, tmp_path / "in", rules, *RECORDS[:1])
    _land(destination, tmp_path / "in", StreamSpec(stream="s", identity=("id",), raw_json=True), *RECORDS[:2])
    _land(destination, tmp_path / "in", rules, *RECORDS)
    assert [whole and whole["id"] for whole in _whole(destination)] == [None, 2, None]
    if destination.ledger.beside:  # the view reads both
        delta = destination.query("select _pen_json from raw.s__delta")
        assert list(delta.columns) == ["_pen_json"]
