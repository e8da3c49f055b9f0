"""The input: seeded user events, the same bytes in every run. Run as a module, it writes one file.

Usage: python -m benchmarks.inputs user_events|organizations|orders PATH ARGUMENTS_AS_JSON
"""

from __future__ import annotations

import json
import random
import sys
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from benchmarks.process import ROOT, run

BENCH = ROOT / ".bench"
INPUT = BENCH / "input"
DUPLICATES = 0.01
OUT_OF_ORDER = 0.05
DEEP_USERS = 4_096
Users = Literal["wide", "deep"]
_GENERATE_SECONDS = 900
_CITIES = ("Århus", "Gent", "Łódź", "Turku")
_COLOURS = ("amber", "blue", "coral", "dark green")


def user_events(count: int, *, seed: int = 1, format: str = "ndjson") -> Path:
    """The file of ``count`` records over a year, written at its first use: 1 % exact copies, 5 % out of order."""
    path = INPUT / f"user_events-{count}-{seed}.{format}"
    if not path.is_file():
        _generate("user_events", path, count=count, seed=seed, format=format)
    return path


def orders(count: int) -> Path:
    """The file of ``count`` nested records of 16 fields, NDJSON; 1 % exact copies."""
    path = INPUT / f"orders-{count}.ndjson"
    if not path.is_file():
        _generate("orders", path, count=count)
    return path


def organizations(count: int) -> Path:
    """The file of ``count`` organisations, those of the events first."""
    path = INPUT / f"organizations-{count}.json"
    if not path.is_file():
        _generate("organizations", path, count=count)
    return path


def history(
    count: int, more: int, folder: Path, *, events_per_day: int, organizations: int, users: Users = "wide"
) -> tuple[Path, list[Path]]:
    """A file of ``count`` records, and the ``more`` that come after them, in files of 1,000 in ``folder``.

    *Wide* is as it is generated: about one user for three events, each with one to six of them. *Deep* are the same
    events of :data:`DEEP_USERS` users, so that each has a long history.
    """
    stem = INPUT / f"history-{users}-{count}-{more}-{events_per_day}-{organizations}"
    past, rest = stem.with_suffix(".ndjson"), stem.with_suffix(".rest")
    if not (past.is_file() and rest.is_file()):
        whole = stem.with_suffix(".whole")
        _generate(
            "user_events",
            whole,
            count=count + more,
            seed=1,
            events_per_day=events_per_day,
            organizations=organizations,
            deep=users == "deep",
        )
        with whole.open("r+b") as file:
            size = sum(map(len, islice(file, count)))
            file.seek(size)
            rest.write_bytes(file.read())
            file.truncate(size)
        whole.rename(past)
    return past, batches(rest, folder)


def distinct(count: int) -> int:
    """How many records of a file of ``count`` differ from one another."""
    return count - round(count * DUPLICATES)


def batches(source: Path, folder: Path, rows: int = 1_000) -> list[Path]:
    """Split a file into files of ``rows`` lines, out of any source's sight."""
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Path] = []
    with source.open("rb") as file:
        while lines := list(islice(file, rows)):
            found.append(folder / f"batch-{len(found):04}.ndjson")
            found[-1].write_bytes(b"".join(lines))
    return found


def _generate(what: str, path: Path, **arguments: int | str) -> None:
    """In a child: the libraries that generate would make this process large."""
    command = [sys.executable, "-m", "benchmarks.inputs", what, str(path), json.dumps(arguments)]
    run(command, timeout_seconds=_GENERATE_SECONDS)


def write_orders(path: Path, count: int) -> None:
    """Write ``count`` orders, the same ones each time; the last of every hundred is a copy of the one before."""
    chance = random.Random(1)
    unfinished = path.with_suffix(".unfinished")
    path.parent.mkdir(parents=True, exist_ok=True)
    line = ""
    with unfinished.open("w", encoding="utf-8") as file:
        for number in range(count):
            if number % 100 != 99:
                line = json.dumps(_order(number, chance), ensure_ascii=False) + "\n"
            file.write(line)
    unfinished.rename(path)


def _order(number: int, chance: random.Random) -> dict[str, Any]:
    draw = chance.getrandbits(64)
    placed = datetime(2024, 1, 1) + timedelta(seconds=number * 3 + draw % 3, microseconds=draw % 1_000_000)
    items = [
        {
            "sku": f"SKU-{draw >> n & 0xFFFF:05}",
            "quantity": 1 + (draw >> n) % 4,
            "price": (draw >> n) % 20_000 / 100,
            "attributes": {"colour": _COLOURS[(draw >> n) % 4], "size": None if n else "M"},
        }
        for n in range(1 + draw % 3)
    ]
    place = {"street": f"{draw % 300} Long Road", "city": _CITIES[draw % 4], "postcode": f"{draw % 100_000:05}"}
    return {
        "order_id": f"{draw:016x}{number:08x}",
        "number": number,
        "placed_at": f"{placed:%Y-%m-%d %H:%M:%S.%f}",
        "changed_at": f"{placed + timedelta(hours=draw % 90):%Y-%m-%d %H:%M:%S.%f}",
        "status": ("open", "sent", "returned")[draw % 3],
        "channel": ("web", "app")[draw % 2],
        "currency": "EUR",
        "total": draw % 1_000_000 / 100,
        "discount": draw % 50 / 4 if draw % 5 == 0 else None,
        "paid": draw % 7 != 0,
        "gift": draw % 11 == 0,
        "note": f'She said "before {draw % 24} o\'clock"\nplease' if draw % 10 == 0 else None,
        "customer": {
            "id": f"{draw >> 20:011x}",
            "name": f"Zoë Marsk {draw % 5000}",
            "contact": {"email": f"zoe.{draw % 5000}@mail.example", "phone": None},
        },
        "shipping": {"method": ("parcel", "letter")[draw % 2], "address": place},
        "items": items,
        "labels": ["new"] * (draw % 3),
    }


def main() -> None:
    """Write the file that the arguments name."""
    from penstock.samples.generate import write_organizations, write_user_events

    what, path = sys.argv[1], Path(sys.argv[2])
    arguments: dict[str, Any] = json.loads(sys.argv[3])
    if what == "organizations":
        write_organizations(path, arguments["count"])
    elif what == "orders":
        write_orders(path, arguments["count"])
    else:
        deep = arguments.pop("deep", False)
        write_user_events(path, duplicates=DUPLICATES, out_of_order=OUT_OF_ORDER, **arguments)
        if deep:
            _deepen(path)


def _deepen(path: Path) -> None:
    """Give the events to few users: of each id, 32 hexadecimal digits, the first three are kept."""
    start = len(b'{"id": "')
    unfinished = path.with_suffix(".unfinished")
    with path.open("rb") as lines, unfinished.open("wb") as file:
        file.writelines(line[: start + 3] + b"0" * 29 + line[start + 32 :] for line in lines)
    unfinished.rename(path)


if __name__ == "__main__":
    main()
