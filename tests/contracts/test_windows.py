"""Windows of event time: day by day in any order gives what one load gives, on both destinations."""

from __future__ import annotations

import datetime as dt
import gzip
import random
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import UsageError
from penstock.ports import Destination, Window
from penstock.runs.plan import day_window
from penstock.spec import StreamSpec
from tests.support.fixtures import whichever as destination
from tests.support.warehouse import land, ledger, quarantined, table, write_files

__all__ = ["destination"]  # a fixture

DAYS = [dt.date(2020, 12, d) for d in range(5, 12)]
RULES = {"event_time": "at", "declared": (("at", "timestamp"),)}


def _rules(stream: str, **more: Any) -> StreamSpec:
    return StreamSpec(stream=stream, **{**RULES, **more})


def _files() -> dict[str, bytes]:
    """A week of events out of order, with duplicates, midnights, zones, and records without a time or broken."""
    draw = random.Random(3)
    start = dt.datetime(2020, 12, 5)
    times = [start + dt.timedelta(seconds=draw.randrange(7 * 86_400)) for _ in range(150)]
    times += [start + dt.timedelta(days=n) for n in range(8)]
    times += [start + dt.timedelta(days=n, microseconds=-1) for n in range(1, 8)]
    lines = [b'{"n":%d,"at":"%s"}' % (i, t.isoformat().encode()) for i, t in enumerate(times)]
    lines += [
        b'{"n":1000}',
        b'{"n":1001,"at":null}',
        b'{"n":1002,"at":"soon"}',
        b'{"n":1003,"at":17}',
        b'{"n":1004,"at":"2020-12-08T00:30:00+02:00"}',
        b"{broken",
        *lines[:10],
    ]
    draw.shuffle(lines)
    return {
        "a.ndjson": b"\n".join(lines[:60]) + b"\n",
        "b.ndjson.gz": gzip.compress(b"\n".join(lines[60:120])),
        "c.json": b"[" + b",".join(x for x in lines[120:] if x != b"{broken") + b"]",
        "d.ndjson": b"{broken\n",
    }


def _day(day: dt.date) -> Window:
    window = day_window(day, None, None)
    assert window is not None
    return window


@pytest.mark.parametrize(
    "order", [*(pytest.param(o, marks=pytest.mark.slow) for o in ("forward", "backward")), "shuffled", "ranges"]
)
def test_day_by_day_is_at_once(destination: Destination, tmp_path: Path, order: str) -> None:
    """A week loaded by days or ranges, in any order, and then whole, is the week loaded at once."""
    write_files(tmp_path / "in", _files())
    land(destination, tmp_path / "in", _rules("once"))
    week = day_window(None, DAYS[0], DAYS[-1])
    land(destination, tmp_path / "in", _rules("week"), window=week)
    if order == "ranges":
        windows = [
            day_window(None, DAYS[3], DAYS[-1]),
            day_window(None, None, DAYS[4]),
            day_window(DAYS[0], None, None),
        ]
        expected = table(destination, "once")
        expected = [r for r in expected if r["at"] is None or r["at"] < dt.datetime(2020, 12, 12)]
    else:
        days = {"forward": DAYS, "backward": DAYS[::-1], "shuffled": random.Random(1).sample(DAYS, 7)}[order]
        windows = [_day(d) for d in days]
        expected = table(destination, "week")
    for window in windows:
        land(destination, tmp_path / "in", _rules("daily"), window=window)
    assert table(destination, "daily") == expected
    assert quarantined(destination, "daily") == quarantined(destination, "once")
    for read, landed, duplicates, rejected in ledger(destination, "daily"):
        assert read == landed + duplicates + rejected
    land(destination, tmp_path / "in", _rules("daily"))
    assert table(destination, "daily") == table(destination, "once")


def test_records_without_event_time_land_once(destination: Destination, tmp_path: Path) -> None:
    """What has no time that parses belongs to no day, so it lands with whichever comes first, once."""
    write_files(tmp_path / "in", {"f.ndjson": b'{"n":1}\n{"n":2,"at":"soon"}\n{"n":3,"at":"2020-12-06T00:00:00"}\n'})
    first = land(destination, tmp_path / "in", _rules("s"), window=_day(DAYS[0]))
    assert (first.total("read"), first.total("landed")) == (2, 2)
    second = land(destination, tmp_path / "in", _rules("s"), window=_day(DAYS[1]))
    assert (second.total("read"), second.total("landed"), second.total("duplicates")) == (3, 1, 2)
    assert {r["n"] for r in table(destination, "s")} == {1, 2, 3}


def test_backfill_again_is_nothing(destination: Destination, tmp_path: Path) -> None:
    """A day again is not even read; nor is any day of a file that landed whole."""
    write_files(tmp_path / "in", _files())
    land(destination, tmp_path / "in", _rules("s"), window=_day(DAYS[2]))
    again = land(destination, tmp_path / "in", _rules("s"), window=_day(DAYS[2]))
    assert again.receipts == [] and len(again.skipped) == 4
    land(destination, tmp_path / "in", _rules("s"))
    other = land(destination, tmp_path / "in", _rules("s"), window=_day(DAYS[4]))
    assert other.receipts == [] and len(other.skipped) == 4
    forced = land(destination, tmp_path / "in", _rules("s"), window=_day(DAYS[2]), fingerprint=False)
    assert forced.total("read") > 0 and forced.total("landed") == 0


def test_a_day_of_a_grown_file(destination: Destination, tmp_path: Path) -> None:
    """Growth is noticed for each day by itself."""
    folder = tmp_path / "in"
    lines = b'{"n":1,"at":"2020-12-05T01:00:00"}\n{"n":2,"at":"2020-12-06T01:00:00"}\n'
    write_files(folder, {"f.ndjson": lines})
    land(destination, folder, _rules("s"), window=_day(DAYS[0]))
    with (folder / "f.ndjson").open("ab") as file:
        file.write(b'{"n":3,"at":"2020-12-05T02:00:00"}\n')
    land(destination, folder, _rules("s"), window=_day(DAYS[1]))
    assert {r["n"] for r in table(destination, "s")} == {2}.union({1})
    land(destination, folder, _rules("s"), window=_day(DAYS[0]))
    assert {r["n"] for r in table(destination, "s")} == {1, 2, 3}


def test_merge_by_days(destination: Destination, tmp_path: Path) -> None:
    """Latest state by version, loaded day by day in any order, is that of one load."""
    draw = random.Random(5)
    lines = [
        b'{"k":%d,"v":%d,"at":"%sT%02d:00:00"}'
        % (draw.randrange(8), draw.randrange(30), str(draw.choice(DAYS)).encode(), draw.randrange(24))
        for _ in range(120)
    ]
    write_files(tmp_path / "in", {"f.ndjson": b"\n".join(lines)})
    keyed = {"identity": ("k",), "version": "v"}
    land(destination, tmp_path / "in", _rules("once", **keyed), disposition="merge")
    for day in draw.sample(DAYS, 7):
        land(destination, tmp_path / "in", _rules("daily", **keyed), disposition="merge", window=_day(day))
    assert table(destination, "daily") == table(destination, "once")


def test_window_of_options() -> None:
    """A day ends where the next begins; ``--to`` is taken in; either end may be open."""
    assert day_window(None, None, None) is None
    assert str(day_window(DAYS[0], None, None)) == "2020-12-05T00:00:00/2020-12-06T00:00:00"
    assert str(day_window(None, DAYS[0], DAYS[0])) == str(day_window(DAYS[0], None, None))
    assert str(day_window(None, DAYS[0], None)).endswith("/9999-12-31T00:00:00")
    with pytest.raises(UsageError, match="before"):
        day_window(None, DAYS[1], DAYS[0])
    with pytest.raises(UsageError, match="alone"):
        day_window(DAYS[0], DAYS[0], None)
