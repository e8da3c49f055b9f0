"""The input: seeded user events, the same bytes in every run. Run as a module, it writes one file.

Usage: python -m benchmarks.inputs PATH COUNT SEED EVENTS_PER_DAY (0: a year in all), or
python -m benchmarks.inputs PATH COUNT organizations
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

from benchmarks.process import ROOT, run

BENCH = ROOT / ".bench"
INPUT = BENCH / "input"
DUPLICATES = 0.01
OUT_OF_ORDER = 0.05
_GENERATE_SECONDS = 900


def user_events(count: int, *, seed: int = 1, events_per_day: int = 0) -> Path:
    """The file of ``count`` records, written at its first use: 1 % exact copies, 5 % out of order."""
    path = INPUT / f"user_events-{count}-{seed}-{events_per_day}.ndjson"
    if not path.is_file():
        _generate(path, count, str(seed), str(events_per_day))
    return path


def organizations(count: int) -> Path:
    """The file of ``count`` organisations, those of the events first."""
    path = INPUT / f"organizations-{count}.json"
    if not path.is_file():
        _generate(path, count, "organizations")
    return path


def distinct(count: int) -> int:
    """How many records of a file of ``count`` differ from one another."""
    return count - round(count * DUPLICATES)


def batches(source: Path, folder: Path, *, after: int = 0, rows: int = 1_000) -> list[Path]:
    """Split what follows the first ``after`` lines into files of ``rows`` lines, out of any source's sight."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    with source.open("rb") as file:
        for _ in islice(file, after):
            pass
        while lines := list(islice(file, rows)):
            found.append(folder / f"batch-{len(found):04}.ndjson")
            found[-1].write_bytes(b"".join(lines))
    return found


def head(source: Path, target: Path, lines: int) -> Path:
    """The first ``lines`` of a file, as a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as file, target.open("wb") as out:
        out.writelines(islice(file, lines))
    return target


def _generate(path: Path, count: int, *rest: str) -> None:
    """In a child: the libraries that generate would make this process large."""
    run([sys.executable, "-m", "benchmarks.inputs", path, str(count), *rest], timeout_seconds=_GENERATE_SECONDS)


def main() -> None:
    """Write the file that the arguments name."""
    from penstock.generate import write_organizations, write_user_events

    path, count = Path(sys.argv[1]), int(sys.argv[2])
    if sys.argv[3] == "organizations":
        write_organizations(path, count)
        return
    write_user_events(
        path,
        count=count,
        seed=int(sys.argv[3]),
        events_per_day=int(sys.argv[4]) or None,
        duplicates=DUPLICATES,
        out_of_order=OUT_OF_ORDER,
    )


if __name__ == "__main__":
    main()
