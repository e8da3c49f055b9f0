"""The scripts that make the platform's databases, run as its image does, on a server that asks for passwords."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from penstock.testing.postgres import PrivatePostgres
from tests.support.compose import DATABASE_SCRIPTS, ask_for_passwords, run_database_scripts

PASSWORDS = {
    "WAREHOUSE_PASSWORD": "a'b\"c\\d $HOME %40@:/",
    "ANALYST_PASSWORD": "--; drop role penstock",
    "AIRFLOW_DB_PASSWORD": "':airflow_password'",
    "METABASE_DB_PASSWORD": "größer\tals $1",
}
LOGINS = {
    "penstock": PASSWORDS["WAREHOUSE_PASSWORD"],
    "analyst": PASSWORDS["ANALYST_PASSWORD"],
    "airflow": PASSWORDS["AIRFLOW_DB_PASSWORD"],
    "metabase": PASSWORDS["METABASE_DB_PASSWORD"],
}


def run_scripts(server: PrivatePostgres, **environ: str) -> tuple[int, str]:
    """The exit code, and what was said."""
    return run_database_scripts(server, {"PENSTOCK_NAME": "user_events", **PASSWORDS, **environ})


@pytest.fixture(scope="module")
def server() -> Iterator[PrivatePostgres]:
    """A server on which the scripts have run twice. All but its superuser need a password."""
    assert shutil.which("psql"), "psql is missing: apt-get install -y postgresql-client"
    with PrivatePostgres() as server:
        for _ in range(2):
            code, said = run_scripts(server)
            assert code == 0, said
        ask_for_passwords(server)
        yield server


def login(server: PrivatePostgres, user: str, database: str, password: str | None = None) -> psycopg.Connection:
    """A connection of one of the logins."""
    word = LOGINS[user] if password is None else password
    return psycopg.connect(
        make_conninfo(host="127.0.0.1", port=server.port, user=user, password=word, dbname=database), autocommit=True
    )


def refused(connection: psycopg.Connection, *statements: str) -> None:
    """Each of the statements lacks a privilege."""
    for statement in statements:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())


def test_passwords(server: PrivatePostgres) -> None:
    """Any password is taken as it is, and no other opens; none is a superuser."""
    for user in LOGINS:
        database = "warehouse" if user in ("penstock", "analyst") else user
        with login(server, user, database) as connection:
            assert connection.execute("select rolsuper from pg_roles where rolname = session_user").fetchall() == [
                (False,)
            ]
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            login(server, user, database, "another")


def test_databases(server: PrivatePostgres) -> None:
    """Airflow and Metabase own their database, and get into no other; nor does anyone get into theirs."""
    for user in ("airflow", "metabase"):
        with login(server, user, user) as connection:
            connection.execute("create table mine (id int)")
            connection.execute("create extension citext")
            connection.execute("drop extension citext; drop table mine")
        for other in {"warehouse", "airflow", "metabase"} - {user}:
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                login(server, user, other)
    for user in ("penstock", "analyst"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            login(server, user, "airflow")


def test_schemas(server: PrivatePostgres) -> None:
    """Penstock makes and owns what it needs in the warehouse; an analyst gets at nothing before it is granted."""
    with login(server, "penstock", "warehouse") as penstock:
        assert penstock.execute("select current_user").fetchall() == [("user_events_transformer",)]
        penstock.execute("create table raw.cars (id int); create table penstock.things (id int)")
        penstock.execute("create schema reports; create view reports.cars as select id from raw.cars")
    with login(server, "analyst", "warehouse") as analyst:
        refused(
            analyst,
            "select * from raw.cars",
            "select * from penstock.things",
            "select * from reports.cars",
            "create schema mine",
            "create table public.mine (id int)",
            "create temporary table mine (id int)",
            "set role user_events_transformer",
        )
    with login(server, "penstock", "warehouse") as penstock:
        penstock.execute("drop schema reports cascade; drop table raw.cars, penstock.things")


def test_again(server: PrivatePostgres) -> None:
    """Run again with another password, only that one changes: tables, owners and other logins stay."""
    with login(server, "airflow", "airflow") as airflow:
        airflow.execute("create table kept (id int)")
    assert run_scripts(server, AIRFLOW_DB_PASSWORD="another")[0] == 0
    with login(server, "airflow", "airflow", "another") as airflow:
        airflow.execute("drop table kept")
    login(server, "metabase", "metabase").close()
    assert run_scripts(server)[0] == 0
    login(server, "airflow", "airflow").close()


def test_missing_password(server: PrivatePostgres) -> None:
    """Without a password the scripts stop, and leave the one that was."""
    for name in ("WAREHOUSE_PASSWORD", "PENSTOCK_NAME"):
        code, said = run_scripts(server, **{name: ""})
        assert code == 3 and f"{name} is not set" in said
    login(server, "penstock", "warehouse").close()


def test_readable_by_the_image() -> None:
    """The image's own user, who owns none of them, can read the scripts; it runs them in the order of names."""
    files = sorted(DATABASE_SCRIPTS.iterdir())
    assert [f.name for f in files] == ["10_warehouse.sql", "20_airflow.sql", "30_metabase.sql"]
    assert all(f.stat().st_mode & 0o004 for f in files)
