"""The settings of a warehouse, a class an engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import Field, SecretStr, model_validator

from penstock.errors import MASK
from penstock.project.destinations import DestinationSettings
from penstock.project.group import from_url, none
from penstock.project.values import Frozen, ProjectPath

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

_SECRET_PARAMETERS = ("password", "sslpassword", "passfile")


class DuckDB(DestinationSettings):
    """A DuckDB file: the default; nothing to install or start."""

    type: Literal["duckdb"]
    """Which kind of destination this is."""
    path: ProjectPath
    """The file, relative to the project's folder. Made when it is missing."""
    threads: Annotated[int, Field(ge=1, le=256)] | None = None
    """How many threads DuckDB may use. All by default."""
    memory_limit: str | None = Field(default=None, pattern=r"^\s*\d+(\.\d+)?\s*([kKmMgGtT][iI]?[bB]|%)\s*$")
    """How much memory DuckDB may use, such as `2GB`. DuckDB's own default is 80 % of the machine's."""
    lock_timeout_seconds: Annotated[float, Field(ge=0, le=86_400)] = 10.0
    """How long to wait for another process to let go of the file."""

    @property
    def address(self) -> str:
        """Tells this warehouse from others."""
        return str(self.path.absolute())

    @property
    def may_exist(self) -> bool:
        """False when nothing can have landed: there is no such file."""
        return self.path.exists()


class Postgres(DestinationSettings):
    """A PostgreSQL database, version 13 or later."""

    type: Literal["postgres"]
    """Which kind of destination this is."""
    url: SecretStr | None = Field(default=None, exclude=True)
    """All of the connection in one, `postgresql://user:password@host:port/database`, instead of the settings below."""
    host: str = "localhost"
    """Host name, address, or the folder of a Unix socket."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 5432
    """Port."""
    user: str | None = None
    """User. libpq's default (`PGUSER`, or the name of the account) when left out."""
    password: SecretStr | None = None
    """Password; never shown. libpq's default (`PGPASSWORD`, `~/.pgpass`) when left out."""
    database: str | None = None
    """Database. libpq's default (`PGDATABASE`, or the user's name) when left out."""
    sslmode: SslMode = "prefer"
    """How the connection is secured, in libpq's words."""
    parameters: Annotated[Mapping[str, str], Frozen] = Field(default_factory=none)
    """More libpq connection parameters, such as `connect_timeout` (10 by default). A server that is gone without a word
    is noticed after one to two minutes (`keepalives_idle`, `tcp_user_timeout`)."""

    @model_validator(mode="before")
    @classmethod
    def _from_url(cls, data: Any) -> Any:
        return from_url(data, {"host", "port", "user", "password", "database"}, _connection_of)

    @property
    def address(self) -> str:
        """Tells this warehouse from others."""
        return f"{self.host}:{self.port}/{self.database or ''}"

    def conninfo(self, *, masked: bool = False) -> str:
        """The connection as a libpq connection string; with ``masked``, the password as ``*****``."""
        secret = None if self.password is None else MASK if masked else self.password.get_secret_value()
        values = {
            "host": self.host,
            "port": str(self.port),
            "user": self.user,
            "password": secret,
            "dbname": self.database,
            "sslmode": self.sslmode,
            **self.parameters,
        }
        if masked:
            values = {k: MASK if k in _SECRET_PARAMETERS and v else v for k, v in values.items()}
        return " ".join(f"{k}={_quoted(v)}" for k, v in values.items() if v is not None)


def _connection_of(url: str) -> dict[str, Any]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("expected postgresql://user@host:port/database") from None
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError("expected postgresql://user@host:port/database")
    query: dict[str, str | None] = dict(parse_qsl(parts.query, keep_blank_values=True))
    settings: dict[str, Any] = {
        "host": unquote(_host(parts.netloc)) or query.pop("host", None),
        "port": port or query.pop("port", None),
        "user": unquote(parts.username) if parts.username else query.pop("user", None),
        "password": unquote(parts.password) if parts.password else query.pop("password", None),
        "database": unquote(parts.path.lstrip("/")) or query.pop("dbname", None),
        "sslmode": query.pop("sslmode", None),
    }
    settings = {k: v for k, v in settings.items() if v is not None}
    return {**settings, "parameters": query} if query else settings


def _host(netloc: str) -> str:
    """The host as written: ``urlsplit`` would lower a socket folder's letters."""
    address = netloc.rpartition("@")[2]
    return address[1 : address.index("]")] if address.startswith("[") else address.partition(":")[0]


def _quoted(value: str) -> str:
    """A value of a libpq connection string (libpq, 34.1.1.1: quotes and backslashes are escaped)."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'" if not value or any(c in " '\\" for c in value) else escaped
