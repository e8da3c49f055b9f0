"""Where loads go: DuckDB files, and databases in one private PostgreSQL that keeps its promises to the disk."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.process import run, ticks

if TYPE_CHECKING:
    from penstock.testing.postgres import PrivatePostgres

_COUNT = "import duckdb, sys; print(duckdb.connect(sys.argv[1], read_only=True).execute(sys.argv[2]).fetchone()[0])"


@dataclass(frozen=True, slots=True)
class DuckDBFile:
    """A DuckDB file."""

    path: Path
    kind = "duckdb"

    def fresh(self) -> None:
        """Delete it, and let the disk come to rest."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        self.path.with_name(self.path.name + ".wal").unlink(missing_ok=True)
        os.sync()

    def drop(self) -> None:
        """Give its space back."""
        self.fresh()

    def server_cpu_seconds(self) -> float:
        """None: the engine is a part of the process that uses it."""
        return 0.0

    def count(self, table: str = "raw.user_events") -> int:
        """Rows of a table."""
        query = f"select count(*) from {table}"
        return int(run([sys.executable, "-c", _COUNT, self.path, query], timeout_seconds=60).output)

    @property
    def settings(self) -> str:
        """As a destination of ``penstock.yml``."""
        return f"{{type: duckdb, path: {self.path}}}"

    @property
    def peer_url(self) -> str:
        """As other tools write it."""
        return f"duckdb:///{self.path}"


@dataclass(frozen=True, slots=True)
class PostgresDatabase:
    """A database of the private server."""

    server: PrivatePostgres
    name: str
    kind = "postgres"

    def fresh(self) -> None:
        """Make it anew, write what is dirty, and let the disk come to rest."""
        import psycopg

        with psycopg.connect(self.server.url, autocommit=True) as connection:
            connection.execute(f"drop database if exists {self.name} with (force)")
            connection.execute(f"create database {self.name} template template0")
            connection.execute("checkpoint")
        os.sync()

    def server_cpu_seconds(self) -> float:
        """What the server and all of its processes, those that have ended too, have taken in user and kernel mode."""
        process = self.server.process
        assert process is not None
        own = ticks(process.pid)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="utf-8").split()
        living = (ticks(int(child)) for child in children)
        return (sum(own) + sum(sum(spent[:2]) for spent in living)) / os.sysconf("SC_CLK_TCK")

    def drop(self) -> None:
        """Give its space back."""
        import psycopg

        with psycopg.connect(self.server.url, autocommit=True) as connection:
            connection.execute(f"drop database if exists {self.name} with (force)")

    def count(self, table: str = "raw.user_events") -> int:
        """Rows of a table."""
        import psycopg

        with psycopg.connect(self.url) as connection:
            found = connection.execute(f"select count(*) from {table}").fetchone()
        assert found is not None
        return int(found[0])

    @property
    def url(self) -> str:
        """Its address."""
        return self.server.url_of(self.name)

    @property
    def settings(self) -> str:
        """As a destination of ``penstock.yml``."""
        return f'{{type: postgres, url: "{self.url}"}}'

    @property
    def peer_url(self) -> str:
        """As other tools write it."""
        return f"{self.url}?sslmode=disable".replace("postgres@", "postgres:unasked@")


Warehouse = DuckDBFile | PostgresDatabase


@contextmanager
def postgres_server() -> Iterator[PrivatePostgres]:
    """The private server: ``fsync`` on, all else as it comes from its makers."""
    from penstock.testing.postgres import PrivatePostgres

    with PrivatePostgres(durable=True) as server:
        yield server
