"""A warehouse with hand-made raw tables and ledger, and dbt kept warm over it.

What Penstock's landing promises to models is written here a second time, in a few statements of SQL, so that the
models are tested against the promise and not against the code that keeps it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from types import MappingProxyType
from typing import Any

import duckdb
import psycopg
import yaml

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "user_events"
PACKAGE = ROOT / "src" / "penstock" / "dbt"

EVENT_COLUMNS = (
    "id",
    "event_type",
    "username",
    "user_email",
    "user_type",
    "organization_name",
    "plan_name",
    "received_at",
)
ORGANIZATION_COLUMNS = ("organization_key", "organization_name", "created_at")

TABLES = (
    "historical.user_event",
    "historical.user_event_day",
    "snapshots.user_snapshot",
    "dimensional.dim_user",
    "dimensional.dim_organization",
    "dimensional.dim_date",
    "dimensional.user_changes_daily",
    "dimensional.fct_user_daily",
    "crm.users_dim",
    "reports.int_user_events_by_date",
    "reports.int_user_events_by_user_type",
    "reports.int_user_events_by_organization",
    "reports.user_events_daily",
    "reports.events_by_date",
    "reports.events_by_organization",
    "reports.events_by_user_type",
)

RAW = """
create schema if not exists penstock;
create schema if not exists raw;
create table penstock.runs (kind text, status text, upper_seq bigint, selected boolean, layer text);
create table penstock.loads (
  load_id bigint primary key, seq bigint not null unique, stream text, source text, read bigint, landed bigint,
  duplicates bigint, quarantined bigint, bytes bigint, started_at timestamp with time zone,
  committed_at timestamp with time zone
);
create table penstock.watermarks (
  model text primary key, seq bigint not null, updated_at timestamp with time zone not null
);
create table penstock.streams (stream text primary key, identity text, disposition text);
insert into penstock.streams values
  ('user_events', 'content', 'append'), ('organizations', '["organization_key"]', 'merge');
create table raw.user_events (
  id text, event_type text, username text, user_email text, user_type text, organization_name text, plan_name text,
  received_at timestamp, _pen_id uuid unique, _pen_load bigint, _pen_loaded_at timestamp with time zone,
  _pen_origin text, _pen_rescued json
);
create table raw.organizations (
  organization_key text, organization_name text, created_at timestamp, _pen_id uuid unique, _pen_load bigint,
  _pen_loaded_at timestamp with time zone, _pen_origin text, _pen_rescued json
);
"""

Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltTable:
    """A model that keeps rows of its own, and the table that it is."""

    name: str
    relation: str


class Warehouse:
    """One database, one copy of a dbt project, one warm dbt."""

    def __init__(self, home: Path, output: dict[str, Any], project: Path = EXAMPLE) -> None:
        self.home = home
        self.output = output
        self.engine: str = output["type"]
        if not home.exists():
            ignored = shutil.ignore_patterns(".penstock", "data")
            shutil.copytree(project, home, ignore=ignored)
        packages = home / ".penstock" / "dbt_packages"
        packages.mkdir(parents=True, exist_ok=True)
        if not (packages / "penstock").exists():
            (packages / "penstock").symlink_to(PACKAGE)
        profile = {"penstock": {"target": "it", "outputs": {"it": output}}}
        (home / ".penstock" / "profiles.yml").write_text(yaml.safe_dump(profile))
        self._manifest: Any = None
        self._results: list[Any] = []
        self._seq = 0

    # -- the database

    @contextmanager
    def connected(self) -> Iterator[Any]:
        """A connection that commits at the end."""
        if self.engine == "duckdb":
            with duckdb.connect(self.output["path"]) as embedded:
                yield embedded
        else:
            with psycopg.connect(
                host=self.output["host"],
                port=self.output["port"],
                user=self.output["user"],
                dbname=self.output["dbname"],
                password=self.output.get("password", ""),
                client_encoding="utf8",
            ) as connection:
                yield connection

    def execute(self, sql: str) -> None:
        """Run statements that return nothing."""
        with self.connected() as connection:
            connection.execute(sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Every row of a query."""
        with self.connected() as connection:
            found: list[tuple[Any, ...]] = connection.execute(sql).fetchall()
            return found

    def insert(self, cursor: Any, into: str, rows: Sequence[Sequence[Any]], conflict: str = "") -> None:
        """Insert rows, many in a statement: DuckDB takes ten times as long for one at a time."""
        mark = "?" if self.engine == "duckdb" else "%s"
        for at in range(0, len(rows), 200):
            part = rows[at : at + 200]
            values = ", ".join([f"({', '.join([mark] * len(part[0]))})"] * len(part))
            cursor.execute(f"insert into {into} values {values}{conflict}", [v for row in part for v in row])

    def reset(self) -> None:
        """An empty ledger, empty raw tables and no models."""
        schemas = [
            "staging",
            "historical",
            "snapshots",
            "dimensional",
            "crm",
            "reports",
            "probe",
            "vault",
            "modes",
            "modes__b",
            "dbt_test__audit",
            "raw",
            "penstock",
            "penstock_changes",
        ]
        self.close()
        self.execute(";".join(f"drop schema if exists {name} cascade" for name in schemas))
        self.execute(RAW if self.engine == "duckdb" else RAW.replace("json", "jsonb"))
        if self.engine == "postgres":
            self.execute("create index on raw.user_events (_pen_load);create index on raw.organizations (_pen_load)")
        self._seq = 0

    # -- landing, as Penstock promises it

    def land(
        self, events: Iterable[Record] = (), organizations: Iterable[Record] = (), load_id: int | None = None
    ) -> int:
        """Land records in one load a stream, each once; give the last ``seq``. The load ids begin at ``load_id``."""
        for stream, columns, records in (
            ("user_events", EVENT_COLUMNS, list(events)),
            ("organizations", ORGANIZATION_COLUMNS, list(organizations)),
        ):
            if records:
                self._seq += 1
                self._land(stream, columns, records, (load_id or 1000) + self._seq)
        return self._seq

    def _land(self, stream: str, columns: Sequence[str], records: list[Record], load_id: int) -> None:
        rows: dict[str, tuple[Any, ...]] = {}
        for record in records:
            values = tuple(record.get(column) for column in columns)
            identity = json.dumps(values if stream == "user_events" else values[0], default=str)
            rows.setdefault(hashlib.md5(identity.encode()).hexdigest(), values)
        if stream == "user_events":
            conflict = " on conflict (_pen_id) do nothing"
        else:
            conflict = (
                " on conflict (_pen_id) do update set organization_name = excluded.organization_name,"
                " created_at = excluded.created_at, _pen_load = excluded._pen_load"
                " where excluded.created_at > organizations.created_at"
            )
        with self.connected() as connection:
            cursor = connection.cursor()
            cursor.execute("begin")
            into = f"raw.{stream} ({', '.join(columns)}, _pen_id, _pen_load)"
            self.insert(cursor, into, [(*values, key, load_id) for key, values in rows.items()], conflict)
            cursor.execute(
                "insert into penstock.loads (load_id, seq, stream, read, landed)"
                f" values ({load_id}, {self._seq}, '{stream}', {len(records)}, {len(rows)})"
            )
            cursor.execute("commit")

    # -- dbt

    def dbt(
        self,
        *arguments: str,
        upto: int | None = None,
        fails: bool = False,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> dict[str, str]:
        """Run dbt warm; give each node's status. ``upto`` fixes the upper ``seq`` as a transform run does. No model is
        unsafe unless ``environment`` says so."""
        from dbt.cli.main import dbtRunner

        environment = {"PENSTOCK_UNSAFE_MODELS": "{}", **environment}

        where = ["--project-dir", str(self.home), "--profiles-dir", str(self.home / ".penstock")]
        quiet = ["--quiet", "--log-level-file", "none", "--no-use-colors", "--no-send-anonymous-usage-stats"]
        if upto is None:
            os.environ.pop("PENSTOCK_UPPER_SEQ", None)
        else:
            os.environ["PENSTOCK_UPPER_SEQ"] = str(upto)
        threads = "1" if self.engine == "duckdb" else "4"
        os.environ.update(environment)
        try:
            self.parsed()
            runner = dbtRunner(manifest=self._manifest)
            done = runner.invoke([*quiet, "--no-write-json", *arguments, *where, "--threads", threads])
        finally:
            for name in ("PENSTOCK_UPPER_SEQ", *environment):
                os.environ.pop(name, None)
            self.close()
        if done.exception:
            raise done.exception
        self._results = list(done.result)
        results = {result.node.name: str(result.status) for result in done.result}
        messages = [f"{r.node.name}: {r.message}" for r in done.result if r.status in ("error", "fail")]
        assert done.success is not fails, messages
        return results

    def compiled(self, names: Sequence[str]) -> dict[str, str]:
        """The SQL of models, by their names."""
        self.dbt("compile", "--select", *names)
        return {result.node.name: result.node.compiled_code for result in self._results}

    def restart(self) -> None:
        """Have loads be numbered from the first one again."""
        self._seq = 0

    def parsed(self) -> Any:
        """dbt's manifest of the project, parsed at first use."""
        from dbt.cli.main import dbtRunner

        if self._manifest is None:
            where = ["--project-dir", str(self.home), "--profiles-dir", str(self.home / ".penstock")]
            quiet = ["--quiet", "--log-level-file", "none", "--no-use-colors", "--no-send-anonymous-usage-stats"]
            parsed = dbtRunner().invoke([*quiet, "parse", *where])
            assert parsed.success, parsed.exception
            self._manifest = parsed.result
        return self._manifest

    @contextmanager
    def with_package(self, package: Path) -> Iterator[None]:
        """Have the project use another copy of the package for the block."""
        self._link(package)
        try:
            yield
        finally:
            self._link(PACKAGE)

    def _link(self, package: Path) -> None:
        link = self.home / ".penstock" / "dbt_packages" / "penstock"
        link.unlink()
        link.symlink_to(package)
        self.forget()

    def forget(self) -> None:
        """Have dbt read the project again: a file of it was changed."""
        self._manifest = None

    def tables(self) -> list[BuiltTable]:
        """The models that keep rows of their own, each after those that it reads."""
        nodes = {id_: node for id_, node in self.parsed().nodes.items() if str(node.resource_type) == "model"}
        graph = {id_: [above for above in node.depends_on.nodes if above in nodes] for id_, node in nodes.items()}
        return [
            BuiltTable(name=nodes[id_].name, relation=f"{nodes[id_].schema}.{nodes[id_].alias}")
            for id_ in TopologicalSorter(graph).static_order()
            if nodes[id_].config.materialized not in ("view", "ephemeral")
        ]

    def exists(self, relation: str) -> bool:
        """Whether there is such a table, ``schema.table``."""
        schema, _, table = relation.partition(".")
        where = f"table_schema = '{schema}' and table_name = '{table}'"
        return bool(self.rows(f"select 1 from information_schema.tables where {where}"))

    def feeds(self) -> list[str]:
        """The tables of changes that models keep for each other."""
        schema = "penstock_changes"
        rows = self.rows(f"select table_name from information_schema.tables where table_schema = '{schema}' order by 1")
        return [f"{schema}.{name}" for (name,) in rows if name != "models"]

    def close(self) -> None:
        """Let go of DuckDB's file, which dbt otherwise keeps."""
        if self.engine == "duckdb":
            from dbt.adapters.duckdb.connections import DuckDBConnectionManager

            DuckDBConnectionManager.close_all_connections()

    # -- comparing

    def content(self, tables: Iterable[str] = TABLES) -> dict[str, list[tuple[str, ...]]]:
        """Every row of every table as text, sorted: equal for equal tables, on whichever engine."""
        with self.connected() as connection:
            contents = {table: connection.execute(f"select * from {table}").fetchall() for table in tables}
        return {table: _as_text(rows) for table, rows in contents.items()}

    def text_rows(self, sql: str) -> list[tuple[str, ...]]:
        """The rows of a query as text, sorted."""
        return _as_text(self.rows(sql))

    def written(self, tables: Iterable[str] = TABLES) -> dict[str, list[Any]]:
        """What changes when a row is written again, equal content or not."""
        mark = "rowid" if self.engine == "duckdb" else "ctid::text || xmin::text"
        with self.connected() as connection:
            return {table: connection.execute(f"select {mark} from {table} order by 1").fetchall() for table in tables}

    def indexes(self, *schemas: str) -> dict[str, list[str]]:
        """Of each table of some schemas, the columns of its indexes; PostgreSQL alone has any."""
        wanted = ", ".join(f"'{schema}'" for schema in schemas)
        found = self.rows(
            "select tablename, substring(indexdef from '[(](.*)[)]') as columns from pg_indexes"
            f" where schemaname in ({wanted}) order by columns"
        )
        columns: dict[str, list[str]] = {}
        for table, indexed in found:
            columns.setdefault(table, []).append(indexed)
        return columns


def _as_text(rows: Iterable[tuple[Any, ...]]) -> list[tuple[str, ...]]:
    return sorted(tuple(map(str, row)) for row in rows)
