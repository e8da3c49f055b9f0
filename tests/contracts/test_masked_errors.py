"""What an error quotes of a row appears in nothing that Penstock prints, keeps or sends, on both destinations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from penstock.cli.app import app
from tests.support import commands, people
from tests.support.fixtures import slow_on_postgres
from tests.support.people import customer, dump, load, write

ODD = 'zqxann\'ö" of relation "zqxann\n\nLINE 1: zqxann ) already exists. zqxann@example.org'
"""A value that looks like the words around it."""
TRACE = b"zqxann"
_OWN = ("raw.customers", "staging.", "vault.", "marts.", "dbt_test")


@pytest.fixture(params=["duckdb", "postgres"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A project with lineage in a file and a model that cannot be built, in an empty warehouse of each kind."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else "postgresql://nowhere/none"
    people.make_project(tmp_path, request.param, url)
    text = (tmp_path / "penstock.yml").read_text()
    (tmp_path / "penstock.yml").write_text(f"{text}lineage: {{ transport: file, path: lineage.jsonl }}\n")
    (tmp_path / "models" / "marts" / "bad.sql").write_text(
        "select cast(email as integer) as n from {{ ref('stg_customers') }}"
    )
    yield tmp_path
    from dbt.adapters.factory import reset_adapters

    reset_adapters()


def penstock(project: Path, *arguments: str) -> str:
    """All that a command prints, and its exit code."""
    environ = {"PENSTOCK_LOG_LEVEL": "debug", "PENSTOCK_LOG_FORMAT": "json"}
    done = commands.penstock(project, *arguments, "--project-dir", str(project), environ=environ)
    return f"{done.returncode}\n{done.stdout}{done.stderr}"


@slow_on_postgres("project")
def test_channels(project: Path) -> None:
    """A value that a cast or a constraint refuses is masked on both streams of output, in the ledger, in logs, lineage
    and the report; what went wrong can still be read."""
    write(project, "customers", "a.ndjson", [customer(1, email=ODD)])
    write(project, "subscriptions", "a.ndjson", [{"id": 1, "customer_id": "1", "rate": 1}])
    with people.opened(project) as session:
        load(session)
        session.destination.query("create unique index on_email on raw.customers (email)")
    write(project, "customers", "b.ndjson", [customer(2, email=ODD)])
    printed = [
        penstock(project, "load", "customers", "--json"),
        penstock(project, "transform"),
        penstock(project, "query", "select cast(email as integer) from raw.customers"),
    ]
    assert '"quarantined": 1' in printed[0]
    assert "bad" in printed[1] and "*****" in printed[1]
    assert printed[2].startswith("1\n") and "*****" in printed[2]
    for arguments in (["status", "--json"], ["runs", "--json"], ["quarantine", "list", "--json"], ["report"]):
        printed.append(CliRunner().invoke(app, [*arguments, "--project-dir", str(project)]).output)
    assert [text for text in printed if TRACE.decode() in text] == []
    with people.opened(project) as session:
        reasons = session.destination.query("select reason_code, reason from penstock.quarantine").rows
        session.destination.query("update penstock.quarantine set body = $1", [b""])
        content = {name: rows for name, rows in dump(session).items() if not name.startswith(_OWN)}
    assert [code for code, _ in reasons] == ["destination_rejected"]
    assert [name for name, rows in content.items() if TRACE in rows] == []
    assert b"bad" in content["penstock.run_steps"]
    files = [p for p in project.rglob("*") if p.is_file() and "data" not in p.parts and "warehouse" not in p.name]
    assert {"dbt.log", "lineage.jsonl", "report.html"} <= {p.name for p in files}
    assert [str(p) for p in files if TRACE in p.read_bytes()] == []
    events = [json.loads(line) for line in (project / "lineage.jsonl").read_text().splitlines()]
    failed = [e["run"]["facets"]["errorMessage"]["message"] for e in events if "errorMessage" in e["run"]["facets"]]
    assert failed and all("*****" in message for message in failed)
