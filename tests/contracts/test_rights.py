"""Users of PostgreSQL that an administrator gave little, and tables that other tools made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from typer.testing import CliRunner

from penstock.cli.app import app
from penstock.destinations.postgres.destination import PostgresDestination
from penstock.errors import DestinationError, UsageError
from penstock.ports import Destination
from penstock.spec import StreamSpec
from tests.support.warehouse import land, write_files


def test_schemas_that_an_administrator_made(postgres_url: str, tmp_path: Path) -> None:
    """A user without CREATE on the database is told what is missing, step by step, and lands once it has that."""
    user = f"loader_{urlsplit(postgres_url).path[1:]}"
    parts = urlsplit(postgres_url)
    own_url = urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}"))
    (tmp_path / "data.ndjson").write_text('{"id":1}\n')
    project = {
        "name": "granted",
        "destinations": {"here": {"type": "postgres", "url": own_url}},
        "transform": False,
        "sources": {"files": {"type": "files", "path": "*.ndjson"}},
        "streams": {"things": {"from": "files"}},
    }
    (tmp_path / "penstock.yml").write_text(json.dumps(project))

    def penstock(*words: str) -> Any:
        return CliRunner().invoke(app, [*words, "--project-dir", str(tmp_path)])

    with psycopg.connect(postgres_url, autocommit=True) as administrator:
        administrator.execute(f"create role {user} login")
        try:
            for fix, mend in (
                ("create schema penstock authorization", "create schema raw; create schema penstock"),
                ("grant usage, create on schema penstock, raw", f"grant usage on schema penstock to {user}"),
                ("grant usage, create on schema penstock, raw", f"grant create on schema penstock to {user}"),
                ("grant usage, create on schema raw", f"grant usage, create on schema raw to {user}"),
            ):
                done = penstock("load")
                assert isinstance(done.exception, DestinationError)
                assert fix in done.exception.fix
                diagnosis = penstock("doctor")
                assert diagnosis.exit_code == 1
                assert fix in diagnosis.stdout
                administrator.execute(mend)
            assert penstock("load").exit_code == 0
            assert "ok    destination" in penstock("doctor").stdout
        finally:
            administrator.execute(f"drop owned by {user}; drop role {user}")


@pytest.mark.parametrize("kind", ["table", "view"])
def test_a_table_of_another_tool(destination: Destination, tmp_path: Path, kind: str) -> None:
    """It is refused, with what to do, and nothing changes in it; once it is moved away, the stream lands."""
    destination.query("create schema if not exists other")
    destination.query("create table other.things as select 1 as id, 'old' as name")
    destination.query(f"create {kind} raw.things as select * from other.things")
    write_files(tmp_path / "data", {"a.ndjson": b'{"id":2,"name":"new name","qty":5}\n'})
    for _ in range(2):
        with pytest.raises(UsageError, match="no table of Penstock's") as refused:
            land(destination, tmp_path / "data", StreamSpec(stream="things"))
    assert destination.query("select id, name from raw.things").rows == [(1, "old")]
    assert destination.query("select count(*) from penstock.columns").rows == [(0,)]
    assert destination.query("select count(*) from penstock.positions").rows == [(0,)]
    fix = refused.value.fix.partition("away: ")[2]
    destination.query(fix if kind == "table" else fix.replace("alter table", "alter view"))
    assert land(destination, tmp_path / "data", StreamSpec(stream="things")).total("landed") == 1


def test_a_foreign_table_that_may_not_be_read(postgres_url: str, tmp_path: Path) -> None:
    """Whose columns the user cannot see is another tool's all the same."""
    opened = PostgresDestination(postgres_url, shown="test database")
    opened.prepare()
    opened.query("create table raw.things (id int)")
    write_files(tmp_path / "data", {"a.ndjson": b'{"id":2}\n'})
    user = f"blind_{urlsplit(postgres_url).path[1:]}"
    opened.query(f"create role {user}")
    try:
        opened.query(f"grant usage, create on schema penstock, raw to {user}")
        opened.query(f"grant all on all tables in schema penstock to {user}")
        opened.query(f"grant all on all sequences in schema penstock to {user}")
        opened.close()
        blind = PostgresDestination(
            f"{postgres_url}{'&' if '?' in postgres_url else '?'}options=-crole%3D{user}", shown=""
        )
        with pytest.raises(UsageError, match="no table of Penstock's"):
            land(blind, tmp_path / "data", StreamSpec(stream="things"))
        blind.close()
    finally:
        opened.query(f"drop owned by {user}")
        opened.query(f"drop role {user}")
        opened.close()
