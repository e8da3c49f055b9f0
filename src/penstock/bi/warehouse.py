"""How a tool that runs elsewhere reaches the warehouse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock.destinations.kinds import kind_of
from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """A PostgreSQL as the tool sees it, and the login that it reads as; ``owner`` is whether this is Penstock's own."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    sslmode: str
    owner: bool

    @property
    def address(self) -> str:
        """Where it is."""
        return f"{self.host}:{self.port}/{self.database}"


def reach_of(project: Project, tool: str, variables: Mapping[str, str]) -> Reach:
    """The warehouse as the destination has it, but for what ``<TOOL>_WAREHOUSE_…`` says otherwise.

    Raises:
        UsageError: it is no PostgreSQL, or the tool could not reach it so.
    """
    prefix = f"{tool.upper()}_WAREHOUSE_"
    settings = project.destination
    login = kind_of(settings).login(settings)
    where = f"destination {project.target}"
    if login is None:
        raise UsageError(
            f"{tool} cannot read {settings.type}: it runs elsewhere than the file, whose one writer is Penstock, and"
            " brings no driver for it",
            where=where,
            fix="use a PostgreSQL destination: --target NAME",
        )
    values = {
        key: variables.get(prefix + key.upper()) or None
        for key in ("host", "port", "database", "user", "password", "sslmode")
    }
    host = values["host"] or login.host
    if host.startswith("/"):
        raise UsageError(
            f"{tool} reaches PostgreSQL by TCP, and the destination names a socket",
            where=where,
            fix=f"set {prefix}HOST to the server's name as {tool} sees it",
        )
    port = values["port"] or str(login.port)
    if not port.isascii() or not port.isdigit():
        raise UsageError(f"{port!r} is no port", where=prefix + "PORT", fix=f"write it so: {prefix}PORT=5432")
    own = login.user or variables.get("PGUSER")
    user = values["user"] or own
    database = values["database"] or login.database or variables.get("PGDATABASE") or user
    if not user or not database:
        raise UsageError(
            "neither the destination nor the environment names the warehouse's user",
            where=where,
            fix=f"set {prefix}USER and {prefix}PASSWORD",
        )
    secret = variables.get("PGPASSWORD", "") if login.password is None else login.password
    return Reach(
        host=host,
        port=int(port),
        database=database,
        user=user,
        password=values["password"] or ("" if values["user"] else secret),
        sslmode=values["sslmode"] or login.sslmode,
        owner=user == own,
    )
