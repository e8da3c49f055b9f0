"""What PostgreSQL can do."""

from __future__ import annotations

from penstock.ports import Capabilities

CAPABILITIES = Capabilities(
    one_process=False,
    has_roles=True,
    holds_views=True,
    served=True,
    deletes_rows=True,
    tries_parts=True,
    json_member="{column} ->> {name}",
    dialect="postgres",
)
