"""Which columns of models hold personal data, and which tell whom a row is about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock.ports import Rows
from penstock.privacy.masking import masked_rows
from penstock.privacy.personal_columns import hidden_columns, subject_columns, tagged_names
from penstock.project import Project, load_project
from penstock.transform.manifest import Relation

PROJECT = """
name: p
destinations: {local: {type: duckdb, path: w.duckdb}}
sources: {files: {type: files, path: data/**}}
streams:
  people: {from: files, pii: [email, Home Address]}
  cars: {from: files}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """One with a stream of personal data and one without."""
    (tmp_path / "penstock.yml").write_text(PROJECT)
    return load_project(tmp_path)


def relation(streams: frozenset[str], meta: dict[str, Any] | None = None, **columns: dict[str, Any]) -> Relation:
    """A model of these streams."""
    return Relation(name="m", schema="s", table="m", kind="table", streams=streams, meta=meta or {}, columns=columns)


@pytest.mark.parametrize(
    ("model", "hidden"),
    [
        (relation(frozenset({"people"})), ["email", "EMAIL__text", "home_address", "_pen_rescued"]),
        (relation(frozenset({"cars"})), []),
        (relation(frozenset({"cars"}), email={"pii": True}), ["email"]),
        (relation(frozenset({"people"}), email={"pii": False}), ["EMAIL__text", "home_address", "_pen_rescued"]),
        (relation(frozenset({"people"}), email={}), ["email", "EMAIL__text", "home_address", "_pen_rescued"]),
        (relation(frozenset({"cars"}), {"pii": True}), None),
    ],
)
def test_hidden(project: Project, model: Relation, hidden: list[str] | None) -> None:
    """By the names of the fields of streams that the model reads, unless it says otherwise."""
    columns = ["id", "email", "EMAIL__text", "email_pseudonym", "home_address", "_pen_rescued"]
    assert hidden_columns(project, model, columns) == (columns if hidden is None else hidden)


def test_subjects() -> None:
    """A column has one mark or several, each of a kind."""
    marks = {"a": "customer", "b": "customer.key", "c": ["car", "customer.old"]}
    model = relation(frozenset(), d={}, **{name: {"subject": mark} for name, mark in marks.items()})
    assert subject_columns(model, "customer") == {"a": "customer", "b": "customer.key", "c": "customer.old"}
    assert subject_columns(model, "car") == {"c": "car"}
    assert subject_columns(model, "cust") == {}


def test_masks(project: Project) -> None:
    """Names in YAML files count, wherever these lie and whatever else is in them; broken files do not matter."""
    models = project.directory / "models" / "deep"
    models.mkdir(parents=True)
    (models / "a.yml").write_text("models: [{name: m, columns: [{name: Mail, meta: {pii: true}}, {name: city}, 7]}, 3]")
    (models / "b.yaml").write_text("snapshots: [{name: s, config: {meta: {pii: true}}, columns: [{name: whole}]}]")
    (models / "c.yml").write_text("models: {broken: [")
    (models / "d.yml").write_text("[1, 2]")
    assert tagged_names(project) == {"mail", "whole"}
    rows = Rows(columns=["mail", "WHOLE", "city", "email", "body"], rows=[["a", None, "b", "c", "d"]])
    assert list(masked_rows(project, rows, "select 1").rows) == [("*****", None, "b", "*****", "d")]
    (row,) = masked_rows(project, rows, "from penstock.QUARANTINE").rows
    assert row[4] == "*****"
