"""Making the ledger."""

from __future__ import annotations

import pytest

from penstock.destinations.duckdb import destination as duckdb_module
from penstock.destinations.postgres import destination as postgres_module
from penstock.errors import DestinationError
from penstock.ledger import create_statements
from penstock.ports import Destination

MADE_SQL = "select table_schema, table_name from information_schema.tables where table_schema in ('penstock', 'raw')"
SCHEMAS_SQL = "select schema_name from information_schema.schemata where schema_name in ('penstock', 'raw')"


@pytest.mark.parametrize("destination", ["duckdb", "postgres"], indirect=True)
def test_all_or_nothing(destination: Destination, monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement that fails in the middle leaves no table and no schema behind; the next time all is made."""

    def failing(kind: str) -> list[str]:
        made = create_statements(kind)
        middle = len(made) // 2
        return [*made[:middle], "select * from penstock.nowhere", *made[middle:]]

    for schema in ("penstock", "raw"):
        destination.query(f"drop schema if exists {schema} cascade")
    for module in (duckdb_module, postgres_module):
        monkeypatch.setattr(module, "create_statements", failing)
    with pytest.raises(DestinationError):
        destination.prepare()
    assert destination.query(MADE_SQL).rows == []
    assert destination.query(SCHEMAS_SQL).rows == []
    monkeypatch.undo()
    destination.prepare()
    assert destination.is_prepared()
