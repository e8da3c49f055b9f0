"""Writes seeds for the fuzzer into a folder: python -m tests.fuzz.seeds build/fuzz/corpus."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.odd_records import OddRecords

KINDS = 4
SEEDS = 200


def main(folder: Path) -> None:
    """Each is a byte for the kind of plan, one for where it is cut, and two records."""
    folder.mkdir(parents=True, exist_ok=True)
    source = OddRecords(1, mild=0.9, nested=True)
    for i in range(SEEDS):
        first, second = source.bodies(2)
        (folder / f"seed-{i:03}").write_bytes(bytes([i % KINDS, min(len(first), 255)]) + first + second)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
