"""What keeps a batch from its warehouse: faults that an administrator makes, and mends."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from penstock.land.session import Session
from penstock.project import load_project
from penstock.testing.postgres import PrivatePostgres
from tests.support.disks import fill, make_room, small_disk


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a fault is made: a project's warehouse, as its administrator sees it."""

    folder: Path
    administer: Callable[[str], None]
    user: str = ""


Fault = Callable[[Place], AbstractContextManager[None]]


def by_statements(break_: str, mend: str) -> Fault:
    """A fault that somebody makes by hand, and mends so."""

    @contextmanager
    def fault(place: Place) -> Iterator[None]:
        place.administer(break_.format(user=place.user))
        yield
        place.administer(mend.format(user=place.user))

    return fault


@contextmanager
def full_disk(place: Place) -> Iterator[None]:
    """No room for another batch."""
    fill(place.folder / "disk")
    yield
    make_room(place.folder / "disk")


@contextmanager
def fatal_checkpoint(place: Place) -> Iterator[None]:
    """Room for the log of a commit and not for the checkpoint after it, which leaves the open database of no use."""
    place.administer("set global checkpoint_threshold = '1KB'")
    fill(place.folder / "disk", but_bytes=90_000)
    yield
    make_room(place.folder / "disk")


@contextmanager
def new_owner(place: Place) -> Iterator[None]:
    """Of the table, which is to get a column."""
    place.administer(f"alter table raw.events owner to postgres; grant all on raw.events to {place.user}")
    yield
    place.administer(f"alter table raw.events owner to {place.user}")


DROPPED = by_statements("alter table raw.events drop column x cascade", 'alter table raw.events add column "x" text')
RETYPED = by_statements(
    "alter table raw.events alter column n type double precision",
    "alter table raw.events alter column n type bigint",
)
NEEDED = by_statements(
    "alter table raw.events add column extra int; update raw.events set extra = 1;"
    " alter table raw.events alter column extra set not null",
    "alter table raw.events alter column extra drop not null",
)
GONE = by_statements("alter table raw.events rename to moved", "alter table raw.moved rename to events")
EMBEDDED: dict[str, tuple[Fault, str, str]] = {
    "full disk": (full_disk, "waiting", "make room"),
    "fatal checkpoint": (fatal_checkpoint, "waiting", "make room"),
    "dropped column": (DROPPED, "blocked", 'add column "x"'),
    "changed type": (RETYPED, "blocked", 'alter column "n" type'),
    "table gone": (GONE, "blocked", "put it back"),
    "needed column": (NEEDED, "blocked", "drop not null"),
}
"""Of a DuckDB: name → the fault, the state of a consumer while it lasts, and words of what is said to mend it."""
SERVER: dict[str, tuple[Fault, str, str]] = {
    "full disk": (full_disk, "waiting", "make room"),
    "dropped column": (DROPPED, "blocked", 'add column "x"'),
    "changed type": (RETYPED, "blocked", 'alter column "n" type bigint'),
    "table gone": (GONE, "blocked", "put it back"),
    "needed column": (NEEDED, "blocked", "drop not null"),
    "schema gone": (
        by_statements("alter schema raw rename to moved", "alter schema moved rename to raw"),
        "blocked",
        "put it back",
    ),
    "ledger gone": (
        # others of the process make an empty one meanwhile
        by_statements(
            "alter schema penstock rename to moved",
            "drop schema if exists penstock cascade; alter schema moved rename to penstock",
        ),
        "blocked",
        "back",
    ),
    "revoked right": (
        by_statements(
            "alter table raw.events owner to postgres; grant select on raw.events to {user}",
            "alter table raw.events owner to {user}",
        ),
        "blocked",
        "grant insert on",
    ),
    "revoked schema": (
        by_statements("revoke usage on schema penstock from {user}", "grant usage on schema penstock to {user}"),
        "blocked",
        "grant the right",
    ),
    "read-only": (
        by_statements(
            "alter role {user} set default_transaction_read_only = on;"
            " select pg_terminate_backend(pid) from pg_stat_activity where usename = '{user}'",
            "alter role {user} reset default_transaction_read_only;"
            " select pg_terminate_backend(pid) from pg_stat_activity where usename = '{user}'",
        ),
        "waiting",
        "make it writable",
    ),
    "no connections": (
        by_statements(
            "alter role {user} connection limit 0;"
            " select pg_terminate_backend(pid) from pg_stat_activity where usename = '{user}'",
            "alter role {user} connection limit -1",
        ),
        "waiting",
        "connection",
    ),
    "lock": (
        by_statements(
            "alter role {user} set statement_timeout = '1ms';"
            " select pg_terminate_backend(pid) from pg_stat_activity where usename = '{user}'",
            "alter role {user} reset statement_timeout;"
            " select pg_terminate_backend(pid) from pg_stat_activity where usename = '{user}'",
        ),
        "waiting",
        "timeout",
    ),
    "changed owner": (new_owner, "blocked", "make the user its owner again"),
}
"""Of a PostgreSQL, likewise."""


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[PrivatePostgres, Path]]:
    """A PostgreSQL with a small disk, for a tablespace."""
    with PrivatePostgres() as private, small_disk(private.folder / "disk", 40) as disk:
        (disk / "space").mkdir()
        shutil.chown(disk / "space", "postgres", "postgres")
        with psycopg.connect(private.url, autocommit=True) as connection:
            connection.execute(f"create tablespace small location '{disk / 'space'}'")
        yield private, disk


@contextmanager
def a_place(kind: str, folder: Path, server: tuple[PrivatePostgres, Path]) -> Iterator[tuple[Place, dict[str, str]]]:
    """A warehouse, and how a project names it."""
    if kind == "duckdb":
        with small_disk(folder / "disk", 8):

            def embedded(sql: str) -> None:
                with Session(load_project(folder, environ={})) as session:
                    for view in session.destination.query(
                        "select view_name from duckdb_views() where view_name = 'events__delta'"
                    ).rows:
                        session.destination.query(f"drop view raw.{view[0]}")
                    for one in sql.split("; "):
                        session.destination.query(one)

            yield Place(folder=folder, administer=embedded), {"target": "duckdb"}
        return
    private, disk = server
    name = f"given_{time.monotonic_ns()}"
    with psycopg.connect(private.url, autocommit=True) as connection:
        connection.execute(f"create role {name} login")
        connection.execute(f"create database {name} owner {name} template template0 tablespace small")
        connection.execute(f"grant create on tablespace small to {name}")
    folder.mkdir()
    (folder / "disk").symlink_to(disk)

    def served(sql: str) -> None:
        with psycopg.connect(private.url_of(name), autocommit=True) as connection:
            connection.execute("drop view if exists raw.events__delta" if " type " in sql else "select 1")
            connection.execute(sql)

    url = private.url_of(name).replace("postgres@", f"{name}@")
    try:
        yield Place(folder=folder, administer=served, user=name), {"target": "postgres", "url": url}
    finally:
        with psycopg.connect(private.url, autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)")
