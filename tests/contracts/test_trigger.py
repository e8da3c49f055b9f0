"""The trigger: models follow loads through failures, closed connections and columns that must grow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock.land.session import Session
from penstock.ports import Receipt
from penstock.project import Project, load_project
from penstock.runs.plan import plan_loads
from penstock.transform.perform import Transformer
from penstock.up import trigger as trigger_module
from tests.support.example import copied, without_tests
from tests.support.fixtures import slow_on_postgres
from tests.support.modelled import a_modelled_project
from tests.support.queues import until
from tests.support.scheduled import drop
from tests.support.triggered import load, triggered


@pytest.fixture
def project(warehouse: dict[str, Any], tmp_path: Path) -> Project:
    """A stream and a model, in a folder of their own."""
    return load_project(a_modelled_project(tmp_path, warehouse))


def land(session: Session, *names: str) -> list[Receipt]:
    """Land a file with each of the names, and what else is new."""
    for name in names:
        drop(session.project.directory, name)
    return [receipt for step in plan_loads(session.project) for receipt in session.load(step).receipts]


def test_a_column_that_must_grow(project: Project) -> None:
    """A text that its `varchar` column has no room for: a prepared step does not widen it, and dbt after it does."""
    model = project.directory / "models" / "seen.sql"
    (project.directory / "macros" / "replacing.sql").write_text(
        "{% macro get_incremental_replacing_sql(arg_dict) -%}\n"
        "{{- return(penstock.replacing_sql(arg_dict)) -}}\n{%- endmacro %}\n"
    )
    model.write_text(
        "{{ config(materialized='incremental', incremental_strategy='replacing', unique_key=['name'],"
        " schema='reports', post_hook='{{ penstock.mark() }}') }}\n"
        "{% set window = penstock.window() %}\n{{ penstock.takes_in(window) }}\n"
        "with seen as (select name, cast(max(name) as varchar("
        "{{ 80 if is_incremental() else 40 }})) as latest from {{ ref('stg_things') }}\n"
        "where name is not null and {{ penstock.landed_in('things', window) }} group by 1)\n"
        "{{ penstock.scoped('seen', 'seen', 'name') }}\n"
    )
    with Session(project) as session:
        land(session)
        with triggered(project) as trigger:
            until(lambda: trigger.builds == 1, lambda: trigger.last_error)
            for receipt in land(session, "t" * 60):
                trigger.landed(receipt)
            until(lambda: trigger.builds == 2, lambda: trigger.last_error)
            assert session.destination.query("select max(length(latest)) from reports.seen").rows == [(60,)]


@slow_on_postgres("warehouse")
def test_a_broken_model(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that fails rests, however long, until something lands, here or elsewhere, or models change."""
    monkeypatch.setattr(trigger_module, "FIRST_BACKOFF_SECONDS", 3_600.0)
    monkeypatch.setattr(trigger_module, "LAST_BACKOFF_SECONDS", 3_600.0)
    monkeypatch.setattr(trigger_module, "NEWS_SHARE", 0.0)
    model = project.directory / "models" / "broken.sql"
    model.write_text("select nothing_of_that_name from {{ ref('stg_things') }}\n")
    with Session(project) as session:
        land(session)
        with triggered(project) as trigger:
            until(lambda: trigger.failures == 1, lambda: trigger.last_error)
            run = session.destination.query(
                "select status from penstock.runs where run_id = $1", [trigger.failed_run]
            ).rows
            assert run == [("error",)]
            land(session, "t1")
            until(lambda: trigger.failures == 2, lambda: trigger.last_error)
            for receipt in land(session, "t2"):
                trigger.landed(receipt)
            until(lambda: trigger.failures >= 3, lambda: trigger.last_error)
            assert trigger.builds == 0
            model.unlink()
            until(lambda: trigger.builds == 1 and not trigger.last_error, lambda: trigger.last_error)
            counted = session.destination.query("select name from reports.by_name where name like 't%' order by 1").rows
            assert trigger.failures <= 4 and counted == [("t1",), ("t2",)]


@pytest.mark.slow
def test_connections_that_the_server_closed(tmp_path: Path, postgres_url: str) -> None:
    """Connections kept between builds are closed by the server: the next build opens others, and does not fail."""
    directory = copied(tmp_path, postgres_url)  # of the example, since many models keep many connections
    without_tests(directory)
    project = load_project(directory)
    with Session(project) as session:
        load(project, session)
        own = [pid for (pid,) in session.destination.query("select pid from pg_stat_activity").rows]
        with triggered(project) as trigger:
            until(lambda: trigger.builds == 1, lambda: trigger.last_error)
            for number in range(1, 3):
                for receipt in load(project, session, f"t{number}"):
                    trigger.landed(receipt)
                newest = session.destination.query("select max(seq) from penstock.loads").rows[0][0]
                until(lambda newest=newest: bool(trigger.upper_seq == newest), lambda: trigger.last_error)  # type: ignore[misc]
                closed = session.destination.query(
                    "select count(pg_terminate_backend(pid)) from pg_stat_activity"
                    " where query = 'COMMIT' and not pid = any($1) and datname = current_database()",
                    [own],
                ).rows
                assert closed[0][0] > 0
            assert trigger.failures == 0


@pytest.mark.slow
def test_tests_are_not_repeated_after_many_builds(project: Project) -> None:
    """However many builds followed loads since, tests come again only when they are older than they may be."""
    (project.directory / "models" / "tested.yml").write_text(
        "models: [{name: by_name, columns: [{name: name, data_tests: [unique]}]}]\n"
    )
    with Session(project) as session:
        land(session)
        transformer = Transformer(session, following=True)
        assert transformer.run().count("test") > 0
        session.destination.query(
            "insert into penstock.runs (run_id, kind, started_at, ended_at, status, upper_seq, fingerprint, whole)"
            " select 10000 + n, kind, started_at, ended_at, status, upper_seq, fingerprint, false"
            " from penstock.runs, generate_series(1, 1500) as s(n)"
        )
        land(session, "t1")
        built = transformer.run()
        assert built.count("test") == 0 and built.count("model") > 0
        transformer.close()
