"""Where Metabase is, who may change it, and how it reaches the warehouse: from the settings and the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.project import Project

_PREFIX = "METABASE_WAREHOUSE_"


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
            "there is nobody to act as in Metabase",
            where="METABASE_API_KEY",
            fix="set METABASE_API_KEY, or METABASE_ADMIN_EMAIL and METABASE_ADMIN_PASSWORD, in the environment or in"
            " .env; a new Metabase gets the administrator that the two name",
        )
    return access


def warehouse_details(project: Project, variables: Mapping[str, str]) -> dict[str, Any]:
    """The warehouse as Metabase's ``details`` of a PostgreSQL database: as the destination has it, but for what
    ``METABASE_WAREHOUSE_…`` says otherwise.

    Raises:
        UsageError: it is no PostgreSQL, or Metabase could not reach it so.
    """
    settings = project.destination
    if settings.type != "postgres":
        raise UsageError(
            f"Metabase cannot read {settings.type}: it runs elsewhere than the file, whose one writer is Penstock, and"
            " its open-source edition brings no driver for it",
            where=f"destination {project.target}",
            fix="use a PostgreSQL destination: --target NAME",
        )
    said = {
        key: variables.get(_PREFIX + key.upper()) or None
        for key in ("host", "port", "database", "user", "password", "sslmode")
    }
    host = said["host"] or settings.host
    if host.startswith("/"):
        raise UsageError(
            "Metabase reaches PostgreSQL by TCP, and the destination names a socket",
            where=f"destination {project.target}",
            fix=f"set {_PREFIX}HOST to the server's name as Metabase sees it",
        )
    port = said["port"] or str(settings.port)
    if not port.isascii() or not port.isdigit():
        raise UsageError(f"{port!r} is no port", where=_PREFIX + "PORT", fix=f"write it so: {_PREFIX}PORT=5432")
    user = said["user"] or settings.user or variables.get("PGUSER")
    database = said["database"] or settings.database or variables.get("PGDATABASE") or user
    if not user or not database:
        raise UsageError(
            "neither the destination nor the environment names the warehouse's user",
            where=f"destination {project.target}",
            fix=f"set {_PREFIX}USER and {_PREFIX}PASSWORD",
        )
    own = settings.password.get_secret_value() if settings.password is not None else variables.get("PGPASSWORD", "")
    password = said["password"] or ("" if said["user"] else own)
    sslmode = said["sslmode"] or settings.sslmode
    secured = {"ssl": True, "ssl-mode": sslmode} if sslmode != "disable" else {"ssl": False}
    return {
        "host": host,
        "port": int(port),
        "dbname": database,
        "user": user,
        "password": password,
        **secured,
        "tunnel-enabled": False,
    }


def reads_as_owner(project: Project, details: Mapping[str, Any]) -> bool:
    """Whether Metabase would read as the user that Penstock lands as, who may change all."""
    return project.destination.type == "postgres" and details["user"] == project.destination.user
