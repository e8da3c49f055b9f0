"""A person who was erased is nowhere any more, and stays away, on both destinations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock import Session
from penstock.privacy.erasure import erase
from tests import people
from tests.people import customer, holding, load, traces, transform, write

Open = Callable[[], Session]


@pytest.fixture(params=["duckdb", "postgres"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """The project's folder, with an empty warehouse of each kind."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else "postgresql://nowhere/none"
    people.make_project(tmp_path, request.param, url)
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
    write(project, "subscriptions", "a.ndjson", [{"id": n, "customer_id": str(n), "rate": n} for n in range(40, 50)])
    with people.opened(project) as session:
        assert load(session) == {"customers": (26, 21, 0, 5), "subscriptions": (10, 10, 0, 0)}
        transform(session)
        before = people.dump(session)
        assert holding(session, traces(42)) == ["penstock.quarantine", "raw.customers", "vault.sat_customer_pii"]
        found = erase(session, "customer", "42")
        assert found.counts == {
            "raw.customers": 3,
            "raw.subscriptions": 1,
            "penstock.quarantine": 2,
            "vault.hub_customer": 1,
            "vault.sat_customer": 3,
            "vault.sat_customer_pii": 3,
            "vault.customer_history": 1,
        }
        assert found.rebuilt == ["marts.customers_by_city", "marts.rates"]
        assert found.inputs == ["data/customers/a.ndjson", "data/subscriptions/a.ndjson"]
        pseudonyms = [session.project.privacy.needed_keys("").pseudonym(t.decode()).encode() for t in traces(42)]
        assert any(p in before["raw.customers"] for p in pseudonyms)
        assert holding(session, [*traces(42), *pseudonyms]) == []
        query = session.destination.query
        assert query("select count(*) from vault.hub_customer").rows == [(9,)]
        assert query("select customers from marts.customers_by_city order by city").rows == [(9,), (9,)]
        assert query("select count(*) from marts.rates").rows == [(9,)]
        assert query("select count(*) from penstock.quarantine").rows == [(3,)]
        (proof,) = query("select subject, salt, ids, rebuilt_at from penstock.erasures").rows
        assert proof[0].startswith("v1:") and "customer:42" not in str(proof) and proof[3] is not None
