"""The commands of a project whose rows are in Iceberg tables: what there is answers, and what there is not yet says
so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from penstock import Session, load_project
from penstock.destinations.spark.checks import checks
from penstock.destinations.spark.destination import SparkDestination
from penstock.doctor.examine import examine
from penstock.errors import DestinationError, UsageError
from penstock.findings import Finding
from penstock.project import Spark
from penstock.runs.reset import reset
from tests.support import commands
from tests.support.fixtures import spark_settings
from tests.support.warehouse import ledger, table

PROJECT = """
name: shop
target: lake
destinations:
  lake: {{ type: spark, ledger: books, warehouse: lake }}
  books: {{ type: postgres, url: "{url}" }}
sources: {{ files: {{ type: files, path: "*.ndjson" }} }}
streams:
  orders: {{ from: files, event_time: at, columns: {{ n: bigint, at: timestamp }}, contract: reject }}
  people: {{ from: files, identity: [n], subject: {{ person: n }} }}
privacy: {{ keys: {{ k1: "a key of these tests, long enough" }} }}
"""


@pytest.fixture
def project(prepared_postgres_url: str, tmp_path: Path) -> Path:
    """A project that has landed three records, and refused one, in one of its two streams."""
    (tmp_path / "penstock.yml").write_text(PROJECT.format(url=prepared_postgres_url))
    records = [{"n": n, "at": f"2026-01-0{n}"} for n in (1, 2, 3)] + [{"n": "x"}]
    (tmp_path / "a.ndjson").write_text("".join(json.dumps(r) + "\n" for r in records))
    assert commands.Started(tmp_path, "load", "--quiet").wait(120) == 0
    return tmp_path


@pytest.fixture
def session(project: Path) -> Iterator[Session]:
    """The project, open."""
    with Session(load_project(project)) as opened:
        yield opened


def test_questions(session: Session) -> None:
    """Tables, the ledger's tables, and both at once are answered; what there is of tables can be asked for."""
    query = session.destination.query
    assert query("select count(*), max(n) from raw.orders").rows == [(3, 3)]
    assert query("select n from raw.orders o where n > $1 and o.at < timestamp '2026-01-03'", [1]).rows == [(2,)]
    assert query("select stream, landed from penstock.loads order by 1").rows == [("orders", 3), ("people", 4)]
    both = "select l.landed, count(*) from raw.orders o join penstock.loads l on l.load_id = o._pen_load group by 1"
    assert query(both).rows == [(3, 3)]
    there = "select table_schema, table_name from information_schema.tables where table_schema = 'raw' order by 2"
    assert query(there).rows == [("raw", "orders"), ("raw", "people")]
    assert query("with raw as (select 1 as one) select raw.one from raw").rows == [(1,)]


@pytest.mark.parametrize(
    "sql",
    [
        "delete from raw.orders",
        "update raw.orders set n = 1",
        "insert into raw.orders select * from raw.orders",
        "select * from raw.orders; drop table raw.orders",
        "create table raw.mine as select 1",
        "alter table raw.orders add x int",
    ],
)
def test_what_writes_is_refused(session: Session, sql: str) -> None:
    """Nobody takes for done what was done nowhere."""
    with pytest.raises(DestinationError):
        session.destination.query(sql)
    assert session.destination.query("select count(*) from raw.orders").rows == [(3,)]


@pytest.mark.parametrize("sql", ["drop table raw.orders", "drop table if exists raw.orders cascade"])
def test_a_question_drops_nothing(session: Session, sql: str) -> None:
    """What can change nothing drops no table either."""
    with pytest.raises(DestinationError, match="read-only"):
        session.destination.query(sql, read_only=True)
    assert session.destination.query("select count(*) from raw.orders", read_only=True).rows == [(3,)]


def test_a_wrong_question(session: Session) -> None:
    """It is told what is wrong."""
    with pytest.raises(DestinationError, match="nowhere"):
        session.destination.query("select * from raw.nowhere")
    with pytest.raises(DestinationError, match="nothing"):
        session.destination.query("select nothing from raw.orders")


def test_reset(session: Session, project: Path) -> None:
    """A stream starts anew: its table is gone with what is known of it, and lands again whole."""
    rows = table(session.destination, "orders")
    assert reset(session, "orders").rows == 3
    assert not session.destination.query("select 1 from information_schema.tables where table_name = 'orders'").rows
    assert commands.Started(project, "load", "--quiet").wait(120) == 0
    assert table(session.destination, "orders") == rows
    assert ledger(session.destination, "orders")[-1] == (4, 3, 0, 1)


def test_tidy(session: Session, project: Path) -> None:
    """It prints what it did of each table, or would do, as text and as data; a stream that never landed is refused."""
    for n in range(4, 9):
        (project / f"{n}.ndjson").write_text(json.dumps({"n": n, "at": "2026-01-01"}) + "\n")
        assert commands.Started(project, "load", "--quiet").wait(120) == 0
    planned = commands.penstock(project, "tidy", "--dry-run").stdout
    assert "raw.orders: 8 files" in planned and "6 small files would be written together" in planned
    done = json.loads(commands.penstock(project, "tidy", "orders", "--json").stdout)
    assert [(t["table"], t["files_before"], t["files_after"], t["rewritten"]) for t in done] == [
        ("raw.orders", 8, 3, 6)
    ]
    assert "raw.orders: 3 files" in commands.penstock(project, "tidy").stdout
    assert session.destination.query("select count(*) from raw.orders").rows == [(8,)]
    refused = commands.penstock(project, "tidy", "nowhere")
    assert refused.returncode == 2 and "there are: orders, people" in refused.stderr


def test_tidy_elsewhere(tmp_path: Path) -> None:
    """A warehouse that frees its space by itself has nothing to be tidied."""
    (tmp_path / "penstock.yml").write_text(
        "name: shop\ntarget: local\ndestinations: { local: { type: duckdb, path: w.duckdb } }\n"
    )
    refused = commands.penstock(tmp_path, "tidy")
    assert refused.returncode == 2 and "frees space by itself" in refused.stderr


def test_erase(session: Session, project: Path) -> None:
    """A person goes by the command, too, and it says what is gone."""
    done = commands.penstock(project, "erase", "--subject", "person:1", "--yes")
    assert "raw.people: 1 record erased" in done.stdout
    assert "left" not in done.stdout
    assert session.destination.query("select count(*) from raw.people").rows == [(3,)]


def test_doctor(project: Path) -> None:
    """Store, catalog and clock are well, no file is left, and a stream is named whose identities can be anywhere."""
    before = sorted((project / "lake").rglob("*"))
    findings = {f.name: f for f in examine(project, None)}
    assert sorted((project / "lake").rglob("*")) == before
    assert all(f.ok for name, f in findings.items() if name.startswith("destination lake"))
    assert "2 raw tables" in findings["destination lake: catalog"].detail
    assert not findings["destination lake: clock"].warns
    assert findings["destination lake: look-up"].warns
    assert "people" in findings["destination lake: look-up"].detail


def test_doctor_where_nothing_can_be_written(project: Path) -> None:
    """A store that is not there, or not ours, is told."""
    text = (project / "penstock.yml").read_text()
    (project / "penstock.yml").write_text(text.replace("warehouse: lake", "warehouse: a.ndjson/lake"))
    findings = {f.name: f for f in examine(project, None)}
    assert not findings["destination lake: store"].ok


def test_a_database_with_raw_tables_keeps_no_ledger(prepared_postgres_url: str, tmp_path: Path) -> None:
    """The ledger could not tell its tables from the others."""
    with psycopg.connect(prepared_postgres_url, autocommit=True) as connection:
        connection.execute("create table raw.orders (n int)")
    destination = SparkDestination(spark_settings(prepared_postgres_url, tmp_path / "lake"))
    with pytest.raises(UsageError, match="raw tables of its own"):
        destination.prepare()
    destination.close()


def test_made_by_several_at_once(postgres_url: str, tmp_path: Path) -> None:
    """Processes that start at the same time find all made, whichever makes it."""
    destinations = [SparkDestination(spark_settings(postgres_url, tmp_path / "lake")) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        for made in [threads.submit(destination.prepare) for destination in destinations]:
            made.result()
    for destination in destinations:
        assert destination.is_prepared()
        destination.close()


def test_made_once(settings: Spark) -> None:
    """What is missing is made, also after somebody dropped all of it; again is nothing."""
    destination = SparkDestination(settings)
    assert not destination.is_prepared()
    for _ in range(2):
        destination.prepare()
        assert destination.is_prepared()
    destination.query("drop schema penstock cascade")
    assert not destination.is_prepared()
    destination.prepare()
    assert destination.is_prepared()
    destination.close()


def test_what_models_need(project: Path) -> None:
    """Java, and jars that are there, with all that the catalog and the store take among them; a server of Spark's is
    refused, as it is where models are built."""
    (project / "dbt_project.yml").write_text("name: shop\n")
    text = (project / "penstock.yml").read_text()
    (project / "iceberg-spark-runtime.jar").touch()

    def found(spark: str) -> dict[str, Finding]:
        settings = f"warehouse: lake, spark: {{ {spark} }} }}"
        (project / "penstock.yml").write_text(text.replace("warehouse: lake }", settings))
        loaded = load_project(project)
        assert isinstance(loaded.destination, Spark)
        return {f.name: f for f in checks("d", loaded, loaded.destination)}

    assert "openjdk" in found("")["d: java"].detail
    assert found("")["d: jars"].warns
    assert "not there" in found("jars: [nowhere-iceberg.jar]")["d: jars"].detail
    assert "JDBC driver not among" in found("jars: [iceberg-spark-runtime.jar]")["d: jars"].detail
    (project / "postgresql.jar").touch()
    assert not found("jars: [iceberg-spark-runtime.jar, postgresql.jar]")["d: jars"].warns
    packages = '"org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.10.2", "org.postgresql:postgresql:42.7.4"'
    assert not found(f"packages: [{packages}]")["d: jars"].warns
    apart = found(f"packages: [{packages}] }}, catalog: {{ type: glue")
    assert "AWS bundle not among" in apart["d: jars"].detail
    remote = found('remote: "sc://spark.example:15002"')
    assert not remote["d: spark"].ok
    assert "d: java" not in remote
