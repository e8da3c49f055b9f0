"""Settings of a model that are edited between runs: the next run gives what a full refresh gives, layout included."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.land.session import Session
from penstock.project import load_project
from penstock.runs.plan import plan_loads
from penstock.transform.perform import Transformer
from tests.support.fixtures import slow_on_postgres
from tests.support.modelled import a_modelled_project

VIEW = (
    "{{ config(materialized='view', schema='staging') }} select _pen_load, name, part, moment, size,"
    " 'x' as selected from {{ source('raw', 'things') }}"
)
COUNTED = (
    "{{ config(schema='reports', %s) }} select name, part, cast(count(*) as bigint) as"
    " records, cast(sum(cast(size as bigint)) as bigint) as size from {{ ref('stg_things') }} group by name, part"
)
LIVED = (
    "{{ config(materialized='penstock', schema='reports', unique_key=['name', 'valid_from']) }}"
    "{{ penstock.history(ref('stg_things'), 'name', 'moment', ['part'], %s) }}"
)
KEY = "unique_key=['name', 'part']"
EDITS = {
    "another scope": (f"{KEY}, scope='part'", "carried=['size']"),
    "another order of the key": ("unique_key=['part', 'name'], scope='name'", "carried=['size'], carried_from='first'"),
    "a wider key": ("unique_key=['name', 'part', 'records'], scope='name'", "delete_when=\"part = 'x'\""),
    "an index": (f"{KEY}, scope='name', indexes=[{{'columns': ['size']}}]", "carried=[]"),
    "room in pages": (f"{KEY}, scope='name', fillfactor=85", "carried=['size', 'selected']"),
    "an order": (f"{KEY}, scope='name', order_by=['size', 'name', 'part']", "carried=['selected']"),
    "sums": (f"{KEY}, additive=['records', 'size']", "carried=[]"),
    "all of it": (f"{KEY}, scope='name', mode='whole'", "carried=[]"),
}
"""What is edited → the settings of the model of counts, and the arguments of the history."""
FEW = ("a wider key", "an order", "sums")
"""What is edited in ``make test`` too: a key, how rows lie, and how a step is taken."""
COLUMNS = [
    {"name": "name", "data_type": "text"},
    {"name": "part", "data_type": "text"},
    {"name": "records", "data_type": "bigint"},
    {"name": "size", "data_type": "bigint"},
]
CHECKS = """
select 1 from information_schema.table_constraints
where table_schema = 'reports' and table_name = 'counted' and constraint_type = 'CHECK'
    and constraint_name not like '%not_null'
"""
LAYOUT = """
select replace(indexdef, indexname, '') from pg_indexes where schemaname = 'reports'
union all
select relname || coalesce(cast(reloptions as text), '') from pg_class where relname in ('counted', 'lived')
"""


@pytest.fixture
def session(warehouse: dict[str, Any], tmp_path: Path) -> Iterator[Session]:
    """A stream of things, and a view of them."""
    directory = a_modelled_project(tmp_path, warehouse)
    (directory / "data" / "first.ndjson").unlink()
    (directory / "models" / "by_name.sql").unlink()
    (directory / "models" / "stg_things.sql").write_text(VIEW)
    with Session(load_project(directory)) as opened:
        yield opened


def build(
    session: Session, transformer: Transformer, settings: str, history: str, *, number: int, counted: str = COUNTED
) -> None:
    """Have a few more things land, and models with these settings take them in."""
    models = session.project.directory / "models"
    settings = settings if "materialized" in settings else f"{settings}, materialized='penstock'"
    (models / "counted.sql").write_text(counted % settings)
    (models / "lived.sql").write_text(LIVED % history)
    things = [
        {
            "id": f"{number}.{i}",
            "name": "ab"[i % 2],
            "part": "xyz"[(number + i) % 3],
            "moment": f"{2000 + number}",
            "size": i,
        }
        for i in range(5)
    ]
    text = "\n".join(map(json.dumps, things))
    (session.project.directory / "data" / f"{number}.ndjson").write_text(text + "\n")
    for step in plan_loads(session.project):
        session.load(step)
    transformer.run()


def content(session: Session) -> list[Counter[tuple[Any, ...]]]:
    """The rows of both models, and on PostgreSQL how their tables are laid out."""
    asked = ["select * from reports.counted", "select * from reports.lived"]
    asked += [LAYOUT] if session.destination.kind == "postgres" else []
    return [Counter(map(tuple, session.destination.query(sql).rows)) for sql in asked]


def in_order(session: Session) -> list[tuple[Any, ...]]:
    """The rows of the model of counts as they lie in its table."""
    row = "ctid" if session.destination.kind == "postgres" else "rowid"
    return [tuple(each) for each in session.destination.query(f"select * from reports.counted order by {row}").rows]


def builds(session: Session) -> dict[str, str]:
    """Which build each of the models goes on from."""
    query = "select model, version from penstock_changes.models where model in ('reports.counted', 'reports.lived')"
    return {str(model): str(version) for model, version in session.destination.query(query).rows}


@pytest.mark.parametrize(
    ("warehouse", "edits"),
    [
        pytest.param("duckdb", tuple(EDITS), id="duckdb", marks=pytest.mark.slow),
        pytest.param("postgres", tuple(EDITS), id="postgres", marks=pytest.mark.slow),
        pytest.param("postgres", FEW, id="postgres-few"),
    ],
    indirect=["warehouse"],
)
def test_edited_settings(session: Session, edits: tuple[str, ...]) -> None:
    """After each of the edits the tables are what they are when they are built anew."""
    transformer = Transformer(session)
    build(session, transformer, f"{KEY}, scope='name'", "carried=[]", number=0)
    for number, edit in enumerate(edits, 1):
        settings, history = EDITS[edit]
        before = builds(session)
        build(session, transformer, settings, history, number=number)
        assert builds(session)["reports.counted"] != before["reports.counted"], edit
        after, lying = content(session), in_order(session)
        transformer.run(full_refresh=True)
        assert after == content(session), edit
        assert "order_by" not in settings or lying == in_order(session), edit


@pytest.mark.slow
def test_nothing_edited(session: Session) -> None:
    """What lands is taken in by the tables as they are when no setting was edited."""
    transformer = Transformer(session)
    settings, history = EDITS["an index"]
    build(session, transformer, settings, history, number=0)
    before = builds(session)
    build(session, transformer, settings, history, number=1)
    assert builds(session) == before


@slow_on_postgres("warehouse")
def test_edited_after_an_older_version(session: Session) -> None:
    """A build of a version that kept no layout goes on, unless the model is edited with the first run of this one."""
    transformer = Transformer(session)
    settings = f"{KEY}, scope='name'"
    build(session, transformer, settings, "carried=[]", number=0)
    older = "update penstock_changes.models set definition = split_part(definition, ' ', 1)"
    session.destination.query(older)
    before = builds(session)
    build(session, transformer, settings, "carried=[]", number=1)
    assert builds(session) == before
    session.destination.query(older)
    wider = COUNTED.replace("select name", "select 'y' as kind, name")
    build(session, transformer, "unique_key=['kind', 'name', 'part']", "carried=['size']", number=2, counted=wider)
    after = content(session)
    transformer.run(full_refresh=True)
    assert after == content(session)


@pytest.mark.slow
def test_edited_constraints(session: Session) -> None:
    """A constraint of a contract that is edited holds for what was there already."""
    transformer = Transformer(session)
    contract = {"name": "counted", "config": {"contract": {"enforced": True}}, "columns": COLUMNS}
    told = session.project.directory / "models" / "counted.yml"
    told.write_text(json.dumps({"models": [contract]}))
    build(session, transformer, f"{KEY}, scope='name'", "carried=[]", number=0)
    before = builds(session)
    contract["constraints"] = [{"type": "check", "expression": "records > 0"}]
    told.write_text(json.dumps({"models": [contract]}))
    build(session, transformer, f"{KEY}, scope='name'", "carried=[]", number=1)
    assert builds(session)["reports.counted"] != before["reports.counted"]
    assert session.destination.query(CHECKS).rows


@pytest.mark.slow
def test_another_materialization_for_a_while(session: Session) -> None:
    """A model that was a plain table between two runs is built anew when it is built step by step again."""
    transformer = Transformer(session)
    sums = f"{KEY}, additive=['records', 'size']"
    build(session, transformer, sums, "carried=[]", number=0)
    build(session, transformer, f"{sums}, materialized='table'", "carried=[]", number=1)
    build(session, transformer, sums, "carried=[]", number=2)
    after = content(session)
    transformer.run(full_refresh=True)
    assert after == content(session)
