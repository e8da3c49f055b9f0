"""Where Metabase is, who may change it, and how it reaches the warehouse: from the settings and the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from penstock.bi.warehouse import Reach
from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Metabase's address, and an administrator: an API key, or an e-mail address with its password."""

    url: str
    api_key: str = field(default="", repr=False)
    email: str = ""
    password: str = field(default="", repr=False)


def access_of(project: Project, variables: Mapping[str, str], *, url: str | None = None) -> Access:
    """What the variables say; ``url`` is stronger.

    Raises:
        UsageError: there is no administrator, or the address is none.
    """
    where = url or variables.get("METABASE_URL") or project.metabase.url
    parts = urlsplit(where)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise UsageError(
            "Metabase's address is none", where="METABASE_URL", fix="write it so: METABASE_URL=http://localhost:3000"
        )
    access = Access(
        url=where.rstrip("/").removesuffix("/api"),
        api_key=variables.get("METABASE_API_KEY", ""),
        email=variables.get("METABASE_ADMIN_EMAIL", ""),
        password=variables.get("METABASE_ADMIN_PASSWORD", ""),
    )
    if not access.api_key and not (access.email and access.password):
        raise UsageError(
            "Metabase needs an administrator to act as, and none is named",
            where="METABASE_API_KEY",
            fix="set METABASE_API_KEY, or METABASE_ADMIN_EMAIL and METABASE_ADMIN_PASSWORD, in the environment or in"
            " .env; a new Metabase gets the administrator that the two name",
        )
    return access


def details_of(reach: Reach) -> dict[str, Any]:
    """The warehouse as Metabase's ``details`` of a PostgreSQL database."""
    secured = {"ssl": True, "ssl-mode": reach.sslmode} if reach.sslmode != "disable" else {"ssl": False}
    return {
        "host": reach.host,
        "port": reach.port,
        "dbname": reach.database,
        "user": reach.user,
        "password": reach.password,
        **secured,
        "tunnel-enabled": False,
    }
