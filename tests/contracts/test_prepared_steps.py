"""Steps by prepared statements: the same tables as by dbt, in one transaction each, and dbt where they do not do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import pytest

from penstock.errors import TransformError
from penstock.land.session import Session
from penstock.project import load_project
from penstock.runs.plan import plan_loads
from penstock.transform.built import Built
from penstock.transform.dbt import Dbt
from penstock.transform.explained import explain_transform
from penstock.transform.perform import Transformer
from tests.support.fixtures import slow_on_postgres
from tests.support.modelled import a_modelled_project
from tests.support.servers import a_database, database_of, made_anew

BY_NAME = "select name, records from reports.by_name order by 1"
_files = count()


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Path]]:
    """Things, and a model that counts them by name, landed and built: restores them to what they were then."""
    folder = tmp_path_factory.mktemp("built")
    with ExitStack() as databases:
        server = request.getfixturevalue("postgres_server") if request.param == "postgres" else ""
        url = databases.enter_context(a_database(server)) if server else ""
        warehouse = {"type": "postgres", "url": url} if url else {"type": "duckdb", "path": "warehouse.duckdb"}
        project = a_modelled_project(folder, warehouse)
        with working(project) as (session, transformer):
            (project / "data" / "first.ndjson").unlink()
            land(session, "first")
            transformer.run()
        kept = shutil.copytree(project, folder / "kept", symlinks=True)
        template = databases.enter_context(a_database(server, database_of(url))) if url else ""

        def restore() -> Path:
            shutil.rmtree(project)
            shutil.copytree(kept, project, symlinks=True)
            if url:
                made_anew(server, database_of(url), database_of(template))
            return project

        yield restore


@contextmanager
def working(project: Path) -> Iterator[tuple[Session, Transformer]]:
    """A project at work, whose models follow."""
    with Session(load_project(project)) as session:
        transformer = Transformer(session, following=True)
        yield session, transformer
        transformer.close()


@pytest.fixture
def opened(built: Callable[[], Path]) -> Iterator[tuple[Session, Transformer]]:
    """The project at work: what landed is built, and its steps are prepared."""
    with working(built()) as (session, transformer):
        transformer.run()
        yield session, transformer


def land(session: Session, *names: str) -> None:
    """Land a thing of each name, and what else is new."""
    if names:
        lines = [json.dumps({"id": next(_files), "name": name}) + "\n" for name in names]
        (session.project.directory / "data" / f"more{next(_files)}.ndjson").write_text("".join(lines))
    for step in plan_loads(session.project):
        session.load(step)


def prepared(session: Session) -> set[str]:
    """The models whose steps are prepared."""
    return {model for (model,) in session.destination.query("select model from penstock_changes.models").rows}


@pytest.fixture
def without_dbt(monkeypatch: pytest.MonkeyPatch) -> None:
    """dbt is not to be asked for anything."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("dbt was asked")

    monkeypatch.setattr(Dbt, "_invoke", refuse)


def test_a_step_needs_no_dbt(opened: tuple[Session, Transformer], without_dbt: None) -> None:
    """A step after a load is taken by prepared statements, with its watermark; again is nothing."""
    session, transformer = opened
    assert "reports.by_name" in prepared(session)
    land(session, "first", "second")
    (node,) = transformer.run().nodes
    assert (node.name, node.kind, node.status, node.failed) == ("by_name", "model", "success", False)
    assert session.destination.query(BY_NAME).rows == [("first", 2), ("second", 1)]
    assert not transformer.run().nodes


def test_a_process_that_starts_needs_no_dbt(opened: tuple[Session, Transformer], without_dbt: None) -> None:
    """What one process has prepared, the next one goes by, from its first step on."""
    session, transformer = opened
    transformer.close()
    with Session(session.project) as later:
        other = Transformer(later, following=True)
        other.warm()
        land(later, "second")
        other.run()
        assert later.destination.query(BY_NAME).rows == [("first", 1), ("second", 1)]
        other.close()


def test_an_edited_model_is_prepared_anew(opened: tuple[Session, Transformer]) -> None:
    """After a change of its file dbt builds a model, and its next step is that of the new one."""
    session, transformer = opened
    path = session.project.directory / "models" / "by_name.sql"
    path.write_text(path.read_text().replace("count(*) as bigint)", "10 * count(*) as bigint)"))
    land(session, "second")
    transformer.run()
    land(session, "second")
    (node,) = transformer.run().nodes
    assert node.rows == 1
    assert session.destination.query(BY_NAME).rows == [("first", 10), ("second", 20)]


@slow_on_postgres("built")
def test_a_new_column_is_noticed(opened: tuple[Session, Transformer]) -> None:
    """A field that was not there before reaches the views over its table before the next step."""
    session, transformer = opened
    view = session.project.directory / "models" / "stg_things.sql"
    view.write_text(
        "{{ config(materialized='view', schema='staging') }} select _pen_load, {{ 'coalesce(name, nick)' if 'nick' in"
        " adapter.get_columns_in_relation(source('raw', 'things')) | map(attribute='name') | list else 'name' }}"
        " as name from {{ source('raw', 'things') }}"
    )
    land(session, "second")
    transformer.run()
    (session.project.directory / "data" / "nick.ndjson").write_text('{"id": 1, "nick": "third"}\n')
    land(session, "second")
    transformer.run()
    rows = session.destination.query(BY_NAME).rows
    assert rows == [("first", 1), ("second", 2), ("third", 1)]


@pytest.mark.slow
def test_a_variable_that_a_view_reads(opened: tuple[Session, Transformer], monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that starts with another value has the view ask by that one, before anything is taken in."""
    session, transformer = opened
    view = session.project.directory / "models" / "stg_things.sql"
    view.write_text(
        "{{ config(materialized='view', schema='staging') }} select _pen_load, '{{ env_var('OF_THINGS', 'old') }}'"
        " as name from {{ source('raw', 'things') }}"
    )
    land(session, "first")
    transformer.run()
    assert session.destination.query(BY_NAME).rows[-1][0] == "old"
    transformer.close()
    for value, warm in (("warm", True), ("cold", False)):
        monkeypatch.setenv("OF_THINGS", value)
        with Session(session.project) as later:
            other = Transformer(later, following=True)
            if warm:
                other.warm()
            land(later, "second")
            other.run()
            assert later.destination.query("select distinct name from staging.stg_things").rows == [(value,)]
            other.close()


@pytest.mark.slow
def test_why_a_model_is_built_whole(opened: tuple[Session, Transformer]) -> None:
    """A run says it of what only the warehouse could tell, and so does the plan of the next one."""
    session, transformer = opened
    transformer.close()
    models = session.project.directory / "models"
    (models / "listed.sql").write_text(
        "{{ config(materialized='table', schema='reports') }} select name from {{ ref('stg_things') }} group by 1"
    )
    (models / "of_listed.sql").write_text(
        "{{ config(materialized='penstock', schema='reports', scope='name', unique_key='name') }}"
        " select name from {{ ref('listed') }}"
    )
    note = "of_listed is built whole with each step: which rows of listed changed is not known"
    assert [n.startswith(note) for n in Transformer(session).run().plan.notes] == [True]
    land(session, "second")
    assert [n.startswith(note) for n in explain_transform(session.project, session.destination, ()).notes] == [True]


@pytest.mark.slow
def test_hooks_of_peoples_own(opened: tuple[Session, Transformer]) -> None:
    """A model with a hook, or one that asks something while it is compiled, is built by dbt in each step; so are all
    models of a project that does something at the start of each run of dbt's."""
    session, transformer = opened
    models = session.project.directory / "models"
    text = (models / "by_name.sql").read_text()
    hook = "schema='reports', post_hook='create table if not exists reports.seen as select 1 as one'"
    (models / "hooked.sql").write_text(text.replace("schema='reports'", hook))
    (models / "asking.sql").write_text(text + "{% set now = run_started_at %}")
    land(session, "second")
    transformer.run()
    session.destination.query("drop table reports.seen")
    land(session, "third")
    assert {n.name for n in transformer.run().nodes} == {"by_name", "hooked", "asking"}
    assert session.destination.query("select count(*) from reports.seen").rows == [(1,)]
    same = "select count(*) from reports.by_name a join reports.asking b using (name, records)"
    assert session.destination.query(same).rows == [(3,)]
    settings = session.project.directory / "dbt_project.yml"
    begin = "insert into reports.begun values (1)"
    session.destination.query("create table reports.begun (one integer)")
    settings.write_text(settings.read_text().replace("{name:", f'{{on-run-start: ["{begin}"], name:'))
    for name in ("fourth", "fifth"):
        land(session, name)
        transformer.run()
    assert session.destination.query("select count(*) > 1 from reports.begun").rows == [(True,)]
    assert session.destination.query(same).rows == [(5,)]


@slow_on_postgres("built")
def test_a_failed_model_holds_nobody_back(opened: tuple[Session, Transformer]) -> None:
    """A step that fails is dbt's: where dbt fails too, its error is told, what reads the model is skipped, and the
    other models have taken in what landed. Once it is mended, all of them go on."""
    session, transformer = opened
    models = session.project.directory / "models"
    text = (models / "by_name.sql").read_text()
    once = text.replace("cast(count(*) as bigint)", "cast(case when count(*) > 1 then 'many' else '1' end as bigint)")
    (models / "once.sql").write_text(once)
    (models / "over_once.sql").write_text(text.replace("ref('stg_things')", "ref('once')"))
    land(session, "second")
    transformer.run()
    land(session, "second")
    told: list[Built] = []
    with pytest.raises(TransformError, match="once") as raised:
        transformer.run(ended=told.append)
    statuses = {n.name: n.status for n in told[0].nodes}
    assert statuses == {"by_name": "success", "once": "error", "over_once": "skipped"}
    assert "over_once" in str(raised.value)
    assert session.destination.query(BY_NAME).rows == [("first", 1), ("second", 2)]
    (models / "once.sql").write_text(text)
    transformer.run()
    assert session.destination.query("select * from reports.once order by 1").rows == [("first", 1), ("second", 2)]
    assert session.destination.query("select * from reports.over_once order by 1").rows == [("first", 1), ("second", 1)]


@slow_on_postgres("built")
def test_what_is_read_was_built_anew(opened: tuple[Session, Transformer]) -> None:
    """A step does not follow from another build of what the model reads: dbt takes its place once."""
    session, transformer = opened
    models = session.project.directory / "models"
    text = (models / "by_name.sql").read_text()
    (models / "over.sql").write_text(text.replace("ref('stg_things')", "ref('by_name')"))
    land(session, "second")
    transformer.run()
    session.destination.query("update reports.by_name set name = 'spoilt' where name = 'first'")
    transformer.run(full_refresh=True, select=["by_name"])
    for names in ("second", "third"), ("fourth",):
        land(session, *names)
        transformer.run()
    rows = [("first", 1), ("fourth", 1), ("second", 2), ("third", 1)]
    assert session.destination.query(BY_NAME).rows == rows
    assert session.destination.query("select name, records from reports.over order by 1").rows == [
        (name, 1) for name, _ in rows
    ]


@slow_on_postgres("built")
def test_an_incremental_model(opened: tuple[Session, Transformer], monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that inserts what is new, by the package's strategy and hook, is asked for its step once."""
    session, transformer = opened
    directory = session.project.directory
    (directory / "macros" / "inserting.sql").write_text(
        "{% macro get_incremental_insert_only_sql(arg_dict) %}"
        "{{ return(penstock.insert_only_sql(arg_dict)) }}{% endmacro %}"
    )
    (directory / "models" / "kept.sql").write_text(
        "{{ config(materialized='incremental', incremental_strategy='insert_only', unique_key='name', schema='reports',"
        " indexes=penstock.indexes(['name']), post_hook='{{ penstock.mark() }}') }}\n"
        "{% set window = penstock.window() %}\n{{ penstock.takes_in(window) }}\n"
        "select distinct name from {{ ref('stg_things') }} where {{ penstock.landed_in('things', window) }}\n"
    )
    land(session, "second")
    transformer.run()
    assert {"reports.by_name", "reports.kept"} == prepared(session)
    monkeypatch.setattr(Dbt, "_invoke", None)
    for name in ("second", "third"):
        land(session, name)
        assert {n.name for n in transformer.run().nodes} == {"by_name", "kept"}
    assert session.destination.query("select name from reports.kept order by 1").rows == [
        ("first",),
        ("second",),
        ("third",),
    ]


def test_a_step_that_is_cut_off_is_done_again(opened: tuple[Session, Transformer]) -> None:
    """A step that fails before its watermark has moved leaves nothing behind, and is taken by the next run."""
    session, transformer = opened
    land(session, "first")
    transformer.run()
    land(session, "second")
    session.destination.query("alter table penstock.watermarks rename to hidden")
    session.destination.query("create view penstock.watermarks as select distinct * from penstock.hidden")
    with pytest.raises(TransformError):
        transformer.run()
    assert session.destination.query(BY_NAME).rows == [("first", 2)]
    session.destination.query("drop view penstock.watermarks")
    session.destination.query("alter table penstock.hidden rename to watermarks")
    transformer.run()
    assert session.destination.query(BY_NAME).rows == [("first", 2), ("second", 1)]
