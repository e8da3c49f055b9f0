"""A person who was erased is nowhere any more, and stays away, on each kind of destination."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from penstock import Session
from penstock.errors import UsageError
from penstock.privacy.erasure import erase, parse_subject
from penstock.privacy.masking import masked
from penstock.project.steps import LoadStep
from penstock.runs.quarantined import entries
from tests.support import commands, people
from tests.support.cut_off import cut_off
from tests.support.fixtures import SLOW, slow_on_postgres
from tests.support.people import customer, holding, load, traces, transform, write

SNAPSHOT = """
version: 2
snapshots:
  - name: people_snapshot
    relation: ref('stg_customers')
    config: { unique_key: id, strategy: timestamp, updated_at: updated_at }
"""


@pytest.fixture(params=["duckdb", "postgres"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """The project's folder, with an empty warehouse of each kind."""
    url = "postgresql://nowhere/none" if request.param == "duckdb" else request.getfixturevalue("postgres_url")
    people.make_project(tmp_path, request.param, url)
    if request.param == "spark":
        (tmp_path / "dbt_project.yml").unlink()  # tests/spark has those with models
    yield tmp_path
    from dbt.adapters.factory import reset_adapters

    reset_adapters()


def test_erase(project: Path) -> None:
    """All of a person goes and nothing of anyone else; what counted the person counts anew."""
    records = [customer(n, city=city) for n in range(40, 50) for city in ("Oslo", "Rome")]
    records += [customer(42, phone={"home": people.customer(42)["phone"]})]
    broken = [
        b'{"id": 42, "name": "Person Nr42x",}',
        b'{"id": 43, "name": "Person Nr43x",}',
        b'"email": "mail42x@example.com", cut off',
        b"nothing of anyone",
        b'{"id": 420, "email": "mail420x@example.com",}',
    ]
    write(project, "customers", "a.ndjson", [*records, *broken])
    subscriptions = [{"id": n, "customer_id": str(n), "rate": n} for n in range(40, 50)]
    write(project, "subscriptions", "a.ndjson", [*subscriptions, {"id": 60, "customer_id": "42", "rate": 1}])
    with people.opened(project) as session:
        assert load(session) == {"customers": (26, 21, 0, 5), "subscriptions": (11, 11, 0, 0)}
        transform(session)
        before = people.dump(session)
        stored = next(name for name in before if "accepted_values" in name)
        assert holding(session, traces(42)) == sorted(
            [stored, "penstock.quarantine", "raw.customers", "vault.sat_customer_pii"]
        )
        found = erase(session, "customer", "42")
        assert found.counts == {
            "raw.customers": 3,
            "raw.subscriptions": 2,
            "penstock.quarantine": 2,
            "vault.hub_customer": 1,
            "vault.sat_customer": 3,
            "vault.sat_customer_pii": 3,
            "vault.customer_history": 1,
            "vault.link_subscription": 2,
            "vault.sat_subscription": 1,
            stored: 10,
        }
        assert found.rebuilt == ["marts.customers_by_city", "marts.rates"]
        assert found.inputs == ["data/customers/a.ndjson", "data/subscriptions/a.ndjson"]
        pseudonyms = [session.project.privacy.needed_keys("").pseudonym(t.decode()).encode() for t in traces(42)]
        assert any(p in before["raw.customers"] for p in pseudonyms)
        assert holding(session, [*traces(42), *pseudonyms]) == []
        again = erase(session, "customer", "42")
        assert not again.counts and not again.rebuilt and again.before is not None
        query = session.destination.query
        assert query("select count(*) from vault.hub_customer").rows == [(9,)]
        assert query("select customers from marts.customers_by_city order by city").rows == [(9,), (9,)]
        assert query("select count(*) from marts.rates").rows == [(9,)]
        # what someone else has too is not the person's alone
        assert query("select count(*) from vault.link_subscription where subscription_id = 42").rows == [(1,)]
        assert query("select rate from vault.sat_subscription where subscription_id in (42, 60)").rows == [(42,)]
        assert query("select count(*) from penstock.quarantine").rows == [(3,)]
        (proof,) = query("select subject, salt, ids, rebuilt_at from penstock.erasures").rows
        assert proof[0].startswith("v1:") and "customer:42" not in str(proof) and proof[3] is not None


@slow_on_postgres("project")
def test_again(project: Path) -> None:
    """What is sent again of the person stays out, in every form and counted; asked again there is nothing to do."""
    write(project, "customers", "a.ndjson", [customer(41), customer(42), customer(43)])
    with people.opened(project) as session:
        load(session)
        query = session.destination.query
        query("create schema penstock_changes")
        query("create table penstock_changes.marts__rates as select 1 as _pen_seq, 'Person Nr42x' as name")
        query("create table penstock_changes.marks as select 'marts.ages' as model, 'marts.rates' as input, 1 as seq")
        assert erase(session, "customer", "42").counts == {"raw.customers": 1}
        assert not query("select 1 from penstock_changes.marts__rates").rows
        assert query("select 1 from penstock_changes.marks").rows, "how far models are in the feeds names nobody"
        again = erase(session, "customer", "42")
        assert not again.counts and not again.rebuilt and again.before is not None
        more: list[dict[str, Any] | bytes] = [
            customer(42),
            customer(42, city="Bern", extra=1),
            customer(42, id="42", city="Kiel"),
            customer(42, id=42.0, city="Nice"),
            b'{"id": 42, "name": "Person Nr42x",}',
            b'[{"id": 42}, {"id": 44}',
            customer(44),
            b'{"id": 45,}',
        ]
        write(project, "customers", "b.ndjson", more)
        write(project, "customers", "c.csv", [b"id,name,email", b"42,Person Nr42x,mail42x@example.com", b"46,a,b"])
        write(project, "subscriptions", "a.ndjson", [{"id": 1, "customer_id": "42"}, {"id": 2, "customer_id": "43"}])
        assert load(session) == {"customers": (10, 2, 7, 1), "subscriptions": (2, 1, 1, 0)}
        assert holding(session, traces(42)) == []
        ids = session.destination.query("select id from raw.customers order by id").rows
        assert ids == [(41,), (43,), (44,), (46,)]


@slow_on_postgres("project", spark=True)
def test_replay_and_rescued(project: Path) -> None:
    """Ids that did not fit their column are found as well, and what waits in quarantine cannot bring anyone back."""
    write(project, "customers", "a.ndjson", [customer(41), customer(7, id="c-42"), b'{"id": "c-42",}'])
    with people.opened(project) as session:
        load(session)
        assert session.destination.query("select count(*) from raw.customers where id is null").rows == [(1,)]
        found = erase(session, "customer", "c-42")
        assert found.counts == {"raw.customers": 1, "penstock.quarantine": 1}
        assert holding(session, traces(7)) == []
        write(project, "customers", "b.ndjson", [customer(7, id="c-42", city="Bern")])
        assert load(session)["customers"] == (1, 0, 1, 0)


@slow_on_postgres("project", spark=True)
def test_one_process_later(project: Path) -> None:
    """Who was erased stays out for a process that begins later, under a new key too, and not without the old one."""
    write(project, "customers", "a.ndjson", [customer(41), customer(42)])
    with people.opened(project) as session:
        load(session)
        erase(session, "customer", "42")
    text = (project / "penstock.yml").read_text()
    both = text.replace("keys: {", "keys: { v2: 'another key of the tests', ") + "  current: v2\n"
    (project / "penstock.yml").write_text(both)
    write(project, "customers", "b.ndjson", [customer(42, city="Bern"), customer(43)])
    with people.opened(project) as session:
        assert load(session)["customers"] == (2, 1, 1, 0)
        assert erase(session, "customer", "42").before is not None
    (project / "penstock.yml").write_text(text.replace("v1:", "v2:"))
    write(project, "customers", "c.ndjson", [customer(42, city="Nice")])
    with people.opened(project) as session, pytest.raises(UsageError, match="privacy key v1 is not known"):
        load(session)


def test_killed(project: Path) -> None:
    """Stopped before the commit, nothing is erased; killed after it, the next call builds what is left to build."""
    write(project, "customers", "a.ndjson", [customer(n) for n in range(40, 50)])
    write(project, "subscriptions", "a.ndjson", [{"id": n, "customer_id": str(n), "rate": n} for n in range(40, 50)])
    with people.opened(project) as session:
        load(session)
        transform(session)
    call = partial(commands.penstock, project, "erase", "--subject", "customer:42", "--project-dir", str(project))
    refused = call()
    assert refused.returncode == 2 and "--yes" in refused.stderr
    with people.opened(project) as session, cut_off("before_erasure"):
        erase(session, "customer", "42")
    with people.opened(project) as session:
        assert "raw.customers" in holding(session, traces(42))
    killed = call("--yes", environ={"PENSTOCK_FAULT": "after_erasure:kill"})
    assert killed.returncode == -9, killed.stderr
    with people.opened(project) as session:
        assert holding(session, traces(42)) == []
        assert session.destination.query("select count(*) from marts.rates").rows == [(10,)]
    done = call("--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rebuilt"] == ["marts.customers_by_city", "marts.rates"]
    with people.opened(project) as session:
        assert session.destination.query("select count(*) from marts.rates").rows == [(9,)]
        unfinished = "select count(*) from penstock.erasures where rebuilt_at is null"
        assert session.destination.query(unfinished).rows == [(0,)]


@slow_on_postgres("project")
def test_what_is_asked(project: Path) -> None:
    """A person of no kind, and a project without a key, are told so before anything is done."""
    with people.opened(project) as session:
        assert parse_subject(session.project, "customer:a:b") == ("customer", "a:b")
        for text in ("customer", "customer:", ":42"):
            with pytest.raises(UsageError, match="names nobody"):
                parse_subject(session.project, text)
        with pytest.raises(UsageError, match="there is customer"):
            parse_subject(session.project, "car:1")
        assert erase(session, "customer", "1").counts == {}
        path = project / "snapshots" / "people.yml"
        path.parent.mkdir()
        path.write_text(SNAPSHOT)
        with pytest.raises(UsageError, match="snapshot people_snapshot cannot be built anew"):
            erase(session, "customer", "1")
        path.write_text(SNAPSHOT + "    columns: [{ name: id, config: { meta: { subject: customer } } }]\n")
        assert erase(session, "customer", "1").counts == {}
    text = (project / "penstock.yml").read_text().partition("privacy:")[0].replace("pii:", "# pii:")
    (project / "penstock.yml").write_text(text)
    with people.opened(project) as session, pytest.raises(UsageError, match="privacy key v1 is not set"):
        erase(session, "customer", "42")


def test_rewritten(project: Path) -> None:
    """With ``rewrite`` the files of the warehouse keep no byte of the person, and all of the others."""
    write(project, "customers", "a.ndjson", [customer(41), customer(42), customer(43)])
    with people.opened(project) as session:
        load(session)
        session.destination.query("checkpoint")
        assert _in_files(session, traces(42)[1])
        erase(session, "customer", "42", rewrite=True)
        write(project, "customers", "b.ndjson", [customer(44)])
        assert load(session)["customers"] == (1, 1, 0, 0)
        assert session.destination.query("select count(distinct _pen_load) from raw.customers").rows == [(2,)]
        session.destination.query("checkpoint")
        for trace in traces(42):
            assert not _in_files(session, trace)
        assert _in_files(session, traces(43)[1])


def _in_files(session: Session, wanted: bytes) -> bool:
    """Whether the file of the warehouse, or of the table, holds these bytes."""
    if session.destination.kind == "duckdb":
        session.release()
        return wanted in (session.project.directory / "warehouse.duckdb").read_bytes()
    query = session.destination.query
    path = query("select pg_relation_filepath('raw.customers')").rows[0][0]
    return wanted in bytes(query("select pg_read_binary_file($1)", [path]).rows[0][0])


@slow_on_postgres("project", spark=True)
@pytest.mark.parametrize("format_", ["ndjson", *(pytest.param(f, marks=SLOW) for f in ("csv", "parquet"))])
def test_lake(project: Path, format_: str) -> None:
    """The person's records leave the lake's files, whatever their format, and what is sent again does not get there."""
    lake = f"lake: {{ path: lake, format: {format_}, compression: gzip }}\nprivacy:"
    text = (project / "penstock.yml").read_text().replace("privacy:", lake)
    (project / "penstock.yml").write_text(text.replace("    pii:", "    land: true\n    pii:"))
    broken = [b'{"id": 42, "name": "Person Nr42x",}', b'{"id": 43, "name": "Person Nr43x",}']
    escaped = json.dumps(customer(7, id="42")).replace("42", "\\u0034\\u0032", 1).encode()
    write(project, "customers", "a.ndjson", [customer(n) for n in range(40, 50)] + broken + [escaped])
    with people.opened(project) as session:
        assert load(session)["customers"] == (13, 11, 0, 2)
        assert _in_lake(project, traces(42)) and _in_lake(project, traces(43)) and _in_lake(project, traces(7))
        found = erase(session, "customer", "42")
        files = [n for name, n in found.counts.items() if "lake" in name]
        assert files == [3] and found.counts["raw.customers"] == 2
        assert not _in_lake(project, [*traces(42), *traces(7)])
        assert found.inputs == ["data/customers/a.ndjson"]
        write(project, "customers", "b.ndjson", [customer(42), customer(51), broken[0]])
        assert load(session)["customers"] == (3, 1, 2, 0)
        assert not _in_lake(project, traces(42)) and _in_lake(project, traces(51))
        step = LoadStep(stream="customers", source="lake")
        assert session.load(step).total("read") == 0


def _in_lake(project: Path, wanted: list[bytes]) -> bool:
    """Whether a record of any of the lake's files holds any of these bytes."""
    for path in (project / "lake").rglob("*"):
        if path.suffix == ".parquet":
            content = str(pq.read_table(path).to_pylist()).encode()
        elif path.is_file():
            content = gzip.decompress(path.read_bytes())
        else:
            continue
        if any(w in content for w in wanted):
            return True
    return False


@slow_on_postgres("project", spark=True)
def test_flattened(project: Path) -> None:
    """Of a flattened stream, fields are personal and tell people by their names in the flat record."""
    text = (project / "penstock.yml").read_text().partition("streams:")[0]
    key = people.PROJECT.partition("privacy:")[2].format(key=people.KEY)
    stream = "customers: { from: customer_files, flatten: true, pii: [who.name], subject: { customer: who.id } }"
    (project / "penstock.yml").write_text(f"{text}streams:\n  {stream}\nprivacy:{key}")
    one = {"who": {"id": 42, "name": "Person Nr42x"}, "n": 1}
    other = {"who": {"id": 43, "name": "Person Nr43x"}, "n": 2}
    write(
        project, "customers", "a.ndjson", [one, other, b'{"who": {"id": 42, "name": "Person Nr42x"}, "n": "\\u0000"}']
    )
    with people.opened(project) as session:
        assert load(session)["customers"] == (3, 2, 0, 1)
        assert session.destination.query("select count(who_name_pseudonym) from raw.customers").rows == [(2,)]
        (entry,) = entries(session.destination.query)
        assert b"Nr42x" not in masked(session.project, entry).body
        assert erase(session, "customer", "42").counts == {"raw.customers": 1, "penstock.quarantine": 1}
        assert holding(session, [b"Nr42x"]) == []
        write(project, "customers", "b.ndjson", [{**one, "n": 3}])
        assert load(session)["customers"] == (1, 0, 1, 0)
