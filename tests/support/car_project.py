"""The example of car subscriptions in a folder of its own, run in this process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from penstock import Session, load_project
from penstock.land.loop import Landed
from penstock.project import Project
from penstock.runs.plan import plan_loads
from penstock.transform.built import Built
from penstock.transform.perform import Transformer
from tests.support.car_marts import Company, Row, parsed, plain

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "car_subscriptions"
STREAMS = ("cars", "customers", "subscriptions")
LAYERS = ("raw", "core", "marts")
LOAD_COLUMNS = {"_pen_load", "_pen_loaded_at", "_pen_origin", "load_date", "record_source"}
"""What tells one load from another: which landed a key first is their order, not what they hold."""

FROM_FILES = """
sources:
  cars_files: {type: files, path: data/cars.ndjson}
  customers_files: {type: files, path: data/customers.ndjson}
  subscriptions_files: {type: files, path: data/subscriptions.ndjson}
streams:
  cars: {from: cars_files}
  customers: {from: customers_files}
  subscriptions: {from: subscriptions_files}
"""
"""An environment of the tests' own: the same streams, from files."""


class CarProject:
    """A copy of the example: on DuckDB, or in its environment ``production`` on the PostgreSQL named."""

    def __init__(self, folder: Path, *, api: str = "http://127.0.0.1:9", postgres: str | None = None) -> None:
        self.folder = folder
        if not folder.exists():
            shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".penstock", "*.duckdb*", "target", "logs"))
        self.environ = {"CARS_API": api, "PENSTOCK_PII_KEY_V1": "only the tests' own key"}
        if postgres is not None:
            address = urlsplit(postgres)
            self.environ |= {
                "PENSTOCK_ENV": "production",
                "PGHOST": str(address.hostname),
                "PGPORT": str(address.port),
                "PGUSER": "postgres",
                "PGPASSWORD": "not-a-secret",
                "PGDATABASE": address.path.lstrip("/"),
            }

    def put(self, lines: Mapping[str, bytes]) -> None:
        """From now on, load from files with these lines instead of the API."""
        (self.folder / "data").mkdir(exist_ok=True)
        for name, text in lines.items():
            (self.folder / "data" / f"{name}.ndjson").write_bytes(text)
        (self.folder / "penstock.files.yml").write_text(FROM_FILES)
        self.environ["PENSTOCK_ENV"] = "files"

    def settings(self) -> Project:
        """The settings as loaded."""
        return load_project(self.folder, environ=self.environ)

    def run(self, *, full_refresh: bool = False, models: bool = True) -> tuple[list[Landed], Built]:
        """Load all streams, then build and test the models; as ``penstock run`` does."""
        project = self.settings()
        with Session(project) as session:
            landed = [session.load(step) for step in plan_loads(project)]
            built = Transformer(session).run(full_refresh=full_refresh) if models else Built()
        return landed, built

    def rows(self, sql: str) -> list[Row]:
        """Rows of a query."""
        with Session(self.settings()) as session:
            return [tuple(row) for row in session.destination.query(sql).rows]

    def marts(self) -> dict[str, list[Row]]:
        """Each mart's rows, sorted."""
        names = Company((), (), ()).marts()
        with Session(self.settings()) as session:
            return {name: plain(session.destination.query(f"select * from marts.{name}").rows) for name in names}

    def tables(self) -> dict[str, list[str]]:
        """Every raw, core and mart table → its rows as text, in one order, without what tells loads apart."""
        found = {}
        with Session(self.settings()) as session:
            names = session.destination.query(
                "select table_schema, table_name from information_schema.tables"
                f" where table_schema in ({', '.join(repr(s) for s in LAYERS)})"
            ).rows
            for schema, name in names:
                if name.endswith("__delta"):
                    continue
                answer = session.destination.query(f'select * from {schema}."{name}"')
                kept = [i for i, c in enumerate(answer.columns) if c not in LOAD_COLUMNS]
                rows = [repr([(answer.columns[i], _text(row[i])) for i in kept]) for row in answer.rows]
                found[f"{schema}.{name}"] = sorted(rows)
        return found


def expected(*served: Mapping[str, bytes]) -> dict[str, list[Row]]:
    """The marts of all records served, calculated in Python."""
    every = {name: [r for lines in served for r in parsed(lines[name])] for name in STREAMS}
    return Company(every["cars"], every["customers"], every["subscriptions"]).marts()


def _text(value: Any) -> Any:
    """One text for a value of either engine."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).isoformat()
    if isinstance(value, dict) or (isinstance(value, str) and value.startswith("{")):
        return json.dumps(json.loads(value) if isinstance(value, str) else value, sort_keys=True)
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value.normalize() if isinstance(value, Decimal) else value)
