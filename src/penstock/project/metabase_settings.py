"""What a project says about Metabase."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from penstock.project.group import Settings


class Metabase(Settings):
    """What `penstock metabase sync` provisions. Secrets, and how Metabase reaches the warehouse, are variables:
    `METABASE_API_KEY`, or `METABASE_ADMIN_EMAIL` and `METABASE_ADMIN_PASSWORD`; `METABASE_WAREHOUSE_HOST`, `_PORT`,
    `_DATABASE`, `_USER`, `_PASSWORD`, `_SSLMODE`."""

    url: str = Field(default="http://localhost:3000", pattern=r"^https?://[^\s@?#]+$")
    """Where Metabase is. The variable `METABASE_URL` is stronger."""
    collection: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """The name of the collection, and of the dashboard in it, by default the project's."""
