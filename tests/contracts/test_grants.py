"""The roles that ``penstock grants`` makes: each may do its work and no more, as the server itself says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from typer.testing import CliRunner

from penstock.cli.app import app
from tests.support import people
from tests.support.people import customer, load, transform, write

NAME = f"people{os.getpid()}"
LOGINS = {role: f"{NAME}_login_{role}" for role in ("loader", "transformer", "analyst")}


@pytest.fixture
def server(postgres_url: str, tmp_path: Path) -> Iterator[str]:
    """The project with data and models, its roles applied, and a login in each."""
    people.make_project(tmp_path, "postgres", postgres_url, name=NAME)
    write(tmp_path, "customers", "a.ndjson", [customer(1), customer(2), b'{"id": 3, "name": "Person Nr3x",}'])
    write(tmp_path, "subscriptions", "a.ndjson", [{"id": 1, "customer_id": "1", "rate": 5}])
    with people.opened(tmp_path) as session:
        load(session)
        transform(session)
    try:
        for _ in range(2):
            done = CliRunner().invoke(app, ["grants", "--apply", "--project-dir", str(tmp_path)])
            assert done.exit_code == 0, done.output
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            for role, login in LOGINS.items():
                admin.execute(f"create role {login} login password 'only-for-tests'")
                admin.execute(f"grant {NAME}_{role} to {login}")
                admin.execute(f"alter role {login} set role {NAME}_{role}")
        yield postgres_url
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            roles = [*LOGINS.values(), *(f"{NAME}_{r}" for r in ("analyst", "transformer", "loader"))]
            there = {r for (r,) in admin.execute("select rolname from pg_roles").fetchall()}
            for role in (r for r in roles if r in there):
                admin.execute(f"drop owned by {role} cascade")
                admin.execute(f"drop role {role}")
        from dbt.adapters.factory import reset_adapters

        reset_adapters()


def url_of(server: str, role: str) -> str:
    """The address for a login."""
    parts = conninfo_to_dict(server)
    return f"postgresql://{LOGINS[role]}:only-for-tests@{parts['host']}:{parts.get('port', 5432)}/{parts['dbname']}"


def refused(connection: psycopg.Connection[tuple[object, ...]], *statements: str) -> None:
    """Each of the statements lacks a privilege."""
    for statement in statements:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())
        connection.rollback()


@pytest.mark.slow
def test_roles(server: str, tmp_path: Path) -> None:
    """A loader lands and grows tables, a transformer builds, an analyst reads what is nobody's; none does the rest."""
    with psycopg.connect(url_of(server, "analyst")) as analyst:
        assert analyst.execute("select count(*) from marts.customers_by_city").fetchall() == [(2,)]
        assert analyst.execute("select count(email_pseudonym) from vault.sat_customer").fetchall() == [(2,)]
        assert analyst.execute("select count(updated_at) from vault.sat_customer_pii").fetchall() == [(2,)]
        assert analyst.execute("select city, email_pseudonym from staging.stg_customers").fetchall()
        assert analyst.execute("select count(*) from penstock.loads").fetchall() == [(2,)]
        refused(
            analyst,
            "select name from vault.sat_customer_pii",
            "select mail from vault.sat_customer_pii",
            "select * from staging.stg_customers",
            "select email from staging.stg_customers",
            "select _pen_rescued from staging.stg_customers",
            "select id from raw.customers",
            "select body from penstock.quarantine",
            "select * from penstock.erasures",
            "delete from marts.customers_by_city",
            "update penstock.loads set seq = 0",
            "create table marts.mine (a int)",
        )
    people.make_project(tmp_path, "postgres", url_of(server, "loader"), name=NAME)
    write(tmp_path, "customers", "b.ndjson", [customer(4, grown="wide"), b'{"id": 5,}'])
    with people.opened(tmp_path) as session:
        assert load(session)["customers"] == (2, 1, 0, 1)
    with psycopg.connect(url_of(server, "loader")) as loader:
        assert loader.execute("select grown from raw.customers where id = 4").fetchall() == [("wide",)]
        refused(loader, "select * from vault.sat_customer_pii", "delete from marts.customers_by_city")
    people.make_project(tmp_path, "postgres", url_of(server, "transformer"), name=NAME)
    with people.opened(tmp_path) as session:
        transform(session)
    with psycopg.connect(url_of(server, "transformer")) as transformer:
        assert transformer.execute("select sum(customers)::int from marts.customers_by_city").fetchall() == [(3,)]
        refused(
            transformer,
            "delete from raw.customers",
            "insert into penstock.loads select * from penstock.loads",
            "select body from penstock.quarantine",
        )
    # dbt has made the tables anew: what nobody's data is in may be read at once, the rest not until it is granted
    with psycopg.connect(url_of(server, "analyst")) as analyst:
        assert analyst.execute("select sum(customers)::int from marts.customers_by_city").fetchall() == [(3,)]
        refused(analyst, "select name from vault.sat_customer_pii", "select email from staging.stg_customers")
    # printed, they can be run by hand
    people.make_project(tmp_path, "postgres", server, name=NAME)
    done = CliRunner().invoke(app, ["grants", "--project-dir", str(tmp_path)])
    assert done.exit_code == 0 and f'create role "{NAME}_analyst" nologin' in done.output
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(done.output.encode())


def test_no_roles(tmp_path: Path) -> None:
    """DuckDB has none, and says so."""
    people.make_project(tmp_path, "duckdb", "postgresql://nowhere/none")
    done = CliRunner().invoke(app, ["grants", "--project-dir", str(tmp_path)])
    assert done.exit_code != 0 and "duckdb has no roles" in str(done.exception)
