"""What PostgreSQL is as a destination."""

from __future__ import annotations

import getpass
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.destinations.kinds import DBT_SECRET, DestinationKind, Login
from penstock.destinations.postgres.capabilities import CAPABILITIES
from penstock.extras import require
from penstock.project import Postgres

if TYPE_CHECKING:
    from penstock.destinations.postgres.scratch import PostgresScratch
    from penstock.ports import Destination

_DBT_PARAMETERS = ("sslcert", "sslkey", "sslrootcert", "connect_timeout", "keepalives_idle")
_SOCKET_HOST = "localhost"
"""What lineage calls the host of a Unix socket, which has no name."""


class PostgresKind(DestinationKind[Postgres]):
    """A server, which many processes are at."""

    settings = Postgres
    capabilities = CAPABILITIES

    def open(self, settings: Postgres) -> Destination:
        """The database, connected to when it is first used."""
        require("postgres")
        from penstock.destinations.postgres.destination import PostgresDestination

        return PostgresDestination(settings.conninfo(), shown=settings.conninfo(masked=True))

    def scratch(self, settings: Postgres, folder: Path) -> AbstractContextManager[PostgresScratch]:
        """A database beside the one of these settings."""
        del folder
        require("postgres")
        from penstock.destinations.postgres.scratch import PostgresScratch

        return PostgresScratch(settings)

    def dbt_output(self, settings: Postgres, threads: int) -> tuple[dict[str, Any], dict[str, str]]:
        """As dbt-postgres has it. The password is a variable's."""
        output: dict[str, Any] = {
            "type": "postgres",
            "host": settings.host,
            "port": settings.port,
            "user": _user(settings),
            "dbname": _database(settings),
            "schema": "public",
            "sslmode": settings.sslmode,
            "threads": threads,
            "keepalives_idle": 30,
        }
        output |= {name: value for name, value in settings.parameters.items() if name in _DBT_PARAMETERS}
        password = settings.password.get_secret_value() if settings.password else os.environ.get("PGPASSWORD", "")
        output["password"] = f"{{{{ env_var('{DBT_SECRET}', env_var('PGPASSWORD', '')) }}}}"
        return output, {DBT_SECRET: password}

    def namespace(self, settings: Postgres) -> tuple[str, str]:
        """As OpenLineage's conventions have it."""
        host = _SOCKET_HOST if settings.host.startswith("/") else settings.host
        return f"postgres://{host}:{settings.port}", _database(settings)

    def login(self, settings: Postgres) -> Login:
        """As the settings have it."""
        return Login(
            host=settings.host,
            port=settings.port,
            user=settings.user,
            password=None if settings.password is None else settings.password.get_secret_value(),
            database=settings.database,
            sslmode=settings.sslmode,
        )


def _user(settings: Postgres) -> str:
    """As libpq has it."""
    return settings.user or os.environ.get("PGUSER") or getpass.getuser()


def _database(settings: Postgres) -> str:
    """As libpq has it."""
    return settings.database or os.environ.get("PGDATABASE") or _user(settings)


KIND = PostgresKind()
