"""A small project about people: two streams, and models that name them, copy them and count them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from penstock import Session, load_project
from penstock.runs.plan import plan_loads
from penstock.transform.perform import Transformer

KEY = "a key that only the tests know"

PROJECT = """
name: {name}
target: {kind}
destinations:
  duckdb: {{ type: duckdb, path: warehouse.duckdb, threads: 1 }}
  postgres: {{ type: postgres, url: "{url}" }}
  spark: {{ type: spark, ledger: postgres, warehouse: tables }}
sources:
  customer_files: {{ type: files, path: "data/customers/**" }}
  subscription_files: {{ type: files, path: "data/subscriptions/**" }}
streams:
  customers:
    from: customer_files
    event_time: updated_at
    columns: {{ id: bigint, name: text, email: text, phone: text, city: text, updated_at: timestamp }}
    pii: [name, email, phone]
    subject: {{ customer: id }}
  subscriptions:
    from: subscription_files
    identity: [id]
    disposition: merge
    columns: {{ id: bigint, customer_id: text, rate: bigint }}
    subject: {{ customer: customer_id }}
privacy:
  keys: {{ v1: "{key}" }}
"""

DBT = """
name: people
version: 1.0.0
config-version: 2
profile: penstock
model-paths: [models]
macro-paths: [macros]
packages-install-path: .penstock/dbt_packages
models:
  people:
    +materialized: table
    staging: { +schema: staging, +materialized: view }
    vault: { +schema: vault }
    marts: { +schema: marts }
"""

MACROS = """
{% macro generate_schema_name(custom_schema_name, node) -%}
  {{- penstock.schema_name(custom_schema_name) -}}
{%- endmacro %}

{% macro get_incremental_replacing_sql(arg_dict) -%}
  {{- return(penstock.replacing_sql(arg_dict)) -}}
{%- endmacro %}
"""

MODELS = {
    "staging/stg_customers.sql": "select * from {{ source('raw', 'customers') }}",
    "vault/hub_customer.sql": (
        "select distinct {{ penstock.hash_key(['id']) }} as customer_key, id as customer_id"
        " from {{ ref('stg_customers') }}"
    ),
    "vault/sat_customer.sql": (
        "select {{ penstock.hash_key(['id']) }} as customer_key, city, email_pseudonym, updated_at"
        " from {{ ref('stg_customers') }}"
    ),
    "vault/sat_customer_pii.sql": (
        "select {{ penstock.hash_key(['id']) }} as customer_key, name, email as mail, phone, updated_at"
        " from {{ ref('stg_customers') }}"
    ),
    "vault/link_subscription.sql": (
        "select {{ penstock.hash_key(['customer_id']) }} as customer_key, id as subscription_id"
        " from {{ source('raw', 'subscriptions') }}"
        # one changed hands
        " union all select {{ penstock.hash_key([\"'43'\"]) }}, 42"
    ),
    "vault/sat_subscription.sql": "select id as subscription_id, rate from {{ source('raw', 'subscriptions') }}",
    "vault/customer_history.sql": """
{{ config(
  materialized='incremental', incremental_strategy='replacing', unique_key='id', post_hook="{{ penstock.mark() }}"
) }}
{%- set window = penstock.window() %}
{{ penstock.takes_in(window) }}
with touched as ({{ penstock.touched(ref('stg_customers'), {'id': 'id'}, 'customers', window) }}),
events as ({{ penstock.only(ref('stg_customers'), 'id', 'touched') }}),
found as ({{ penstock.history('events', 'id', 'updated_at', ['city', 'name_pseudonym']) }})
{{ penstock.scoped('found', 'touched', 'id') }}
""",
    "marts/customers_by_city.sql": (
        "select city, count(distinct id) as customers from {{ ref('stg_customers') }} group by city"
    ),
    "marts/rates.sql": "select customer_id, rate from {{ source('raw', 'subscriptions') }}",
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
  - name: sat_customer
    columns: [{ name: customer_key, config: { meta: { subject: customer.key } } }]
  - name: link_subscription
    columns:
      - { name: subscription_id, config: { meta: { subject: customer.subscription } } }
      - { name: customer_key, config: { meta: { subject: customer.key } } }
  - name: sat_subscription
    columns: [{ name: subscription_id, config: { meta: { subject: customer.subscription } } }]
  - name: sat_customer_pii
    columns:
      - { name: customer_key, config: { meta: { subject: customer.key } } }
      - { name: mail, config: { meta: { pii: true } } }
  - name: stg_customers
    columns:
      - name: email
        data_tests:
          - accepted_values: { arguments: { values: [nobody] }, config: { severity: warn, store_failures: true } }
  - name: customer_history
    columns: [{ name: id, config: { meta: { subject: customer } } }]
"""


def make_project(folder: Path, kind: str, url: str, *, name: str = "people", privacy: str | None = None) -> None:
    """Write the project, without data."""
    text = PROJECT.format(name=name, kind=kind, url=url, key=KEY)
    if privacy is not None:
        text = text.partition("privacy:")[0] + privacy
    (folder / "penstock.yml").write_text(text)
    for path, content in {
        "dbt_project.yml": DBT,
        "macros/penstock.sql": MACROS,
        "models/models.yml": YAML,
        **{f"models/{p}": sql for p, sql in MODELS.items()},
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)


def customer(n: int, **more: Any) -> dict[str, Any]:
    """A customer's record; nobody else's holds any of their personal data."""
    return {
        "id": n,
        "name": f"Person Nr{n}x",
        "email": f"mail{n}x@example.com",
        "phone": f"+49 30 {n:05}99",
        "city": "Oslo" if n % 2 else "Rome",
        "updated_at": f"2026-01-01 00:00:{n % 60:02}",
        **more,
    }


def traces(n: int) -> list[bytes]:
    """What only the records of one customer hold."""
    found = customer(n)
    return [found[f].encode() for f in ("name", "email", "phone")]


def write(folder: Path, stream: str, name: str, records: Sequence[Mapping[str, Any] | bytes]) -> None:
    """Write a file of records, or of lines as they are."""
    path = folder / "data" / stream / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join((r if isinstance(r, bytes) else json.dumps(r).encode()) + b"\n" for r in records))


@contextmanager
def opened(folder: Path, **environ: str) -> Iterator[Session]:
    """A session of the project."""
    with Session(load_project(folder, environ=environ)) as session:
        yield session


def load(session: Session) -> dict[str, tuple[int, int, int, int]]:
    """Load all that there are files for; stream → read, landed, duplicates, quarantined."""
    found = {}
    for step in plan_loads(session.project, [p.name for p in (session.project.directory / "data").iterdir()]):
        landed = session.load(step)
        found[step.stream] = tuple(landed.total(n) for n in ("read", "landed", "duplicates", "quarantined"))
    return found  # type: ignore[return-value]


def transform(session: Session) -> None:
    """Build the models."""
    transformer = Transformer(session)
    transformer.run()
    transformer.close()


def dump(session: Session) -> dict[str, bytes]:
    """Every table of every schema as bytes, binary columns too."""
    destination = session.destination
    tables = destination.query(
        "select table_schema, table_name from information_schema.tables where table_type = 'BASE TABLE'"
        " and table_schema not in ('information_schema', 'pg_catalog')"
    ).rows
    found = {}
    for schema, table in tables:
        rows = destination.query(f'select * from "{schema}"."{table}"').rows
        found[f"{schema}.{table}"] = b"\n".join(
            v if isinstance(v, bytes) else str(v).encode() for row in rows for v in row
        )
    return found


def holding(session: Session, wanted: Sequence[bytes]) -> list[str]:
    """The tables that hold any of these bytes."""
    return sorted(name for name, content in dump(session).items() if any(w in content for w in wanted))
