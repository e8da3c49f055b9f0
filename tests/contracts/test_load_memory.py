"""What the process of a load takes of memory: as much as a few batches do, of however many rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MOST_BYTES = 350 << 20
ROWS = 400_000
PROJECT = """\
name: shop
destinations: {here: {type: duckdb, path: shop.duckdb}}
sources: {files: {type: files, path: orders.ndjson}}
streams: {orders: {from: files}}
transform: false
"""
_LOAD = """
import sys
sys.argv = ["penstock", "load", "--quiet"]
from penstock.cli import main
from penstock.system import share_memory
share_memory()
try:
    main()
finally:
    lines = open("/proc/self/status").read().splitlines()
    print(next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")))
"""


@pytest.mark.slow
def test_the_peak_of_a_load(tmp_path: Path) -> None:
    """A load of 110 MB of records into DuckDB stays under 350 MiB, libraries included."""
    (tmp_path / "penstock.yml").write_text(PROJECT)
    with (tmp_path / "orders.ndjson").open("w") as file:
        for i in range(ROWS):
            order = {"id": f"order-{i:032}", "at": "2026-01-01T00:00:00Z", "amount": i / 4, "note": f"{i:0140}"}
            file.write(json.dumps(order) + "\n")
    ended = subprocess.run(
        [sys.executable, "-c", _LOAD], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    assert int(ended.stdout) < MOST_BYTES, f"{int(ended.stdout) >> 20} MiB"
