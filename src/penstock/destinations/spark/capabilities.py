"""What Iceberg tables with a ledger in PostgreSQL can do."""

from __future__ import annotations

from penstock.ports import Capabilities

CAPABILITIES = Capabilities(
    one_process=False,
    has_roles=False,
    holds_views=False,
    served=False,
    deletes_rows=True,
    json_member="json_extract_string({column}, {pointer})",
    dialect="databricks",  # Spark's with spark.sql.ansi.enabled: a cast fails, and is no try_cast
    writes_models=False,
)
