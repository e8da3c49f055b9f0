"""A database of PostgreSQL to try something out in."""

from __future__ import annotations

import secrets
from typing import Any

import psycopg

from penstock.errors import UsageError
from penstock.project import Postgres


class PostgresScratch:
    """A database on the same server; as a context manager, dropped at the end."""

    def __init__(self, settings: Postgres) -> None:
        self._beside = settings
        name = f"penstock_scratch_{secrets.token_hex(4)}"
        self.settings = settings.model_copy(update={"database": name})
        self.copy = settings.model_copy(update={"database": f"{name}_copy"})

    def fill_copy(self) -> None:
        """Have the second database hold the same."""
        self._drop(self.copy)
        self._execute(f"create database {self.copy.database} template {self.settings.database}")

    def __enter__(self) -> PostgresScratch:
        try:
            self._execute(f"create database {self.settings.database}")
        except psycopg.Error as e:
            raise UsageError(
                f"no database can be made to try the models in: {str(e).strip()}",
                where=self._beside.conninfo(masked=True),
                fix="as an administrator: alter role … createdb; or name a target whose user may",
            ) from None
        return self

    def __exit__(self, *_: Any) -> None:
        for settings in (self.copy, self.settings):
            self._drop(settings)

    def _drop(self, settings: Postgres) -> None:
        self._execute(f"drop database if exists {settings.database} with (force)")

    def _execute(self, sql: str) -> None:
        # outside of a transaction, in which no database can be made
        with psycopg.connect(self._beside.conninfo(), autocommit=True) as connection:
            connection.execute(sql)
