"""Personal data is pseudonymised in what is made of it and masked in what is shown of it, on both destinations."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import penstock
from penstock.cli.app import app
from penstock.privacy.rekey import rekey
from tests.support import people
from tests.support.people import KEY, customer, load, traces, transform, write


@pytest.fixture(params=["duckdb", "postgres"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """The project's folder, with an empty warehouse of each kind."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else "postgresql://nowhere/none"
    people.make_project(tmp_path, request.param, url)
    yield tmp_path


def call(project: Path, *words: str) -> str:
    """What a command prints."""
    done = CliRunner().invoke(app, [*words, "--project-dir", str(project)])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def pseudonym(text: str, version: str = "v1", key: str = KEY) -> str:
    """By the standard library alone."""
    return f"{version}:{hmac.new(key.encode(), text.encode(), 'sha256').hexdigest()}"


def test_queries(project: Path) -> None:
    """Answers show personal columns as ***** by their names in streams and models, unless asked."""
    write(project, "customers", "a.ndjson", [customer(1), customer(2, phone=[1]), b'{"id": 3, "name": "Person Nr3x",}'])
    call(project, "load", "customers")
    sql = "select * from raw.customers order by id"
    for form in ("--json", "--csv"):
        shown = call(project, "query", sql, form)
        assert not any(t.decode() in shown for t in (*traces(1), *traces(2)))
        assert "*****" in shown and "Oslo" in shown and pseudonym("mail1x@example.com") in shown
    rows = json.loads(call(project, "query", sql, "--json"))
    assert [r["phone"] for r in rows] == ["*****", None] and rows[1]["_pen_rescued"] == "*****"
    assert "mail1x@example.com" in call(project, "query", sql, "--show-pii")
    assert "mail1x@example.com" not in str(penstock.query(project, sql).rows)
    assert "mail1x@example.com" in str(penstock.query(project, sql, show_pii=True).rows)
    assert "secret@example.com" not in call(project, "query", "select 'secret@example.com' as MAIL")
    assert "Nr3x" not in call(project, "query", "select * from penstock.quarantine")
    assert "Nr3x" in call(project, "query", "select * from penstock.quarantine", "--show-pii")


def test_quarantine(project: Path) -> None:
    """Bodies in quarantine show no personal data, and none of what cannot be read, unless asked."""
    text = (project / "penstock.yml").read_text().replace("event_time", "contract: reject\n    event_time")
    (project / "penstock.yml").write_text(text)
    broken = b'{"id": 3, "name": "Person Nr3x",}'
    write(project, "customers", "a.ndjson", [customer(1, more="new field"), broken])
    write(project, "subscriptions", "a.ndjson", [{"name": "nobody"}])
    call(project, "load")
    entries = json.loads(call(project, "quarantine", "list", "--json"))
    assert len(entries) == 3
    ids = [e["id"] for e in entries]
    shown = json.loads(call(project, "quarantine", "show", *ids, "--json"))
    bodies = {e["reason_code"]: e["body"] for e in shown}
    assert json.loads(bodies["contract"]) == customer(1, name="*****", email="*****", phone="*****", more="new field")
    assert bodies["invalid_json"] == f"***** ({len(broken)} bytes)"
    assert json.loads(bodies["missing_identity"]) == {"name": "nobody"}
    whole = call(project, "quarantine", "show", *ids, "--show-pii")
    assert "Person Nr1x" in whole and "Person Nr3x" in whole


def test_nobody_learns_the_key(project: Path) -> None:
    """Models have pseudonyms that join, and the key is in nothing that dbt or Penstock writes."""
    write(project, "customers", "a.ndjson", [customer(1), customer(2, email=customer(1)["email"])])
    write(project, "subscriptions", "a.ndjson", [{"id": 1, "customer_id": "1"}])
    with people.opened(project) as session:
        load(session)
        transform(session)
        rows = session.destination.query("select distinct email_pseudonym from vault.sat_customer").rows
        assert rows == [(pseudonym("mail1x@example.com"),)]
        assert people.holding(session, [KEY.encode()]) == []
    written = [p for p in (project / ".penstock").rglob("*") if p.is_file() and not p.is_symlink()]
    assert len(written) > 3
    for path in written:
        assert KEY.encode() not in path.read_bytes(), path
    assert KEY not in call(project, "explain", "--json")
    from dbt.adapters.factory import reset_adapters

    reset_adapters()


def test_rekey(project: Path) -> None:
    """A new key is for what lands from then on, and for all there is after ``rekey``; again changes nothing."""
    records = [customer(n, phone=n if n % 2 else None, home={"b": n, "a": "é"}) for n in range(300)]
    write(project, "customers", "a.ndjson", records)
    text = (project / "penstock.yml").read_text()
    with people.opened(project) as session:
        load(session)
    new = "another key of the tests"
    changed = text.replace("keys: {", f"keys: {{ v2: '{new}', ") + "  current: v2\n"
    changed = changed.replace("pii: [name, email, phone]", "pii: [name, email, phone, home]")
    (project / "penstock.yml").write_text(changed)
    write(project, "customers", "b.ndjson", [customer(1000)])
    with people.opened(project) as session:
        load(session)
        query = session.destination.query
        kinds = "select left(email_pseudonym, 3), count(*) from raw.customers group by 1 order by 1"
        assert query(kinds).rows == [("v1:", 300), ("v2:", 1)]
        assert query("select count(home_pseudonym) from raw.customers").rows == [(0,)]
    assert "300 rows with new pseudonyms" in call(project, "rekey")
    with people.opened(project) as session:
        query = session.destination.query
        found = query(
            "select id, name_pseudonym, email_pseudonym, phone_pseudonym, home_pseudonym from raw.customers order by id"
        ).rows
        for n, *pseudonyms in found[:300]:
            record = customer(n)
            home = json.dumps({"a": "é", "b": n}, ensure_ascii=False, separators=(",", ":"))
            wanted = [record["name"], record["email"], str(n) if n % 2 else None, home]
            assert pseudonyms == [None if w is None else pseudonym(w, "v2", new) for w in wanted]
        assert found[300][1] == pseudonym("Person Nr1000x", "v2", new)
        assert rekey(session, "customers") == 0
        write(project, "customers", "c.ndjson", [customer(2000, home={"z": 1})])
        assert load(session)["customers"] == (1, 1, 0, 0)
        last = query("select home_pseudonym from raw.customers where id = 2000").rows
        assert last == [(pseudonym('{"z":1}', "v2", new),)]
