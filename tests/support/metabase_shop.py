"""A small shop on PostgreSQL, with models that are described, and questions, to be shown in Metabase."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from typer.testing import CliRunner

from penstock.cli.app import app
from penstock.errors import PenstockError
from tests.support.metabase_server import EMAIL, PASSWORD, MetabaseServer

PROJECT = """
name: shop
target: warehouse
destinations:
  warehouse: {{ type: postgres, host: "{host}", port: {port}, user: postgres, password: no-secret, database: {name} }}
  local: {{ type: duckdb, path: warehouse.duckdb }}
sources: {{ files: {{ type: files, path: "data/**" }} }}
streams:
  orders:
    from: files
    pii: [customer]
    columns: {{ id: bigint, customer: text, city: text, amount: bigint, day: date }}
privacy: {{ keys: {{ v1: "a key that only the tests know" }} }}
"""
DBT = """
name: shop
version: 1.0.0
config-version: 2
profile: penstock
model-paths: [models]
macro-paths: [macros]
packages-install-path: .penstock/dbt_packages
models: { shop: { +schema: marts, +materialized: table } }
"""
MACROS = """
{% macro generate_schema_name(custom_schema_name, node) -%}
  {{- penstock.schema_name(custom_schema_name) -}}
{%- endmacro %}
"""
MODELS = {
    "models/dim_city.sql": "select distinct city, upper(city) as capitals from {{ source('raw', 'orders') }}",
    "models/fct_order.sql": "select id, customer, city, amount, day from {{ source('raw', 'orders') }}",
    "models/marts.yml": """
version: 2
sources: [{ name: raw, schema: raw, tables: [{ name: orders }] }]
models:
  - name: dim_city
    description: One row a city.
    columns: [{ name: city, description: The city's name. }]
  - name: fct_order
    description: |
      One row an order.
    columns:
      - { name: id, description: The shop's number. }
      - name: city
        description: Where it goes.
        data_tests: [{ relationships: { arguments: { to: ref('dim_city'), field: city } } }]
""",
}
ORDERS = [
    {"id": 1, "customer": "Person One", "city": "Oslo", "amount": 3, "day": "2025-03-01"},
    {"id": 2, "customer": "Person Two", "city": "Rome", "amount": 4, "day": "2025-03-02"},
    {"id": 3, "customer": "Person Two", "city": "Rome", "amount": 5, "day": "2025-03-02"},
]
QUESTIONS = {
    "1_orders.sql": """
-- question: How many orders are there?
-- show: big number
-- unit: orders
select count(*) as orders from {{ ref('fct_order') }}
""",
    "2_by_city.sql": """
-- question: Which cities order most?
-- show: bar
-- about: In whole amounts.
select city, sum(amount)::bigint as amount from {{ ref('fct_order') }} group by city order by city
""",
    "3_all.sql": """
-- question: Which orders are there?
-- show: table
select id, city, amount from {{ ref('fct_order') }} order by id
""",
}
CARDS = ("orders", "by_city", "all")


class Shop:
    """The project in a folder. ``environ`` is the environment of its commands."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.postgres = url
        address = urlsplit(url)
        folder.mkdir(parents=True, exist_ok=True)
        text = PROJECT.format(host=address.hostname, port=address.port, name=address.path.strip("/"))
        (folder / "penstock.yml").write_text(text)
        (folder / "dbt_project.yml").write_text(DBT)
        for name, text in {"macros/names.sql": MACROS, **MODELS}.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        (folder / "data").mkdir(exist_ok=True)
        (folder / "data" / "a.ndjson").write_text("\n".join(json.dumps(o) for o in ORDERS))
        self.environ: dict[str, str] = {}
        self.ask(QUESTIONS)

    def ask(self, questions: Mapping[str, str]) -> None:
        """Have exactly these questions."""
        shutil.rmtree(self.folder / "questions", ignore_errors=True)
        (self.folder / "questions").mkdir()
        for name, text in questions.items():
            (self.folder / "questions" / name).write_text(text.lstrip())

    def penstock(self, *arguments: str) -> Any:
        """Run a command, and give the JSON that it printed. Its errors are raised."""
        done = CliRunner().invoke(
            app, [*arguments, "--json", "--project-dir", str(self.folder)], env={**_NONE, **self.environ}
        )
        if isinstance(done.exception, PenstockError):
            raise done.exception
        assert done.exit_code == 0, done.output + done.stderr + repr(done.exception)
        return json.loads(done.stdout)

    def sync(self, server: MetabaseServer | str, *arguments: str, **variables: str) -> dict[str, str]:
        """Synchronise with a Metabase, by default as its administrator: what became of each thing."""
        url = server if isinstance(server, str) else server.url
        admin = {"METABASE_ADMIN_EMAIL": EMAIL, "METABASE_ADMIN_PASSWORD": PASSWORD}
        self.environ = {"METABASE_URL": url, **admin, **variables}
        said = self.penstock("metabase", "sync", *arguments)
        assert not said["problems"], said["problems"]
        return {f"{c['kind']} {c['name']}": c["what"] for c in said["changes"]}


_NONE: dict[str, Any] = dict.fromkeys(
    ("METABASE_API_KEY", "METABASE_URL", "METABASE_ADMIN_EMAIL", "METABASE_ADMIN_PASSWORD", "PGUSER", "PGPASSWORD")
)
"""Variables that the tests' own environment must not bring in."""
