"""Models chosen by dbt's selectors: built at once, without counting as a run of all; and the plan is what is done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import UsageError
from penstock.land.session import Session
from penstock.project import load_project
from penstock.runs.plan import plan_loads
from penstock.transform.built import Built
from penstock.transform.perform import Transformer
from tests.support.fixtures import slow_on_postgres
from tests.support.modelled import MODEL, a_modelled_project

TABLE = "{{ config(materialized='table', schema='reports') }} select _pen_load, name from {{ ref('stg_things') }}"
"""A table without a watermark between the stream and a model that has one."""
TESTS = """
models:
  - name: by_name
    columns: [{ name: name, data_tests: [unique, not_null] }]
  - name: by_copy
    columns: [{ name: name, data_tests: [unique] }]
"""
MODELS = ("by_name", "by_other", "by_copy")


@pytest.fixture
def session(warehouse: dict[str, Any], tmp_path: Path) -> Iterator[Session]:
    """Three counts of the same records: two of the view, and one of a table that is a copy of it."""
    directory = a_modelled_project(tmp_path, warehouse)
    models = directory / "models"
    (models / "by_other.sql").write_text(MODEL)
    (models / "copied.sql").write_text(TABLE)
    (models / "by_copy.sql").write_text(MODEL.replace("stg_things", "copied"))
    (models / "tests.yml").write_text(TESTS)
    with Session(load_project(directory)) as opened:
        yield opened


def land(session: Session, name: str) -> None:
    """One more record of this name."""
    (session.project.directory / "data" / f"{name}.ndjson").write_text(json.dumps({"name": name}) + "\n")
    for step in plan_loads(session.project):
        session.load(step)


def rows(session: Session, model: str) -> list[tuple[object, ...]]:
    """What a model holds."""
    return sorted(tuple(row) for row in session.destination.query(f"select name, records from reports.{model}").rows)


def watermarks(session: Session) -> dict[str, int]:
    """Up to which load each model has taken in."""
    return {
        str(model): seq for model, seq in session.destination.query("select model, seq from penstock.watermarks").rows
    }


def built_as_planned(built: Built) -> set[str]:
    """The names of what was built, and nothing else, as the plan has it."""
    assert {step.id for step in built.plan.steps} == {node.id for node in built.nodes if node.kind != "exposure"}
    return {node.name for node in built.nodes if node.kind == "model"}


@pytest.mark.slow
@slow_on_postgres("warehouse")
def test_a_selection_is_no_run_of_all(session: Session) -> None:
    """Only what is selected takes in what is new; the next run builds the rest, and all is as if built anew."""
    transformer = Transformer(session)
    land(session, "first")
    assert built_as_planned(transformer.run()) == {"stg_things", "copied", *MODELS}
    land(session, "b")
    before = watermarks(session)
    selected = transformer.run(select=["by_name"])
    assert built_as_planned(selected) == {"by_name"} and selected.count("test", "pass") == 2
    after = watermarks(session)
    assert after.pop("reports.by_name") > before.pop("reports.by_name") and after == before
    assert [len(rows(session, model)) for model in MODELS] == [2, 1, 1]

    # the copy is older than the newest load: what reads it goes no further, selected or not
    behind = transformer.run(select=["by_copy"])
    assert built_as_planned(behind) == {"by_copy"} and "copied is not selected" in behind.plan.notes[0]
    assert watermarks(session)["reports.by_copy"] == before["reports.by_copy"]

    assert built_as_planned(transformer.run()) == {"stg_things", "copied", *MODELS}
    assert [rows(session, model) for model in MODELS] == [[("b", 1), ("first", 1)]] * 3
    assert transformer.run().reason

    land(session, "c")
    assert built_as_planned(transformer.run(exclude=["by_other", "stg_things"])) == {"copied", "by_name", "by_copy"}
    assert built_as_planned(transformer.run(select=["+by_copy"], full_refresh=True)) == {
        "stg_things", "copied", "by_copy"
    }  # fmt: skip
    built_as_planned(transformer.run())
    step_by_step = [rows(session, model) for model in MODELS]
    built_as_planned(transformer.run(full_refresh=True))
    assert step_by_step == [rows(session, model) for model in MODELS] == [[("b", 1), ("c", 1), ("first", 1)]] * 3


@slow_on_postgres("warehouse")
def test_what_cannot_be_selected(session: Session) -> None:
    """A selector that chooses nothing is an error in dbt's words, in part of a selection a note; and a table that was
    built by no full run has to be selected along with what reads it."""
    transformer = Transformer(session)
    land(session, "first")
    with pytest.raises(UsageError, match="'no_such' does not match any enabled nodes"):
        transformer.run(select=["no_such"])
    with pytest.raises(UsageError, match="reads copied, which is not selected"):
        transformer.run(select=["by_copy"])
    built = transformer.run(select=["+by_copy no_such"])
    assert built_as_planned(built) == {"stg_things", "copied", "by_copy"}
    assert "'no_such' does not match" in built.plan.notes[0]
    assert built_as_planned(transformer.run()) == {"stg_things", "copied", *MODELS}
