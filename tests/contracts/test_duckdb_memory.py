"""How much of its memory DuckDB gives up for a landing."""

from __future__ import annotations

from pathlib import Path

import duckdb

from penstock.destinations.duckdb.destination import DuckDBDestination


def test_a_landing_leaves_what_others_of_the_process_have_read(tmp_path: Path) -> None:
    """Alone, a landing takes little memory; beside a connection such as dbt's it leaves the limit as it is."""
    path = tmp_path / "warehouse.duckdb"
    destination = DuckDBDestination(path)
    limit = "select current_setting('memory_limit')"
    before = destination.connection.execute(limit).fetchall()
    with duckdb.connect(str(path)):
        destination.spare_memory(columns=10)
        assert destination.connection.execute(limit).fetchall() == before
    destination.spare_memory(columns=10)
    assert destination.connection.execute(limit).fetchall() != before
    destination.close()
