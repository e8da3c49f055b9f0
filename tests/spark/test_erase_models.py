"""A person who was erased is in no model that Spark builds, nor in what its tables were before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock import Session
from penstock.destinations.spark.destination import SparkDestination
from penstock.privacy.erasure import erase
from penstock.testing.spark import spark_jars
from tests.support import iceberg_files, people
from tests.support.people import customer, holding, load, traces, transform, write
from tests.support.spark_models import QUICK, edit

pytestmark = pytest.mark.timeout(1500)

MODELS = {
    "vault/hub_customer.sql": """{{ config(scope='customer_key', unique_key='customer_key') }}
select distinct {{ penstock.hash_key(['id']) }} as customer_key, id as customer_id
from {{ source('raw', 'customers') }} where id is not null""",
    "vault/sat_customer_pii.sql": """{{ config(scope='_pen_id', unique_key='_pen_id') }}
select _pen_id, {{ penstock.hash_key(['id']) }} as customer_key, name, email as mail, phone
from {{ source('raw', 'customers') }}""",
    "marts/rates.sql": """{{ config(scope='customer_id', unique_key='customer_id') }}
select customer_id, count(*) as subscriptions from {{ source('raw', 'subscriptions') }}
where customer_id is not null group by customer_id""",
}
YAML = """
version: 2
sources:
  - name: raw
    schema: raw
    tables: [{ name: customers }, { name: subscriptions }]
models:
  - name: hub_customer
    columns:
      - { name: customer_key, config: { meta: { subject: customer.key } } }
      - { name: customer_id, config: { meta: { subject: customer } } }
  - name: sat_customer_pii
    columns:
      - { name: customer_key, config: { meta: { subject: customer.key } } }
      - { name: mail, config: { meta: { pii: true } } }
"""


@pytest.fixture
def project(prepared_postgres_url: str, tmp_path: Path) -> Path:
    """The project's folder: a model that says whose the rows are, one that is found by its keys, and one that names
    nobody."""
    people.make_project(tmp_path, "spark", prepared_postgres_url)
    for path in (tmp_path / "models").rglob("*.sql"):
        path.unlink()
    for name, sql in MODELS.items():
        (tmp_path / "models" / name).write_text(sql)
    (tmp_path / "models" / "models.yml").write_text(YAML)
    text = (tmp_path / "dbt_project.yml").read_text()
    (tmp_path / "dbt_project.yml").write_text(text.replace("+materialized: table", "+materialized: penstock"))

    def with_spark(settings: dict[str, Any]) -> None:
        settings["destinations"]["spark"]["spark"] = {
            "master": "local[2]",
            "jars": spark_jars(),
            "conf": QUICK,
        }

    edit(tmp_path / "penstock.yml", with_spark)
    return tmp_path


def test_erase(project: Path) -> None:
    """Rows of models go with those of raw tables, keys are followed, and what names nobody is built anew. No file of
    the warehouse holds the person then, and the next step goes on from there."""
    with people.opened(project) as session:
        for n in range(40, 44):
            write(project, "customers", f"{n}.ndjson", [customer(n), customer(n, city="Bern")])
            write(project, "subscriptions", f"{n}.ndjson", [{"id": n, "customer_id": str(n), "rate": n}])
            if n in (41, 43):
                load(session)
                transform(session)
        assert "vault.sat_customer_pii" in holding(session, traces(42)) and in_files(session, traces(42))
        found = erase(session, "customer", "42")
        assert {name: count for name, count in found.counts.items() if not name.startswith("penstock")} == {
            "raw.customers": 2,
            "raw.subscriptions": 1,
            "vault.hub_customer": 1,
            "vault.sat_customer_pii": 2,
        }
        assert found.rebuilt == ["marts.rates"]
        assert holding(session, traces(42)) == []
        assert in_files(session, traces(42)) == []
        catalog = warehouse(session).catalog
        assert iceberg_files.unnamed(catalog, project / "tables") == []
        query = session.destination.query
        assert query("select count(*) from marts.rates").rows == [(3,)]
        assert query("select customer_id from vault.hub_customer order by 1").rows == [(40,), (41,), (43,)]
        write(project, "customers", "more.ndjson", [customer(42, city="Nice"), customer(44)])
        load(session)
        transform(session)
        assert query("select customer_id from vault.hub_customer order by 1").rows == [(40,), (41,), (43,), (44,)]
        assert query("select count(*), count(distinct mail) from vault.sat_customer_pii").rows == [(7, 4)]
        assert holding(session, traces(42)) == [] and in_files(session, traces(42)) == []


def warehouse(session: Session) -> SparkDestination:
    """The project's."""
    assert isinstance(session.destination, SparkDestination)
    return session.destination


def in_files(session: Session, wanted: list[bytes]) -> list[str]:
    """Where these bytes are in the warehouse's folder."""
    return iceberg_files.holding(warehouse(session).catalog, session.project.directory / "tables", wanted)
