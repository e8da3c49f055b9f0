"""The input: seeded user events, the same bytes in every run. Run as a module, it writes one file.

Usage: python -m benchmarks.inputs user_events|organizations PATH ARGUMENTS_AS_JSON
"""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.process import ROOT, run

BENCH = ROOT / ".bench"
INPUT = BENCH / "input"
DUPLICATES = 0.01
OUT_OF_ORDER = 0.05
_GENERATE_SECONDS = 900


def user_events(count: int, *, seed: int = 1) -> Path:
    """The file of ``count`` records over a year, written at its first use: 1 % exact copies, 5 % out of order."""
    path = INPUT / f"user_events-{count}-{seed}.ndjson"
    if not path.is_file():
        _generate("user_events", path, count=count, seed=seed)
    return path


def organizations(count: int) -> Path:
    """The file of ``count`` organisations, those of the events first."""
    path = INPUT / f"organizations-{count}.json"
    if not path.is_file():
        _generate("organizations", path, count=count)
    return path


def history(count: int, more: int, folder: Path, *, events_per_day: int, organizations: int) -> tuple[Path, list[Path]]:
    """A file of ``count`` records, and the ``more`` that come after them, in files of 1,000 in ``folder``."""
    stem = INPUT / f"history-{count}-{more}-{events_per_day}-{organizations}"
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
    found = []
    with source.open("rb") as file:
        while lines := list(islice(file, rows)):
            found.append(folder / f"batch-{len(found):04}.ndjson")
            found[-1].write_bytes(b"".join(lines))
    return found


def _generate(what: str, path: Path, **arguments: int) -> None:
    """In a child: the libraries that generate would make this process large."""
    command = [sys.executable, "-m", "benchmarks.inputs", what, str(path), json.dumps(arguments)]
    run(command, timeout_seconds=_GENERATE_SECONDS)


def main() -> None:
    """Write the file that the arguments name."""
    from penstock.samples.generate import write_organizations, write_user_events

    what, path = sys.argv[1], Path(sys.argv[2])
    arguments: dict[str, Any] = json.loads(sys.argv[3])
    if what == "organizations":
        write_organizations(path, arguments["count"])
    else:
        write_user_events(path, duplicates=DUPLICATES, out_of_order=OUT_OF_ORDER, **arguments)


if __name__ == "__main__":
    main()
