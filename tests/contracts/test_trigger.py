"""The trigger: models follow loads through failures, closed connections and columns that must grow."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.land.session import Session
from penstock.project import Project, load_project
from penstock.transform.perform import Transformer
from penstock.up import trigger as trigger_module
from tests.support.example import copied, without_tests
from tests.support.fixtures import slow_on_postgres
from tests.support.queues import until
from tests.support.triggered import load, triggered, users


@pytest.fixture(params=["duckdb", "postgres"])
def tested(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """The example, in a folder of its own."""
    return load_project(copied(tmp_path, address(request)))


@pytest.fixture(params=["duckdb", "postgres"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """The same, without what dbt would test."""
    directory = copied(tmp_path, address(request))
    without_tests(directory)
    return load_project(directory)


def address(request: pytest.FixtureRequest) -> str | None:
    """That of the database, where the fixture's parameter says that there is one."""
    return str(request.getfixturevalue("postgres_url")) if request.param == "postgres" else None


def test_a_column_that_must_grow(project: Project) -> None:
    """A text that its `varchar` column has no room for: a prepared step does not widen it, and dbt after it does."""
    model = project.directory / "models" / "reports" / "seen.sql"
    (project.directory / "macros" / "replacing.sql").write_text(
        "{% macro get_incremental_replacing_sql(arg_dict) -%}\n"
        "{{- return(penstock.replacing_sql(arg_dict)) -}}\n{%- endmacro %}\n"
    )
    model.write_text(
        "{{ config(materialized='incremental', incremental_strategy='replacing', unique_key=['user_id'],"
        " post_hook='{{ penstock.mark() }}') }}\n"
        "{% set window = penstock.window() %}\n{{ penstock.takes_in(window) }}\n"
        "with seen as (select user_id, cast(max(username) as varchar("
        "{{ 80 if is_incremental() else 40 }})) as username from {{ ref('stg_user_events') }}\n"
        "where user_id is not null and {{ penstock.landed_in('user_events', window) }} group by 1)\n"
        "{{ penstock.scoped('seen', 'seen', 'user_id') }}\n"
    )
    with Session(project) as session:
        load(project, session)
        with triggered(project) as trigger:
            until(lambda: trigger.builds == 1, lambda: trigger.last_error)
            for receipt in load(project, session, "t" * 60):
                trigger.landed(receipt)
            until(lambda: trigger.builds == 2, lambda: trigger.last_error)
            assert session.destination.query("select max(length(username)) from reports.seen").rows == [(60,)]


@slow_on_postgres("project")
def test_a_broken_model(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that fails rests, however long, until something lands, here or elsewhere, or models change."""
    monkeypatch.setattr(trigger_module, "FIRST_BACKOFF_SECONDS", 3_600.0)
    monkeypatch.setattr(trigger_module, "LAST_BACKOFF_SECONDS", 3_600.0)
    monkeypatch.setattr(trigger_module, "NEWS_SHARE", 0.0)
    model = project.directory / "models" / "reports" / "broken.sql"
    model.write_text("select nothing_of_that_name from {{ ref('stg_user_events') }}\n")
    with Session(project) as session:
        load(project, session)
        with triggered(project) as trigger:
            until(lambda: trigger.failures == 1, lambda: trigger.last_error)
            run = session.destination.query(
                "select status from penstock.runs where run_id = $1", [trigger.failed_run]
            ).rows
            assert run == [("error",)]
            load(project, session, "t1")
            until(lambda: trigger.failures == 2, lambda: trigger.last_error)
            for receipt in load(project, session, "t2"):
                trigger.landed(receipt)
            until(lambda: trigger.failures >= 3, lambda: trigger.last_error)
            assert trigger.builds == 0
            model.unlink()
            until(lambda: trigger.builds == 1 and not trigger.last_error, lambda: trigger.last_error)
            assert trigger.failures <= 4 and users(session, "t") == 2


@pytest.mark.parametrize("project", ["postgres"], indirect=True)
def test_connections_that_the_server_closed(project: Project) -> None:
    """Connections kept between builds are closed by the server: the next build opens others, and does not fail."""
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
def test_tests_are_not_repeated_after_many_builds(tested: Project) -> None:
    """However many builds followed loads since, tests come again only when they are older than they may be."""
    with Session(tested) as session:
        load(tested, session)
        transformer = Transformer(session, following=True)
        assert transformer.run().count("test") > 0
        session.destination.query(
            "insert into penstock.runs (run_id, kind, started_at, ended_at, status, upper_seq, fingerprint, whole)"
            " select 10000 + n, kind, started_at, ended_at, status, upper_seq, fingerprint, false"
            " from penstock.runs, generate_series(1, 1500) as s(n)"
        )
        load(tested, session, "t1")
        built = transformer.run()
        assert built.count("test") == 0 and built.count("model") > 0
        transformer.close()
