"""``flatten:`` and ``drop:`` in the project file: names by path or flat, and what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import ProjectError
from penstock.land.session import Session
from penstock.layout import Layout
from penstock.project import load_project


def _write(folder: Path, stream: str) -> Path:
    (folder / "penstock.yml").write_text(
        "name: p\ndestinations: {local: {type: duckdb, path: w.duckdb}}\n"
        f"sources: {{s: {{type: files, path: in}}}}\nstreams: {{users: {{from: s, {stream}}}}}\n"
    )
    return folder


def test_fields_are_named_by_path_or_flat(tmp_path: Path) -> None:
    """All settings of a flat stream end up with the flat names."""
    stream = "flatten: true, identity: [login.uuid], drop: [login.salt], columns: {at.lat: 'decimal(9,6)', n_x: text}"
    with Session(load_project(_write(tmp_path, stream + ", event_time: dob.date"), environ={})) as session:
        rules = session.project.spec("users")
    assert rules.identity == ("login_uuid",)
    assert rules.declared == (("at_lat", "decimal(9,6)"), ("n_x", "text"))
    assert rules.event_time == "dob_date"
    assert rules.layout == Layout(flatten=True, drop=("login_salt",))


def test_without_flatten_names_stay(tmp_path: Path) -> None:
    """A point in a field's name is part of it."""
    with Session(load_project(_write(tmp_path, "identity: [a.b], drop: x.y"), environ={})) as session:
        rules = session.project.spec("users")
    assert rules.identity == ("a.b",)
    assert rules.layout == Layout(drop=("x.y",))


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        ("drop: [a..b]", "names no field"),
        ("drop: [a.a.a.a.a.a.a.a.a]", "9 parts; there can be 8"),
        ("flatten: true, drop: [login], identity: [login.uuid]", "'login.uuid' is dropped"),
        ("flatten: true, drop: [a], columns: {a_b: text}", "'a_b' is dropped"),
        ("drop: [at], event_time: at", "'at' is dropped"),
        ("flatten: true, columns: {a.b: text, a_b: text}", "is the same field as another"),
        ("flatten: true, event_time: a.b, columns: {a_b: bigint}", "declared bigint, which is no time"),
        ("flatten: true, identity: [a.b], contract: reject, columns: {a_c: text}", "not among the columns"),
    ],
)
def test_what_cannot_be(tmp_path: Path, stream: str, message: str) -> None:
    """Settings that contradict each other are errors that say which."""
    with pytest.raises(ProjectError, match=message):
        load_project(_write(tmp_path, stream), environ={})
