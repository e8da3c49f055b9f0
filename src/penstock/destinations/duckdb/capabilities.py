"""What DuckDB can do."""

from __future__ import annotations

from penstock.ports import Capabilities

CAPABILITIES = Capabilities(
    one_process=True,
    has_roles=False,
    holds_views=False,
    served=False,
    deletes_rows=True,
    json_member="json_extract_string({column}, {pointer})",
    dialect="duckdb",
)
