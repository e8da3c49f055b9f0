"""A project with two destinations: Iceberg tables, whose models Spark builds step by step, and a DuckDB beside them."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from penstock import load_project
from penstock.copying.perform import Copied, copy
from penstock.land.session import Session
from penstock.runs.plan import plan_loads
from penstock.testing.spark import spark_jars
from penstock.transform.perform import Transformer
from tests.support.car_project import EXAMPLE
from tests.support.example import ROOT, copied, without_tests
from tests.support.invoked import command

DIFFERENT = ("_pen_load", "_pen_loaded_at", "_pen_origin", "load_date")
"""Columns that two landings of the same records may give other values."""
Record = Mapping[str, Any]
QUICK = {
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
"""A session that compiles as little as can be: here each statement is a new one, and sees some hundred rows."""
_LOCAL = {"master": "local[2]", "conf": QUICK}


def user_events(folder: Path) -> Path:
    """The example of user events, without its data and its tests."""
    project = copied(folder)
    shutil.rmtree(project / "data")
    without_tests(project)
    return project


def every_mode(folder: Path) -> Path:
    """Models of every mode, over the streams of that example."""
    project = user_events(folder)
    for part in (project / "models").iterdir():
        if part.is_dir():
            shutil.rmtree(part)
    modes = ROOT / "tests" / "dbt" / "modes" / "models"
    shutil.copytree(modes, project / "models" / "modes", ignore=shutil.ignore_patterns("*.yml"))
    schema = {"modes": {"+schema": "modes"}}
    edit(project / "dbt_project.yml", lambda settings: settings["models"]["user_events"].update(schema))
    return project


def random_users(folder: Path) -> Path:
    """The example of random users, fed by files in place of its API."""
    project = folder / "project"
    residue = shutil.ignore_patterns(".penstock", "*.duckdb*", "lake")
    shutil.copytree(ROOT / "examples" / "random_users", project, ignore=residue)

    def fed_by_files(settings: dict[str, Any]) -> None:
        settings["sources"] = {"generator": {"type": "files", "path": "data/users/**"}}
        del settings["lake"], settings["streams"]["users"]["land"]

    edit(project / "penstock.yml", fed_by_files)
    return project


def car_subscriptions(folder: Path) -> Path:
    """The example of car subscriptions, fed by files in place of its API, without its tests."""
    project = folder / "project"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns(".penstock", "*.duckdb*", "target", "logs"))
    without_tests(project)

    def fed_by_files(settings: dict[str, Any]) -> None:
        settings["destinations"] = {"local": settings["destinations"]["warehouse"]}
        settings["sources"] = {name: {"type": "files", "path": f"data/{name}/**"} for name in settings["streams"]}
        for name, stream in settings["streams"].items():
            stream["from"] = name

    edit(project / "penstock.yml", fed_by_files)
    return project


def vault(folder: Path) -> Path:
    """Its vault of customers alone: a table of each kind."""
    project = car_subscriptions(folder)
    shutil.rmtree(project / "models" / "marts")
    kept = ("hub_customer", "link_subscription", "sat_customer", "sat_customer_pii", "int_months", "pit_customer")
    for model in (project / "models" / "core").glob("*.sql"):
        if model.stem not in kept:
            model.unlink()
    return project


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what a file of YAML says."""
    settings = yaml.safe_load(path.read_text())
    change(settings)
    path.write_text(json.dumps(settings))


class Both:
    """A project whose destination ``local`` is a DuckDB, with another one, ``lake``. The DuckDB is a copy's, as dbt's
    profile beside a project has one target. ``more`` are settings of the lake in place of a folder's."""

    def __init__(self, project: Path, postgres_url: str, more: Mapping[str, Any] | None = None) -> None:
        self.folder = project
        edit(project / "penstock.yml", lambda settings: self._add_lake(settings, postgres_url, more or {}))
        self._beside = Path(shutil.copytree(project, project.parent / "beside"))
        self._files = 0
        self.lake = Session(load_project(self.folder, target="lake"))
        self.models = Transformer(self.lake)

    def _add_lake(self, settings: dict[str, Any], postgres_url: str, more: Mapping[str, Any]) -> None:
        settings["destinations"] = {
            "local": settings["destinations"]["local"],
            "books": {"type": "postgres", "url": postgres_url},
            "lake": {
                "type": "spark",
                "ledger": "books",
                "warehouse": "lake",
                "spark": {**_LOCAL, "jars": spark_jars()},
                **more,
            },
        }

    def land(self, records: Mapping[str, Sequence[Record]], *, lake: bool = True) -> None:
        """Have the records of each stream land in both; without ``lake``, in the DuckDB alone."""
        written = {stream: rows for stream, rows in records.items() if rows}
        for stream, rows in written.items():
            self.receive(stream, rows)
        self.load(*written, lake=lake)

    def receive(self, stream: str, rows: Sequence[Record]) -> None:
        """Have records arrive in both projects."""
        self._files += 1
        for folder in (self.folder, self._beside):
            path = folder / "data" / stream / f"{self._files:03}.ndjson"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(row, default=str) + "\n" for row in rows))

    def load(self, *streams: str, lake: bool = True) -> None:
        """Have what arrived land in both; without ``lake``, in the DuckDB alone."""
        with Session(load_project(self._beside, target="local")) as local:
            for session in (self.lake, local) if lake else (local,):
                for step in plan_loads(session.project, sorted(streams)):
                    session.load(step)

    def write(self, file: Path, text: str) -> None:
        """Have both projects have a file."""
        for folder in (self.folder, self._beside):
            (folder / file).write_text(text)

    def copy(self) -> Copied:
        """Copy what the DuckDB holds into the lake."""
        return copy(load_project(self._beside, target="local"), self.lake.project)

    def expect_same(self, *, raw: bool = True) -> None:
        """The tables of the lake hold what the DuckDB holds whose models are built anew; without ``raw``, models do."""
        with Session(load_project(self._beside, target="local")) as local:
            Transformer(local).run(full_refresh=True)
            kept = {table: (rows_of(self.lake, table), rows_of(local, table)) for table in tables(local, raw=raw)}
        different = {table: {"here": here - there, "there": there - here} for table, (here, there) in kept.items()}
        assert {table: rows for table, rows in different.items() if any(rows.values())} == {}

    def snapshots(self) -> dict[str, int]:
        """The current snapshot of each table."""
        catalog = self.lake.destination.catalog  # type: ignore[attr-defined]
        names = [name for schema in catalog.list_namespaces() for name in catalog.list_tables(schema)]
        return {".".join(name): catalog.load_table(name).metadata.current_snapshot_id for name in names}

    def written(self) -> dict[str, int]:
        """How many snapshots were made of each table."""
        catalog = self.lake.destination.catalog  # type: ignore[attr-defined]
        return {name: len(catalog.load_table(name).metadata.snapshots) for name in self.snapshots()}

    def expect_same_answers(self) -> None:
        """The questions of the project are all answered, and alike."""
        here, there = answers(self.folder, "lake"), answers(self._beside, "local")
        assert here == there
        assert here
        assert [answer["name"] for answer in here if answer["problem"] or not answer["rows"]] == []
        page = self.folder / "report.html"
        assert command(self.folder, "report", "--target", "lake", "--output", str(page)).code == 0
        assert page.stat().st_size > 0

    def content(self) -> dict[str, Counter[str]]:
        """The rows of each table of the lake, with the loads that they came by."""
        return {table: rows_of(self.lake, table, ()) for table in self.snapshots()}

    def kept(self) -> dict[str, list[tuple[Any, ...]]]:
        """What the ledger knows of models."""
        return {
            table: self.ledger(f"select * from {table}") for table in ("penstock_lake.models", "penstock.watermarks")
        }

    def forget(self, kept: Mapping[str, list[tuple[Any, ...]]]) -> None:
        """Have the ledger know of models what it did then, and nothing of the last run."""
        for table, rows in kept.items():
            self.ledger(f"delete from {table}")
            for row in rows:
                places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
                self.ledger(f"insert into {table} values ({places})", row)
        last = "select max(run_id) from penstock.runs where kind = 'transform'"
        self.ledger(f"delete from penstock.runs where run_id = ({last})")

    def ledger(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What the ledger's database answers."""
        return [tuple(row) for row in self.lake.destination.ledger.query(sql, parameters).rows]

    def close(self) -> None:
        """Close the lake."""
        self.models.close()
        self.lake.close()


def answers(project: Path, target: str) -> list[dict[str, Any]]:
    """What a project's questions are answered."""
    done = command(project, "ask", "--all", "--json", "--target", target)
    assert done.code == 0, done.err
    found: list[dict[str, Any]] = json.loads(done.out)
    return found


def tables(session: Session, *, raw: bool = True) -> list[str]:
    """Models, but for views, and with ``raw`` raw tables too."""
    others = "', '".join(["penstock", "penstock_changes", *([] if raw else ["raw"])])
    listed = session.destination.query(
        "select table_schema || '.' || table_name from information_schema.tables"
        f" where table_type = 'BASE TABLE' and table_schema not in ('{others}') order by 1"
    )
    return [str(name) for (name,) in listed.rows]


def rows_of(session: Session, table: str, without: Collection[str] = DIFFERENT) -> Counter[str]:
    """The rows of a table as texts, keys too, and how often each is there."""
    rows = session.destination.query(f"select * from {table}")
    places = {name: i for i, name in enumerate(rows.columns) if name not in without}
    return Counter(" ".join(f"{name}={row[places[name]]!s}" for name in sorted(places)) for row in rows.rows)
