"""What a DuckDB file takes of memory when it is closed does not grow with what was landed into it, and a landing
gives up memory where nobody else of the process uses it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from penstock.destinations.duckdb.destination import DuckDBDestination

COMMITS = 24
ROWS = 130_000
"""A row group that is full, and a little of another: each commit leaves one that a checkpoint could merge."""
BYTES = 200
GROUP_BYTES = 122_880 * BYTES
"""What the rows of a full row group take, uncompressed."""

_FILL = """
import sys
from pathlib import Path
from penstock.destinations.duckdb.destination import DuckDBDestination

def most() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))

path, commits, rows, length = sys.argv[1], *map(int, sys.argv[2:])
destination = DuckDBDestination(Path(path))
destination.prepare()
destination.query("create schema if not exists held")
destination.query("create table held.texts (text varchar)")
destination.sparing.landing(destination.connection, 1)
for _ in range(commits):
    values = f"select repeat('-', {length}) || i from range({rows}) r (i)"
    destination.connection.execute(f"insert into held.texts {values}").fetchall()
destination.query("select 1")  # whoever asks after a load lets the file have its memory back
before = most()
destination.close()
print(most() - before)
"""


@pytest.mark.slow
def test_closing_a_file_merges_few_row_groups_at_once(tmp_path: Path) -> None:
    """The checkpoint at the end takes the memory of one merge, of four row groups at most."""
    arguments = [str(tmp_path / "w.duckdb"), *map(str, (COMMITS, ROWS, BYTES))]
    ended = subprocess.run(
        [sys.executable, "-c", _FILL, *arguments], capture_output=True, text=True, check=True, timeout=120
    )
    assert int(ended.stdout) < 4 * GROUP_BYTES, f"{int(ended.stdout) >> 20} MiB more"


def test_a_landing_leaves_what_others_of_the_process_have_read(tmp_path: Path) -> None:
    """Alone, a landing takes little memory; beside a connection such as dbt's it leaves the limit as it is."""
    path = tmp_path / "warehouse.duckdb"
    destination = DuckDBDestination(path)
    limit = "select current_setting('memory_limit')"
    before = destination.connection.execute(limit).fetchall()
    with duckdb.connect(str(path)):
        destination.sparing.landing(destination.connection, columns=10)
        assert destination.connection.execute(limit).fetchall() == before
    destination.sparing.landing(destination.connection, columns=10)
    assert destination.connection.execute(limit).fetchall() != before
    destination.close()
