"""Raw values, read the same way on each engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.dbt.stories import TEXTS
from tests.dbt.warehouse import Warehouse

Open = Callable[[str, str], Warehouse]

INSTANTS = {
    "2024-02-29": "2024-02-29 00:00:00",
    "2024-02-29 10:00": "2024-02-29 10:00:00",
    "2024-02-29T10:00:00.5": "2024-02-29 10:00:00.500000",
    "2024-02-29T10:00:00.1234567": "2024-02-29 10:00:00.123456",
    "2024-02-29T10:00:00.999999999999Z": "2024-02-29 10:00:00.999999",
    "2024-02-29T10:00:00Z": "2024-02-29 10:00:00",
    "2024-02-29T10:00:00+05:30": "2024-02-29 04:30:00",
    "2024-02-29 10:00:00.5 -0800": "2024-02-29 18:00:00.500000",
    "2024-02-29T10:00:00 -02": "2024-02-29 12:00:00",
    "2024-02-29T24:00:00": "2024-03-01 00:00:00",
    "2024-02-29T24:00Z": "2024-03-01 00:00:00",
    "2024-02-29 10:00 Z": "2024-02-29 10:00:00",
    "2024-02-29T10:00+0545": "2024-02-29 04:15:00",
    "2024-02-29T10:00:00-02": "2024-02-29 12:00:00",
}
NO_INSTANTS = [
    *("2023-02-29", "2024-02-30", "2024-04-31T10:00:00Z", "2024-13-01", "0000-01-01", "2024-02-29T24:00:01"),
    *("2024-02-29T10:00:60Z", "2024-02-29T10:00:00+25:00", "2024-02-29T10:00:00+16:00", "2024-2-9", "yesterday", ""),
    *("20240229", "2024-02-29T10", "2024-02-29T10:00:00 Europe/Oslo", "infinity", "now", "1709200800"),
]


def _read(warehouse: Warehouse, rows: list[dict[str, Any]]) -> dict[int, tuple[Any, ...]]:
    warehouse.reset()
    columns = (
        "id integer, said text, plain timestamp, zoned timestamp with time zone, day date, spelt text, odd boolean"
    )
    warehouse.execute(f"create table raw.readings ({columns}, _pen_rescued json)")
    names = ("id", "said", "plain", "zoned", "day", "spelt", "_pen_rescued")
    with warehouse.connected() as connection:
        values = [[row.get(name) for name in names] for row in rows]
        warehouse.insert(connection.cursor(), f"raw.readings ({', '.join(names)})", values)
    warehouse.dbt("run", "-s", "readings")
    return {row[0]: row[1:] for row in warehouse.rows("select * from probe.readings order by id")}


def test_blanks_and_letters(open_warehouse: Open) -> None:
    """All that Unicode calls white space is taken off both ends and nowhere else; only letters of ASCII change."""
    rows = [{"id": i, "said": text} for i, text in enumerate(TEXTS)]
    found = [_read(open_warehouse(engine, "probe"), rows) for engine in ("duckdb", "postgres")]
    assert found[0] == found[1]
    ascii_only = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
    back = {v: k for k, v in ascii_only.items()}
    for i, text in enumerate(TEXTS):
        assert found[0][i][:3] == (text.strip() or None, text.translate(ascii_only), text.translate(back))


def test_instants(open_warehouse: Open) -> None:
    """A time is read from its column or from what was rescued, in UTC, to the microsecond; what is none is null."""
    rows: list[dict[str, Any]] = []
    expected: list[str | None] = []
    for text, at in [*INSTANTS.items(), *((text, None) for text in NO_INSTANTS)]:
        names = ("plain", "zoned", "day", "spelt", "o/d~d")
        rows.append({"id": len(rows), "_pen_rescued": json.dumps(dict.fromkeys(names, text))})
        rows.append({"id": len(rows), "spelt": text})
        expected += [at, at]
    typed = {"plain": "2024-02-29 10:00:00.5", "zoned": "2024-02-29 10:00:00.5+02", "day": "2024-02-29"}
    rows.append({"id": len(rows), **typed, "_pen_rescued": '{"other": 1}'})
    found = [_read(open_warehouse(engine, "probe"), rows) for engine in ("duckdb", "postgres")]
    assert found[0] == found[1]
    for i, at in enumerate(expected):
        wanted = None if at is None else datetime.fromisoformat(at)
        read = found[0][i][3:]
        assert read == (wanted,) * 5 if i % 2 == 0 else read == (None, None, None, wanted, None), rows[i]
    assert found[0][len(expected)][3:] == (
        datetime(2024, 2, 29, 10, 0, 0, 500_000),
        datetime(2024, 2, 29, 8, 0, 0, 500_000),
        datetime(2024, 2, 29),
        None,
        None,
    )
